"""`models.resnet`, `models.deeplab` and `models.unet` on [B,C,H,W] maps."""

from collections.abc import Sequence

from ocelot_jax.interop.onnx_graph import layers
from ocelot_jax.interop.onnx_graph.graph import Value
from ocelot_jax.interop.onnx_graph.layers import Scope
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import ENCODERS, DeepLabV3Plus, UNet, resnet, seams
from ocelot_jax.models.deeplab import ASPP


def encode(scope: Scope, x: Value, variant: str, output_stride: int) -> list[Value]:
    """A ResNet's five maps: the stem's and the stages'.

    Raises:
        InputError: the encoder is none.
    """
    if variant not in ENCODERS:
        raise InputError(
            f'config.model.encoder_name: {variant!r}; want a ResNet, as graphs are written of '
            'these alone, or --engine=xla'
        )
    blocks, bottleneck = ENCODERS[variant]
    maps = [layers.conv_bn(scope / 'stem', x, stride=2)]
    x = layers.max_pool(maps[0])
    steps = resnet.strides_and_dilations(output_stride)
    for stage, (count, (stride, dilation)) in enumerate(zip(blocks, steps, strict=True), start=1):
        for i in range(count):
            block = scope / f'stage{stage}_block{i + 1}'
            x = _block(block, x, bottleneck, stride if i == 0 else 1, dilation)
        maps.append(x)
    return maps


def _block(scope: Scope, x: Value, bottleneck: bool, stride: int, dilation: int) -> Value:
    """A `resnet.BottleneckBlock` or `resnet.BasicBlock`."""
    if bottleneck:
        y = layers.conv_bn(scope / 'conv1', x)
        y = layers.conv_bn(scope / 'conv2', y, stride=stride, dilation=dilation)
        y = layers.conv_bn(scope / 'conv3', y, relu=False)
    else:
        y = layers.conv_bn(scope / 'conv1', x, stride=stride, dilation=dilation)
        y = layers.conv_bn(scope / 'conv2', y, dilation=dilation, relu=False)
    if 'shortcut' in scope:
        x = layers.conv_bn(scope / 'shortcut', x, stride=stride, relu=False)
    return x.graph.add('Relu', y + x, name=f'{scope.name}/relu')


def deeplab_stages(scope: Scope, x: Value, encoder_name: str) -> seams.Stages[Value]:
    """The forward pass of a `DeepLabV3Plus` on [B,3,H,W] images, for `seams.run`."""
    size = x.size
    x = yield 'input', x
    _, low, _, _, high = encode(scope / 'encoder', x, encoder_name, DeepLabV3Plus.STRIDE)
    high = yield 'encoder', high
    context = yield 'aspp', _aspp(scope / 'aspp', high)
    context = layers.resize(context, low.size)
    low = layers.conv_bn(scope / 'decoder' / 'low', low)
    fused = layers.separable_conv_bn(scope / 'decoder' / 'fuse', x.graph.concat(context, low))
    joined = yield 'decoder', fused
    return layers.resize(layers.dense(scope / 'head', joined), size)


def unet_stages(scope: Scope, x: Value, encoder_name: str) -> seams.Stages[Value]:
    """The forward pass of a `UNet` on [B,3,H,W] images, for `seams.run`."""
    x = yield 'input', x
    *skips, high = encode(scope / 'encoder', x, encoder_name, UNet.STRIDE)
    high = yield 'encoder', high
    joined = yield 'decoder', decode_unet(scope / 'decoder', high, skips)
    return layers.dense(scope / 'head', joined)


def _aspp(scope: Scope, x: Value) -> Value:
    """Five views of one map, projected and refined."""
    views = [layers.conv_bn(scope / 'pointwise', x)]
    for rate in ASPP.rates:
        views.append(layers.separable_conv_bn(scope / f'atrous{rate}', x, dilation=rate))
    pooled = layers.conv_bn(scope / 'pool', layers.mean(x))
    like = views[0]
    views.append(x.graph.add('Expand', pooled, x.graph.add('Shape', like), size=like.size))
    y = layers.conv_bn(scope / 'project', x.graph.concat(*views))
    return layers.separable_conv_bn(scope / 'refine', y)


def decode_unet(scope: Scope, x: Value, skips: Sequence[Value]) -> Value:
    """Doubles the resolution five times, each time joined by the encoder's map of that size."""
    for level, skip in enumerate([*skips[::-1], None], start=1):
        x = layers.double(x)
        if skip is not None:
            x = x.graph.concat(x, skip)
        for i in (1, 2):
            x = layers.conv_bn(scope / f'level{level}_conv{i}', x)
    return x


STAGES = {'deeplabv3plus': deeplab_stages, 'unet': unet_stages}
"""By the name of the architecture."""
