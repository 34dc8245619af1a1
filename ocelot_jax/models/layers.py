"""Convolutions, pooling and resizing that the networks are made of.

Each computes what its PyTorch namesake does (padding, constants, corner alignment), so that
weights can be carried over. Maps are [B,H,W,C]. Parameters are float32; what is computed has the
dtype of the map that comes in.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ocelot_jax.models.ops.convolution import conv, conv_transformed, transform_kernel
from ocelot_jax.models.ops.depthwise import depthwise_conv

Array = jax.Array

TRANSFORMED = 'transformed'
"""The collection of kernels as CPUs want them, made once where weights stay as they are.

A model applied with it as mutable makes it, for maps of that size; given it, a model computes what
it does without, faster.
"""

_he_normal = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')


class Conv(nn.Module):
    """A bias-free convolution with `dilation * (kernel // 2)` pixels of zeros on every side.

    A kernel of size 1 is a matrix product, which XLA runs twice as fast on CPUs.
    """

    features: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if self.kernel == 1:
            if self.stride > 1:
                x = _skip(x, self.stride)
            layer = nn.Dense(self.features, use_bias=False, kernel_init=_he_normal, dtype=x.dtype)
            nn.share_scope(self, layer)
            return layer(x)
        if self.has_variable(TRANSFORMED, 'kernel'):
            return conv_transformed(x, self.get_variable(TRANSFORMED, 'kernel'), self.dilation)
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param('kernel', _he_normal, shape).astype(x.dtype)
        if self.is_mutable_collection(TRANSFORMED) and not self.is_initializing():
            transformed = transform_kernel(x, kernel, self.stride)
            if transformed is not None:
                self.put_variable(TRANSFORMED, 'kernel', transformed)
        return conv(x, kernel, self.stride, self.dilation)


def _skip(x: Array, stride: int) -> Array:
    """Every `stride`-th row and column of a map [B,H,W,C]."""
    # XLA for GPUs ends the process where it fuses such a slice into the matrix product behind it
    # (openxla/xla#47381); the barrier keeps them apart
    return jax.lax.optimization_barrier(x[:, ::stride, ::stride])


class DepthwiseConv(nn.Module):
    """A bias-free 3x3 convolution of each channel by itself, keeping the map's size."""

    dilation: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        # each output sums nine inputs, whatever the number of channels
        init = nn.initializers.normal(np.sqrt(2 / 9))
        kernel = self.param('kernel', init, (3, 3, x.shape[-1])).astype(x.dtype)
        return depthwise_conv(x, kernel, self.dilation)


class BatchNorm(nn.Module):
    """Batch normalisation with the reference network's constants.

    Attributes:
        axis_name: the mapped axis over which training statistics are averaged, if any.
    """

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        layer = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            axis_name=self.axis_name,
            dtype=x.dtype,
        )
        nn.share_scope(self, layer)
        return layer(x)


class ConvBN(nn.Module):
    """Convolution, batch normalisation and, unless told otherwise, ReLU."""

    features: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    relu: bool = True
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        x = Conv(self.features, self.kernel, self.stride, self.dilation, name='conv')(x)
        x = BatchNorm(self.axis_name, name='bn')(x, train)
        return nn.relu(x) if self.relu else x


class SeparableConvBN(nn.Module):
    """Depthwise 3x3 and pointwise 1x1 convolution, batch normalisation, ReLU."""

    features: int
    dilation: int = 1
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        x = DepthwiseConv(self.dilation, name='depthwise')(x)
        x = Conv(self.features, name='pointwise')(x)
        return nn.relu(BatchNorm(self.axis_name, name='bn')(x, train))


def max_pool(x: Array) -> Array:
    """Max pooling, window 3, stride 2, padding 1: [B,H,W,C] to [B,ceil(H/2),ceil(W/2),C].

    Written as shifted maxima, rows then columns: their gradient is a few selections, where
    that of a windowed reduction is a scatter (eight times slower on CPUs).
    """
    for axis in (1, 2):
        size = (x.shape[axis] + 1) // 2
        pads = [(0, 0)] * 4
        pads[axis] = (1, 1 + x.shape[axis] % 2)
        padded = jnp.pad(x, pads, constant_values=-jnp.inf)
        taps = [
            jax.lax.slice_in_dim(padded, i, i + 2 * size - 1, stride=2, axis=axis)
            for i in range(3)
        ]
        x = jnp.maximum(jnp.maximum(taps[0], taps[1]), taps[2])
    return x


def resize(x: Array, shape: tuple[int, ...]) -> Array:
    """Bilinear resizing of [B,h,w,C] with corners aligned, as two small matrix products."""
    rows, columns = (
        jnp.asarray(_interpolation_matrix(new, old), x.dtype)
        for new, old in zip(shape, x.shape[1:3], strict=True)
    )
    # accelerators would round the weights to fewer bits by default
    return jnp.einsum('Hh,Ww,bhwc->bHWc', rows, columns, x, precision='highest')


def _interpolation_matrix(new: int, old: int) -> np.ndarray:
    """[new, old] weights that interpolate linearly between aligned end points."""
    position = np.linspace(0, old - 1, new)[:, None]
    return np.maximum(0, 1 - np.abs(position - np.arange(old)))
