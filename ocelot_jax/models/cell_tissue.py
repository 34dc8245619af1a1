"""The cell-tissue models: a cell branch that may know the tissue around it (Sec. 4.2, 5)."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocelot_jax.models import alignment, layers
from ocelot_jax.models import seams as seams_lib
from ocelot_jax.models.deeplab import DeepLabV3Plus
from ocelot_jax.models.unet import UNet

Array = jax.Array

CONTEXTS = ('none', 'label', 'prediction', 'features')
DIRECTIONS = ('none', 'c2t', 't2c', 'both')
SHARING_SEAMS = ('encoder', 'aspp', 'decoder')


class CellTissue(nn.Module):
    """Cell detection with tissue context, injected at one seam or shared at several.

    | paper's name         | context      | where                                     |
    |----------------------|--------------|-------------------------------------------|
    | Cell-only            | `none`       |                                           |
    | Tissue-label leaking | `label`      | seam `input`                              |
    | Pred-to-input        | `prediction` | seam `input`                              |
    | Pred-to-inter-1, -2  | `prediction` | seam `encoder`, `aspp`                    |
    | Pred-to-output       | `prediction` | seam `decoder`                            |
    | Feature sharing      | `features`   | `sharing`: seams to directions            |

    Attributes:
        cell_classes: number K of cell classes; "no cell" comes on top.
        tissue_classes: number T of tissue classes.
        architecture: of either branch, `deeplabv3plus` or `unet`.
        encoder_name: of either branch, one of `resnet.VARIANTS`.
        context: what the cell branch is told: nothing, the true tissue, the tissue branch's
            prediction, or what both branches share.
        seam: where the tissue is injected, one of `branch.SEAMS`.
        context_gradient: whether the cell loss trains the tissue branch through its injected
            prediction.
        sharing: of each of `SHARING_SEAMS` one of `DIRECTIONS`, none where it is left out.
        cell_dropout: spatial dropout of the cell branch's encoder.
        tissue_dropout: the same for the tissue branch.
        aspp_dropout: dropout after the projection of either branch's ASPP.
        remat: see `resnet.ResNetEncoder`.
        dtype: of what is computed up to the logits, which are float32 as parameters are.
        axis_name: mapped axis over which batch statistics are averaged in training, if any.
    """

    cell_classes: int
    tissue_classes: int
    architecture: str = 'deeplabv3plus'
    encoder_name: str = 'resnet34'
    context: str = 'prediction'
    seam: str = 'aspp'
    context_gradient: bool = True
    sharing: Mapping[str, str] = nn.FrozenDict()
    cell_dropout: float = 0.1
    tissue_dropout: float = 0.1
    aspp_dropout: float = 0.5
    remat: bool = False
    dtype: str = 'float32'
    axis_name: str | None = None

    @nn.compact
    def __call__(self, batch: dict[str, Array], *, train: bool) -> dict[str, Array | None]:
        """Applies the model.

        Args:
            batch: `cell_image`, `tissue_image` [B,H,W,3] normalised, `center` [B,2],
                `cell_mpp`, `tissue_mpp` [B] and, for context `label`, `tissue_mask` [B,h,w].
                For context `prediction` the n cell patches in a row that lie in one tissue patch
                may share it: `tissue_image` [B/n,h,w,3], as are then the tissue logits.
            train: whether dropout acts and batch statistics are those of the batch.

        Returns:
            `cell_logits` [B,H,W,1+K] and `tissue_logits` [B,h,w,T], None without a tissue branch.
        """
        images = {name: batch[f'{name}_image'].astype(self.dtype) for name in ('cell', 'tissue')}
        place = (batch['center'], alignment.fov_ratio(batch))
        cell = {'cell': self._branch('cell', 1 + self.cell_classes, self.cell_dropout)}
        tissue = {'tissue': self._branch('tissue', self.tissue_classes, self.tissue_dropout)}

        match self.context:
            case 'none':
                seams = seams_lib.run(cell, images, train)
            case 'label':
                known = jax.nn.one_hot(batch['tissue_mask'], self.tissue_classes)
                seams = seams_lib.run(cell, images, train, self._injection(known, place))
            case 'prediction':
                seams = seams_lib.run(tissue, images, train)
                found = nn.softmax(seams['tissue']['logits'])
                if not self.context_gradient:
                    found = jax.lax.stop_gradient(found)
                found = jnp.repeat(found, len(images['cell']) // len(found), axis=0)
                seams |= seams_lib.run(cell, images, train, self._injection(found, place))
            case 'features':
                seams = seams_lib.run(cell | tissue, images, train, self._sharing(place, train))
        logits = {name: seams[name]['logits'] if name in seams else None for name in images}
        return {'cell_logits': logits['cell'], 'tissue_logits': logits['tissue']}

    def _branch(self, name: str, num_classes: int, dropout: float) -> seams_lib.Branch:
        shared = {
            'num_classes': num_classes,
            'encoder_name': self.encoder_name,
            'dropout': dropout,
            'remat': self.remat,
            'axis_name': self.axis_name,
            'name': name,
        }
        if self.architecture == 'unet':
            return UNet(**shared)
        return DeepLabV3Plus(aspp_dropout=self.aspp_dropout, **shared)

    def _injection(self, tissue: Array, place: tuple[Array, Array]) -> seams_lib.Exchange:
        """The exchange that injects tissue probabilities [B,h,w,T] at `seam` (Fig. 4)."""

        def inject(seam: str, features: seams_lib.Features) -> seams_lib.Features:
            if seam != self.seam:
                return features
            cell = features['cell']
            context = alignment.crop_upsample(tissue, *place, cell.shape[1:3])
            return {'cell': jnp.concatenate([cell, context.astype(cell.dtype)], -1)}

        return inject

    def _sharing(self, place: tuple[Array, Array], train: bool) -> seams_lib.Exchange:
        """The exchange of features that both branches share (Fig. 6)."""

        def share(seam: str, features: seams_lib.Features) -> seams_lib.Features:
            direction = self.sharing.get(seam, 'none')
            if direction == 'none':
                return features
            sharing = FeatureSharing(direction, axis_name=self.axis_name, name=f'sharing_{seam}')
            return sharing(features, place, train)

        return share


class FeatureSharing(nn.Module):
    """What two branches tell each other at one seam (Fig. 5).

    The giver's features pass "a shallow convolutional layer with 3 x 3 kernel size", are brought
    into the taker's frame and stand behind the taker's own. The paper does not give the layer's
    width; 64 channels keep it cheap beside the 256 or more that it joins.

    Attributes:
        direction: `c2t`, `t2c` or `both`.
        features: channels of what is given.
        axis_name: see `layers.BatchNorm`.
    """

    direction: str
    features: int = 64
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, features: seams_lib.Features, place: tuple[Array, Array], train: bool
    ) -> seams_lib.Features:
        """Exchanges `cell` [B,h,w,C] and `tissue` [B,h,w,C] at `place`, (center, ratio)."""
        both = self.direction == 'both'
        given = {}
        if both or self.direction == 't2c':
            given['cell'] = ('tissue_to_cell', features['tissue'], alignment.crop_upsample)
        if both or self.direction == 'c2t':
            given['tissue'] = ('cell_to_tissue', features['cell'], alignment.downsample_pad)
        result = dict(features)
        for taker, (name, gift, bring) in given.items():
            conv = layers.ConvBN(self.features, kernel=3, axis_name=self.axis_name, name=name)
            brought = bring(conv(gift, train), *place, features[taker].shape[1:3])
            result[taker] = jnp.concatenate([features[taker], brought], -1)
        return result
