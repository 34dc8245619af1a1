"""`models.layers` on [B,C,H,W] maps."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ocelot_jax.interop.onnx_graph.graph import Graph, Value
from ocelot_jax.interop.smp import to_depthwise_weight, to_weight

_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Scope:
    """A module's place in the graph, and its variables.

    Attributes:
        graph: where its nodes go.
        variables: of the whole network, by path, as ('params', 'cell', 'head', 'kernel').
        path: the module's.
    """

    graph: Graph
    variables: Mapping[tuple[str, ...], Any]
    path: tuple[str, ...] = ()

    def __truediv__(self, name: str) -> 'Scope':
        return dataclasses.replace(self, path=(*self.path, name))

    def __contains__(self, name: str) -> bool:
        """Whether the module has a child of that name."""
        start = ('params', *self.path, name)
        return any(path[: len(start)] == start for path in self.variables)

    @property
    def name(self) -> str:
        return '/'.join(self.path)

    def variable(self, name: str, collection: str = 'params') -> np.ndarray:
        """A variable of the module, float64."""
        return np.asarray(self.variables[collection, *self.path, name], np.float64)

    def kernel(self) -> np.ndarray:
        """The module's weights, float32: there are too many to be doubled in a moment."""
        return np.asarray(self.variables['params', *self.path, 'kernel'], np.float32)


def conv_bn(
    scope: Scope, x: Value, *, stride: int = 1, dilation: int = 1, relu: bool = True
) -> Value:
    """Convolution, batch normalisation and, unless told otherwise, ReLU."""
    x = _conv(scope / 'conv', x, *_fold(scope, 'conv'), stride=stride, dilation=dilation)
    return x.graph.add('Relu', x, name=f'{scope.name}/relu') if relu else x


def separable_conv_bn(scope: Scope, x: Value, *, dilation: int = 1) -> Value:
    """Depthwise 3x3 and pointwise 1x1 convolution, batch normalisation, ReLU."""
    weight = to_depthwise_weight((scope / 'depthwise').kernel())
    x = _conv(scope / 'depthwise', x, weight, None, dilation=dilation, group=len(weight))
    x = _conv(scope / 'pointwise', x, *_fold(scope, 'pointwise'))
    return x.graph.add('Relu', x, name=f'{scope.name}/relu')


def dense(scope: Scope, x: Value) -> Value:
    """A matrix product at every pixel, `nn.Dense`."""
    return _conv(scope, x, to_weight(scope.kernel()), scope.variable('bias'))


def max_pool(x: Value) -> Value:
    """Max pooling, window 3, stride 2, padding 1."""
    return x.graph.add(
        'MaxPool', x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, size=_strided(x.size, 2)
    )


def mean(x: Value) -> Value:
    """The mean over all pixels, a map of one pixel."""
    return x.graph.add('GlobalAveragePool', x, size=(1, 1))


def resize(x: Value, size: tuple[int, int]) -> Value:
    """Bilinear resizing with corners aligned, as two small matrix products.

    ONNX's own operation takes 4% off OpenVINO's time and puts 15% on ONNX Runtime's.
    """
    rows, columns = map(_interpolation_matrix, size, x.size)
    return (rows @ (x @ columns.T)).of_size(size)


def double(x: Value) -> Value:
    """Doubles the resolution by repeating each pixel."""
    return x.graph.add(
        'Resize',
        x,
        np.zeros(0, np.float32),
        np.array([1, 1, 2, 2], np.float32),
        mode='nearest',
        coordinate_transformation_mode='asymmetric',
        nearest_mode='floor',
        size=(2 * x.size[0], 2 * x.size[1]),
    )


def _conv(
    scope: Scope,
    x: Value,
    weight: np.ndarray,
    bias: np.ndarray | None,
    *,
    stride: int = 1,
    dilation: int = 1,
    group: int = 1,
) -> Value:
    """Convolves with `dilation * (k // 2)` pixels of zeros on every side."""
    graph, k = x.graph, weight.shape[-1]
    operands = [x, graph.constant(weight, f'{scope.name}/weight')]
    if bias is not None:
        operands.append(graph.constant(bias, f'{scope.name}/bias'))
    return graph.add(
        'Conv',
        *operands,
        name=scope.name,
        kernel_shape=[k, k],
        strides=[stride, stride],
        dilations=[dilation, dilation],
        pads=[dilation * (k // 2)] * 4,
        group=group,
        size=_strided(x.size, stride),
    )


def _fold(scope: Scope, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a convolution with the batch normalisation after it."""
    bn = scope / 'bn'
    scale = bn.variable('scale') / np.sqrt(bn.variable('var', 'batch_stats') + _EPSILON)
    weight = to_weight((scope / name).kernel()) * scale.astype(np.float32)[:, None, None, None]
    return weight, bn.variable('bias') - bn.variable('mean', 'batch_stats') * scale


def _interpolation_matrix(new: int, old: int) -> np.ndarray:
    """[new,old] weights that interpolate linearly between aligned end points."""
    places = np.linspace(0, old - 1, new)
    return np.stack([np.interp(places, np.arange(old), row) for row in np.eye(old)], axis=1)


def _strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    height, width = size
    return -(-height // stride), -(-width // stride)
