"""ResNet encoders (He et al., CVPR 2016)."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax

from ocelot_jax.models import layers

Array = jax.Array


class Variant(NamedTuple):
    """A ResNet: blocks of each stage, and whether they are 1x1, 3x3, 1x1 rather than two 3x3."""

    blocks: tuple[int, int, int, int]
    bottleneck: bool = False


VARIANTS = {
    'resnet18': Variant((2, 2, 2, 2)),
    'resnet34': Variant((3, 4, 6, 3)),
    'resnet50': Variant((3, 4, 6, 3), bottleneck=True),
}


class _Block(nn.Module):
    """Convolutions beside a shortcut."""

    features: int
    stride: int = 1
    dilation: int = 1
    axis_name: str | None = None

    @nn.nowrap
    def conv_bn(self, name: str, features: int, **kwargs: Any) -> layers.ConvBN:
        return layers.ConvBN(features, axis_name=self.axis_name, name=name, **kwargs)

    @nn.nowrap
    def join(self, x: Array, y: Array, train: bool) -> Array:
        if x.shape != y.shape:
            shortcut = self.conv_bn('shortcut', y.shape[-1], stride=self.stride, relu=False)
            x = shortcut(x, train)
        return nn.relu(x + y)


class BasicBlock(_Block):
    """Two 3x3 convolutions beside a shortcut."""

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        spatial = {'kernel': 3, 'dilation': self.dilation}
        y = self.conv_bn('conv1', self.features, stride=self.stride, **spatial)(x, train)
        y = self.conv_bn('conv2', self.features, relu=False, **spatial)(y, train)
        return self.join(x, y, train)


class BottleneckBlock(_Block):
    """A 3x3 convolution between two 1x1 convolutions; the last has four times the channels.

    The 3x3 convolution takes the stride, as in torchvision ("ResNet v1.5").
    """

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        spatial = {'kernel': 3, 'stride': self.stride, 'dilation': self.dilation}
        y = self.conv_bn('conv1', self.features)(x, train)
        y = self.conv_bn('conv2', self.features, **spatial)(y, train)
        y = self.conv_bn('conv3', 4 * self.features, relu=False)(y, train)
        return self.join(x, y, train)


def strides_and_dilations(output_stride: int) -> list[tuple[int, int]]:
    """(stride, dilation) of each of the four stages, for an output stride of 16 or 32."""
    return [(1, 1), (2, 1), (2, 1), (2, 1) if output_stride == 32 else (1, 2)]


class ResNetEncoder(nn.Module):
    """A ResNet without its classifier.

    Spatial dropout (whole channels) ends each of the four stages that the ResNet paper calls
    conv2_x to conv5_x. (Appendix B has it "at the end of each ResNet block"; after every one
    of the 16 blocks of ResNet-34 the paper's largest rate, 0.5, would leave next to no channel
    of the residual stream alive.)

    Attributes:
        variant: one of `VARIANTS`.
        output_stride: 32, or 16, where the last stage is dilated instead of strided.
        dropout: probability of dropping a channel after each stage.
        axis_name: see `layers.BatchNorm`.
        remat: whether the backward pass computes each block anew instead of keeping its inner
            activations.
    """

    variant: str = 'resnet34'
    output_stride: int = 16
    dropout: float = 0.0
    axis_name: str | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, train: bool) -> tuple[Array, ...]:
        """Encodes [B,H,W,C].

        Returns:
            Five maps: the stem's [B,H/2,W/2,64], then the stages', at strides 4, 8, 16 and
            `output_stride`, of 64, 128, 256, 512 channels (four times that in ResNet-50).
        """
        blocks, bottleneck = VARIANTS[self.variant]
        block_class = BottleneckBlock if bottleneck else BasicBlock
        if self.remat:
            block_class = nn.remat(block_class, static_argnums=(2,))
        x = layers.ConvBN(64, kernel=7, stride=2, axis_name=self.axis_name, name='stem')(x, train)
        maps = [x]
        x = layers.max_pool(x)
        steps = strides_and_dilations(self.output_stride)
        for stage, (count, (stride, dilation)) in enumerate(zip(blocks, steps, strict=True)):
            for block in range(count):
                x = block_class(
                    64 * 2**stage,
                    stride=stride if block == 0 else 1,
                    dilation=dilation,
                    axis_name=self.axis_name,
                    name=f'stage{stage + 1}_block{block + 1}',
                )(x, train)
            x = nn.Dropout(self.dropout, broadcast_dims=(1, 2), deterministic=not train)(x)
            maps.append(x)
        return tuple(maps)
