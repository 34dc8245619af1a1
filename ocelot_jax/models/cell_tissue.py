"""The cell-tissue models: a cell branch that may know the tissue around it (Sec. 4.2, 5)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocelot_jax.models import alignment, layers, seams
from ocelot_jax.models.deeplab import DeepLabV3Plus
from ocelot_jax.models.unet import UNet

Array = jax.Array
Place = tuple[Array, Array]

BRANCHES: dict[str, type[seams.Branch]] = {'deeplabv3plus': DeepLabV3Plus, 'unet': UNet}
SEAMS = tuple(dict.fromkeys(seam for branch in BRANCHES.values() for seam in branch.SEAMS))
"""The seams of all architectures."""
SHARING_SEAMS = tuple(seam for seam in SEAMS if seam != 'input')
"""Where features can be shared; at the input there are none yet."""
WAYS = {'t2c': ('tissue', 'cell'), 'c2t': ('cell', 'tissue')}
"""The ways in which features can be shared: (giver, taker)."""
DIRECTIONS = ('none', *WAYS, 'both')


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
        architecture: of either branch, one of `BRANCHES`.
        encoder_name: of either branch, one of `resnet.VARIANTS` or `encoders.TIMM`.
        tissue_encoder_name: of the tissue branch; '' for the same.
        vit: sizes of what is called so, see `vit.Sizes`.
        convnext: the same of `convnext.Sizes`.
        frozen: names of the branches whose encoders stay as they are, see `seams.Branch`.
        context: what the cell branch is told: nothing, the true tissue, the tissue branch's
            prediction, or the features that both branches share. One of `CONTEXTS`.
        seam: where the tissue is injected, one of the `SEAMS` of the architecture.
        context_gradient: whether the cell loss trains the tissue branch through its injected
            prediction.
        context_noise: standard deviation of the Gaussian noise on the tissue logits that the cell
            branch is told in training, so that it does not trust them blindly.
        sharing: directions in which features are shared, by seam: of `SHARING_SEAMS` and
            `DIRECTIONS`; 'none' where a seam is left out.
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
    tissue_encoder_name: str = ''
    vit: Mapping[str, Any] = nn.FrozenDict()
    convnext: Mapping[str, Any] = nn.FrozenDict()
    frozen: tuple[str, ...] = ()
    context: str = 'prediction'
    seam: str = 'aspp'
    context_gradient: bool = True
    context_noise: float = 0.0
    sharing: Mapping[str, str] = nn.FrozenDict()
    cell_dropout: float = 0.1
    tissue_dropout: float = 0.1
    aspp_dropout: float = 0.5
    remat: bool = False
    dtype: str = 'float32'
    axis_name: str | None = None

    CONTEXTS = ('none', 'label', 'prediction', 'features')

    @nn.compact
    def __call__(self, batch: dict[str, Array], *, train: bool) -> dict[str, Array | None]:
        """Applies the model.

        Args:
            batch: `cell_image`, `tissue_image` [B,H,W,3] normalised, `center` [B,2],
                `cell_mpp`, `tissue_mpp` [B] and, for context `label`, `tissue_mask` [B,h,w].
                With `is_told` [B] bool and the mask, context `prediction` tells the cell branch
                the true tissue, where it is known, for some of the pairs.
                For context `prediction` the n cell patches in a row that lie in one tissue patch
                may share it: `tissue_image` [B/n,h,w,3], as are then the tissue logits.
            train: whether dropout acts and batch statistics are those of the batch.

        Returns:
            `cell_logits` [B,H,W,1+K] and `tissue_logits` [B,h,w,T], None without a tissue branch.
        """
        images = {name: batch[f'{name}_image'].astype(self.dtype) for name in ('cell', 'tissue')}
        place = (batch['center'], alignment.fov_ratio(batch))

        def stages(name: str) -> dict[str, seams.Stages[Array]]:
            return {name: self._branch(name).stages(images[name], train)}

        match self.context:
            case 'none':
                logits = seams.run(stages('cell'))
            case 'label':
                known = jax.nn.one_hot(batch['tissue_mask'], self.tissue_classes)
                logits = seams.run(stages('cell'), self._injection(known, place))
            case 'prediction':
                logits = seams.run(stages('tissue'))
                found = self._told(logits['tissue'], batch, train)
                found = jnp.repeat(found, len(images['cell']) // len(found), axis=0)
                logits |= seams.run(stages('cell'), self._injection(found, place))
            case 'features':
                both = stages('cell') | stages('tissue')
                logits = seams.run(both, self._sharing(place, train))
        return {f'{name}_logits': logits.get(name) for name in images}

    def _told(self, logits: Array, batch: dict[str, Array], train: bool) -> Array:
        """The tissue probabilities [B,h,w,T] that the cell branch is told."""
        if train and self.context_noise:
            noise = jax.random.normal(self.make_rng('dropout'), logits.shape)
            logits += self.context_noise * noise
        found = nn.softmax(logits)
        if not self.context_gradient:
            found = jax.lax.stop_gradient(found)
        if 'is_told' in batch:
            truth = jax.nn.one_hot(batch['tissue_mask'], self.tissue_classes)
            # zeros where nothing was annotated
            is_known = truth.sum(-1, keepdims=True) > 0
            found = jnp.where(batch['is_told'][:, None, None, None] & is_known, truth, found)
        return found

    @nn.nowrap
    def encoder_of(self, branch: str) -> str:
        """Names the encoder of `cell` or `tissue`."""
        return (branch == 'tissue' and self.tissue_encoder_name) or self.encoder_name

    def _branch(self, name: str) -> seams.Branch:
        branch, common = BRANCHES[self.architecture], (self.axis_name, self.remat)
        own: dict[str, Any] = {}
        if branch is DeepLabV3Plus:
            own['aspp_dropout'] = self.aspp_dropout
        classes, dropout = {
            'cell': (1 + self.cell_classes, self.cell_dropout),
            'tissue': (self.tissue_classes, self.tissue_dropout),
        }[name]
        encoder = self.encoder_of(name)
        sizes = {'vit': self.vit, 'convnext': self.convnext}.get(encoder, nn.FrozenDict())
        frozen = name in self.frozen
        return branch(classes, encoder, dropout, *common, sizes, frozen, name=name, **own)

    def _injection(self, tissue: Array, place: Place) -> seams.Exchange[Array]:
        """The exchange that injects tissue probabilities [B,h,w,T] at `seam` (Fig. 4)."""

        def inject(seam: str, features: dict[str, Array]) -> dict[str, Array]:
            if seam != self.seam:
                return features
            cell = features['cell']
            context = alignment.crop_upsample(tissue, *place, cell.shape[1:3])
            return {'cell': jnp.concatenate([cell, context.astype(cell.dtype)], -1)}

        return inject

    def _sharing(self, place: Place, train: bool) -> seams.Exchange[Array]:
        """The exchange of features that both branches share (Fig. 6)."""

        def share(seam: str, features: dict[str, Array]) -> dict[str, Array]:
            direction = self.sharing.get(seam, 'none')
            if direction == 'none':
                return features
            sharing = FeatureSharing(direction, axis_name=self.axis_name, name=f'sharing_{seam}')
            return sharing(features, place, train)

        return share


class FeatureSharing(nn.Module):
    """The exchange of two branches' features at one seam (Fig. 5).

    The giver's features pass "a shallow convolutional layer with 3 x 3 kernel size", are brought
    into the taker's field of view and are concatenated behind the taker's own. The paper does not
    give the layer's width; 64 channels cost little beside the 256 or more that they join.
    """

    direction: str
    features: int = 64
    axis_name: str | None = None

    @nn.compact
    def __call__(self, features: dict[str, Array], place: Place, train: bool) -> dict[str, Array]:
        """Exchanges `cell` [B,h,w,C] and `tissue` [B,h,w,C] at `place`, (center, ratio)."""
        bring = {'cell': alignment.crop_upsample, 'tissue': alignment.downsample_pad}
        result = dict(features)
        for way, (giver, taker) in WAYS.items():
            if self.direction not in (way, 'both'):
                continue
            name = f'{giver}_to_{taker}'
            conv = layers.ConvBN(self.features, kernel=3, axis_name=self.axis_name, name=name)
            own = features[taker]
            given = bring[taker](conv(features[giver], train), *place, own.shape[1:3])
            result[taker] = jnp.concatenate([own, given], -1)
        return result
