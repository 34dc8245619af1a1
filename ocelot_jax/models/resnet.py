"""ResNet encoder (He et al., CVPR 2016) with output stride 16, as DeepLabV3+ uses it."""

import flax.linen as nn
import jax

from ocelot_jax.models import layers

Array = jax.Array


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    features: int
    stride: int = 1
    dilation: int = 1
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        def conv_bn(name: str, **kwargs) -> layers.ConvBN:
            return layers.ConvBN(self.features, axis_name=self.axis_name, name=name, **kwargs)

        spatial = {'kernel': 3, 'dilation': self.dilation}
        y = conv_bn('conv1', stride=self.stride, **spatial)(x, train)
        y = conv_bn('conv2', relu=False, **spatial)(y, train)
        if x.shape != y.shape:
            x = conv_bn('shortcut', stride=self.stride, relu=False)(x, train)
        return nn.relu(x + y)


class ResNetEncoder(nn.Module):
    """ResNet-34 without its classifier; the last stage is dilated instead of strided.

    Spatial dropout (whole channels) ends each of the four stages that the ResNet paper calls
    conv2_x to conv5_x. (Appendix B has it "at the end of each ResNet block"; after every one
    of the 16 two-layer blocks the paper's largest rate, 0.5, would leave next to no channel of
    the residual stream alive.)

    Attributes:
        dropout: probability of dropping a channel after each stage.
        axis_name: see `layers.BatchNorm`.
    """

    dropout: float = 0.0
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> tuple[Array, Array]:
        """Encodes [B,H,W,C] to ([B,H/4,W/4,64] low-level, [B,H/16,W/16,512] high-level)."""
        x = layers.ConvBN(64, kernel=7, stride=2, axis_name=self.axis_name, name='stem')(x, train)
        x = layers.max_pool(x)
        stages = []
        for stage, (blocks, features, stride, dilation) in enumerate(
            [(3, 64, 1, 1), (4, 128, 2, 1), (6, 256, 2, 1), (3, 512, 1, 2)], start=1
        ):
            for block in range(blocks):
                x = BasicBlock(
                    features,
                    stride=stride if block == 0 else 1,
                    dilation=dilation,
                    axis_name=self.axis_name,
                    name=f'stage{stage}_block{block + 1}',
                )(x, train)
            x = nn.Dropout(self.dropout, broadcast_dims=(1, 2), deterministic=not train)(x)
            stages.append(x)
        return stages[0], stages[-1]
