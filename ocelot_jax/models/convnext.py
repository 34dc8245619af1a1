"""ConvNeXt (Liu et al., CVPR 2022), as timm's `ConvNeXt` computes it.

Modules have timm's names, by which `interop.timm` reads its checkpoints.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from ocelot_jax.models import resnet
from ocelot_jax.models.ops.depthwise import depthwise_conv
from ocelot_jax.models.vit import MLP, layer_norm

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What a ConvNeXt is made of; names and meanings are those of timm's arguments.

    Attributes:
        depths: blocks of each stage.
        dims: channels of each stage.
    """

    depths: tuple[int, ...] = (3, 3, 9, 3)
    dims: tuple[int, ...] = (96, 192, 384, 768)

    def __post_init__(self) -> None:
        for name in ('depths', 'dims'):
            if len(getattr(self, name)) != 4:
                raise ValueError(f'{name}: {getattr(self, name)}; want four, one for each stage')


class ConvNeXt(nn.Module):
    """A ConvNeXt without its classifier, its last stage dilated instead of strided.

    Attributes:
        sizes: what it is made of.
        remat: whether the backward pass computes each block anew instead of keeping its inner
            activations.
    """

    sizes: Sizes
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, train: bool) -> tuple[Array, ...]:
        """Encodes [B,H,W,3]; `train` changes nothing.

        Returns:
            The stages' maps, at strides 4, 8, 16 and 16.
        """
        patch = (4, 4)
        first = self.sizes.dims[0]
        x = nn.Conv(first, patch, patch, 'VALID', dtype=x.dtype, name='stem_0')(x)
        x = layer_norm('stem_1', x.dtype)(x)
        steps = resnet.strides_and_dilations(output_stride=16)
        maps = []
        for i, (depth, dim) in enumerate(zip(self.sizes.depths, self.sizes.dims, strict=True)):
            x = Stage(depth, dim, *steps[i], first=i == 0, remat=self.remat, name=f'stages_{i}')(x)
            maps.append(x)
        return tuple(maps)


class Stage(nn.Module):
    """A downsampling, which the first stage lacks, and blocks."""

    depth: int
    features: int
    stride: int
    dilation: int
    first: bool
    remat: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps [B,H,W,C] to [B,H/stride,W/stride,features]."""
        if not self.first:
            x = layer_norm('downsample_0', x.dtype)(x)
            step = (self.stride, self.stride)
            x = nn.Conv(self.features, (2, 2), step, dtype=x.dtype, name='downsample_1')(x)
        block_class = nn.remat(Block) if self.remat else Block
        for i in range(self.depth):
            x = block_class(self.dilation, name=f'blocks_{i}')(x)
        return x


def _convolve_depthwise(x: Array, kernel: Array, *_: Any, rhs_dilation: Any, **__: Any) -> Array:
    """What Flax's `Conv` wants of XLA's convolution, by a kernel [7,7,1,C]."""
    return depthwise_conv(x, kernel[:, :, 0], rhs_dilation[0])


class Block(nn.Module):
    """A 7x7 depthwise convolution and an MLP beside a shortcut."""

    dilation: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps [B,H,W,C] to [B,H,W,C]."""
        channels = x.shape[-1]
        y = nn.Conv(
            channels,
            (7, 7),
            kernel_dilation=self.dilation,
            feature_group_count=channels,
            dtype=x.dtype,
            conv_general_dilated=_convolve_depthwise,
            name='conv_dw',
        )(x)
        y = MLP(4 * channels, name='mlp')(layer_norm('norm', x.dtype)(y))
        gamma = self.param('gamma', nn.initializers.constant(1e-6), (channels,))
        return x + y * gamma.astype(x.dtype)
