"""From the maps of a transformer or a ConvNeXt to those that DeepLabV3+ reads."""

import functools

import flax.linen as nn
import jax

from ocelot_jax.models import layers

Array = jax.Array


class Adapter(nn.Module):
    """Gives any encoder's maps the strides and widths of ResNet-34's.

    Where the finest map is not at stride 4, as a ViT's only one, it is doubled until it is, as in
    ViTDet's simple feature pyramid (Li et al., ECCV 2022). Both maps end with spatial dropout, as
    the stages of `ResNetEncoder` do.

    Attributes:
        dropout: probability of dropping a channel.
        axis_name: see `layers.BatchNorm`.
    """

    dropout: float = 0.0
    axis_name: str | None = None

    DETAIL, CONTEXT = 64, 512

    @nn.compact
    def __call__(self, maps: tuple[Array, ...], train: bool) -> tuple[Array | None, ...]:
        """Adapts maps [B,h,w,C], the last at stride 16.

        Returns:
            Five maps as `ResNetEncoder`'s; None where DeepLabV3+ does not look, so that there
            are [B,H/4,W/4,64] and [B,H/16,W/16,512].
        """
        fine, deep = maps[0], maps[-1]
        while fine.shape[1] < 4 * deep.shape[1]:
            name = f'double{fine.shape[1] // deep.shape[1]}'
            fine = Doubling(fine.shape[-1] // 2, self.axis_name, name=name)(fine, train)
        conv_bn = functools.partial(layers.ConvBN, axis_name=self.axis_name)
        drop = nn.Dropout(self.dropout, broadcast_dims=(1, 2), deterministic=not train)
        low = drop(conv_bn(self.DETAIL, name='detail')(fine, train))
        high = drop(conv_bn(self.CONTEXT, name='context')(deep, train))
        return None, low, None, None, high


class Doubling(nn.Module):
    """A 2x2 transposed convolution of stride 2, batch normalisation and ReLU."""

    features: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Maps [B,h,w,C] to [B,2h,2w,features]."""
        batch, height, width, _ = x.shape
        # no two outputs share a pixel, so it is a matrix product
        x = layers.Conv(4 * self.features, name='conv')(x)
        x = x.reshape(batch, height, width, 2, 2, self.features)
        x = x.swapaxes(2, 3).reshape(batch, 2 * height, 2 * width, self.features)
        return nn.relu(layers.BatchNorm(self.axis_name, name='bn')(x, train))
