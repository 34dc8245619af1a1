"""MFoVCE-Net: a baseline of Table C.1 that sees both fields of view but no tissue labels.

Bai, Xu, Xing: "Multi-field of View Aggregation and Context Encoding for Single-Stage Nucleus
Recognition", MICCAI 2020. Known from its abstract: one stage from pixels to pixels; images of
several fields of view go in, and their features are aggregated on the way; a context encoding
module uses what the fields of view hold to strengthen the features; trained by a regression loss
that suppresses channels by category.

Chosen here, where that is silent: the two fields of view of a pair, each with a ResNet encoder of
its own; at strides 4 to 32 the tissue patch's features, cropped and upsampled to the cell patch,
are aggregated with the cell patch's by a 1x1 convolution; the context encoding gates the deepest
map's channels by the means of both fields of view over their whole area; U-Net's decoder. Target
and loss are those of all other models here, so that the table compares networks alone.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocelot_jax.models import alignment, layers
from ocelot_jax.models.resnet import ResNetEncoder
from ocelot_jax.models.unet import UNetDecoder

Array = jax.Array
Place = tuple[Array, Array]


class MFoVCENet(nn.Module):
    """Cell detection from two fields of view, without tissue labels.

    Attributes are those of `cell_tissue.CellTissue`, of the patches rather than the branches.
    """

    cell_classes: int
    encoder_name: str = 'resnet34'
    cell_dropout: float = 0.1
    tissue_dropout: float = 0.1
    frozen: tuple[str, ...] = ()
    remat: bool = False
    dtype: str = 'float32'
    axis_name: str | None = None

    # it has its own way to use the tissue patch
    CONTEXTS = ('none',)
    STRIDE = 32

    @nn.compact
    def __call__(self, batch: dict[str, Array], *, train: bool) -> dict[str, Array | None]:
        """Applies the model to a batch of `CellTissue`; sides must be multiples of 32.

        Returns:
            `cell_logits` [B,H,W,1+K]; `tissue_logits` is None.
        """

        def view(name: str, dropout: float) -> FieldOfView:
            own = (self.encoder_name, dropout, name in self.frozen, self.remat, self.axis_name)
            return FieldOfView(*own, name=name)

        tissue_image, cell_image = (
            batch[name].astype(self.dtype) for name in ('tissue_image', 'cell_image')
        )
        tissue = view('tissue', self.tissue_dropout)(tissue_image, train)
        cell = view('cell', self.cell_dropout)(cell_image, train)
        place = (batch['center'], alignment.fov_ratio(batch))
        head = AggregationHead(1 + self.cell_classes, self.axis_name, name='cell_head')
        return {'cell_logits': head(cell, tissue, place, train), 'tissue_logits': None}


class FieldOfView(nn.Module):
    """The encoder of one field of view."""

    encoder_name: str
    dropout: float
    frozen: bool
    remat: bool
    axis_name: str | None

    def setup(self) -> None:
        self.encoder = ResNetEncoder(
            self.encoder_name, MFoVCENet.STRIDE, self.dropout, self.axis_name, self.remat
        )

    def __call__(self, x: Array, train: bool) -> tuple[Array, ...]:
        """Encodes [B,H,W,3] as `ResNetEncoder` does."""
        maps = self.encoder(x, train and not self.frozen)
        return jax.lax.stop_gradient(maps) if self.frozen else maps


class AggregationHead(nn.Module):
    """From the features of both fields of view to logits."""

    num_classes: int
    axis_name: str | None

    @nn.compact
    def __call__(
        self, cell: tuple[Array, ...], tissue: tuple[Array, ...], place: Place, train: bool
    ) -> Array:
        """Maps the encoders' maps, `place` = (center, ratio), to [B,H,W,num_classes]."""
        (stem, *deeper), (center, ratio) = cell, place
        aggregated = []
        for level, (own, wide) in enumerate(zip(deeper, tissue[1:], strict=True), start=1):
            wide = alignment.crop_upsample(wide, center, ratio, own.shape[1:3])
            conv = layers.ConvBN(own.shape[-1], axis_name=self.axis_name, name=f'aggregate{level}')
            aggregated.append(conv(jnp.concatenate([own, wide], -1), train))
        *skips, high = aggregated
        high = ContextEncoding(name='context')(high, [cell[-1], tissue[-1]])
        decoder = UNetDecoder(axis_name=self.axis_name, name='decoder')
        return nn.Dense(self.num_classes, name='classify')(decoder(high, (stem, *skips), train))


class ContextEncoding(nn.Module):
    """Scales a map's channels by gates, made of the means over both fields of view."""

    @nn.compact
    def __call__(self, x: Array, views: list[Array]) -> Array:
        """Scales [B,h,w,C] by C numbers in 0..1, made of the means of [B,h,w,C] `views`."""
        means = jnp.concatenate([view.mean((1, 2)) for view in views], -1)
        hidden = nn.relu(nn.Dense(x.shape[-1] // 4, name='squeeze')(means))
        gates = nn.sigmoid(nn.Dense(x.shape[-1], name='excite')(hidden))
        return x * gates[:, None, None].astype(x.dtype)
