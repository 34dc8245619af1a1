"""`models.resnet`, `models.deeplab` and `models.unet` on [B,C,H,W] maps."""

import dataclasses
from collections.abc import Sequence

from ocelot_jax import models
from ocelot_jax.interop.onnx_graph import layers
from ocelot_jax.interop.onnx_graph.graph import Value
from ocelot_jax.interop.onnx_graph.layers import Scope
from ocelot_jax.models import seams as seams_lib

Features = dict[str, Value | tuple[Value, ...]]


def encode(scope: Scope, x: Value, variant: str, output_stride: int) -> list[Value]:
    """A ResNet's five maps: the stem's and the stages'."""
    blocks, bottleneck = models.ENCODERS[variant]
    block = _bottleneck_block if bottleneck else _basic_block
    maps = [layers.conv_bn(scope / 'stem', x, stride=2)]
    x = layers.max_pool(maps[0])
    last = (2, 1) if output_stride == 32 else (1, 2)
    steps = [(1, 1), (2, 1), (2, 1), last]
    for stage, (count, (stride, dilation)) in enumerate(zip(blocks, steps, strict=True), start=1):
        for i in range(count):
            name = f'stage{stage}_block{i + 1}'
            x = block(scope / name, x, stride=stride if i == 0 else 1, dilation=dilation)
        maps.append(x)
    return maps


def _basic_block(scope: Scope, x: Value, *, stride: int, dilation: int) -> Value:
    y = layers.conv_bn(scope / 'conv1', x, stride=stride, dilation=dilation)
    y = layers.conv_bn(scope / 'conv2', y, dilation=dilation, relu=False)
    return _join(scope, x, y, stride)


def _bottleneck_block(scope: Scope, x: Value, *, stride: int, dilation: int) -> Value:
    y = layers.conv_bn(scope / 'conv1', x)
    y = layers.conv_bn(scope / 'conv2', y, stride=stride, dilation=dilation)
    y = layers.conv_bn(scope / 'conv3', y, relu=False)
    return _join(scope, x, y, stride)


def _join(scope: Scope, x: Value, y: Value, stride: int) -> Value:
    if 'shortcut' in scope:
        x = layers.conv_bn(scope / 'shortcut', x, stride=stride, relu=False)
    return x.graph.add('Relu', y + x, name=f'{scope.name}/relu')


def decode_unet(scope: Scope, x: Value, skips: Sequence[Value]) -> Value:
    """Doubles the resolution five times, each time joined by the encoder's map of that size."""
    for level, skip in enumerate([*skips[::-1], None], start=1):
        x = layers.double(x)
        if skip is not None:
            x = x.graph.concat([x, skip])
        for i in (1, 2):
            x = layers.conv_bn(scope / f'level{level}_conv{i}', x)
    return x


@dataclasses.dataclass(frozen=True)
class DeepLabV3Plus:
    """One branch, as `branch.run` wants it.

    Attributes:
        scope: its place.
        encoder_name: one of `models.ENCODERS`.
    """

    scope: Scope
    encoder_name: str

    SEAMS = seams_lib.SEAMS
    STRIDE = 16

    def advance(self, seam: str, features: Value, seams: Features, train: bool) -> Features:
        """Computes what lies behind a seam."""
        match seam:
            case 'input':
                _, low, _, _, high = encode(
                    self.scope / 'encoder', features, self.encoder_name, output_stride=16
                )
                return {'low': low, 'encoder': high}
            case 'encoder':
                return {'aspp': _aspp(self.scope / 'aspp', features)}
            case 'aspp':
                return {'decoder': _decode(self.scope / 'decoder', features, seams['low'])}
            case 'decoder':
                logits = layers.dense(self.scope / 'head', features)
                return {'logits': layers.resize(logits, seams['input'].size)}


def _aspp(scope: Scope, x: Value) -> Value:
    """Five views of one map, projected and refined."""
    views = [layers.conv_bn(scope / 'pointwise', x)]
    for rate in (12, 24, 36):
        views.append(layers.separable_conv_bn(scope / f'atrous{rate}', x, dilation=rate))
    pooled = layers.conv_bn(scope / 'pool', layers.mean(x))
    views.append(layers.spread(pooled, views[0]))
    y = layers.conv_bn(scope / 'project', x.graph.concat(views))
    return layers.separable_conv_bn(scope / 'refine', y)


def _decode(scope: Scope, context: Value, low: Value) -> Value:
    """Joins the context at stride 16 with the detail at stride 4."""
    context = layers.resize(context, low.size)
    low = layers.conv_bn(scope / 'low', low)
    return layers.separable_conv_bn(scope / 'fuse', context.graph.concat([context, low]))


@dataclasses.dataclass(frozen=True)
class UNet:
    """One branch, as `DeepLabV3Plus`."""

    scope: Scope
    encoder_name: str

    SEAMS = models.UNet.SEAMS
    STRIDE = 32

    def advance(self, seam: str, features: Value, seams: Features, train: bool) -> Features:
        """Computes what lies behind a seam."""
        match seam:
            case 'input':
                *skips, high = encode(
                    self.scope / 'encoder', features, self.encoder_name, output_stride=32
                )
                return {'skips': tuple(skips), 'encoder': high}
            case 'encoder':
                return {'decoder': decode_unet(self.scope / 'decoder', features, seams['skips'])}
            case 'decoder':
                return {'logits': layers.dense(self.scope / 'head', features)}
