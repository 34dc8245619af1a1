"""Depthwise convolution, written so that it is fast on every backend.

XLA's depthwise convolution is many times slower on CPUs than the same sum written as
shifted multiply-adds, forward and backward. So is the dilated one on NVIDIA's GPUs: the weights'
gradient of ASPP's maps took 10 ms where the sums take half a millisecond (`benchmarks/README.md`).
The choice is made where the program is lowered, so one traced function serves all.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp

from ocelot_jax.models.ops import convolution

Array = jax.Array
T = TypeVar('T')


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv(x: Array, kernel: Array, dilation: int = 1) -> Array:
    """Convolves each channel of [B,H,W,C] by a kernel of its own, [k,k,C]; zeros are beyond.

    k is odd, and the map keeps its size.
    """
    return _choose(_native_forward, _shifted_forward, (x, kernel), dilation)


def _backward(dilation: int, residuals: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    return _choose(_native_backward, _shifted_backward, (*residuals, grad), dilation)


depthwise_conv.defvjp(
    lambda x, kernel, dilation: (depthwise_conv(x, kernel, dilation), (x, kernel)), _backward
)


def _choose(
    native: Callable[..., T], shifted: Callable[..., T], arrays: Sequence[Array], dilation: int
) -> T:
    """Calls `shifted` on CPUs and, of a dilated convolution, on NVIDIA's GPUs; else `native`."""
    native, shifted = (functools.partial(way, dilation=dilation) for way in (native, shifted))
    cuda = shifted if dilation > 1 else native
    return jax.lax.platform_dependent(*arrays, cpu=shifted, cuda=cuda, default=native)


def _native_forward(x: Array, kernel: Array, dilation: int) -> Array:
    return convolution.native(x, kernel[:, :, None, :], 1, dilation, groups=x.shape[-1])


def _native_backward(x: Array, kernel: Array, grad: Array, dilation: int) -> tuple[Array, Array]:
    _, vjp = jax.vjp(functools.partial(_native_forward, dilation=dilation), x, kernel)
    return vjp(grad)


def _taps(x: Array, kernel: Array, dilation: int) -> tuple[list[int], list[int], Array]:
    """The rows and columns of a kernel that see any pixel, on small maps few, and the map padded.

    Row i and column j see what begins at (i * dilation, j * dilation) there.
    """
    side = len(kernel)
    rows, columns = (
        [i for i in range(side) if abs(i - side // 2) * dilation < size] for size in x.shape[1:3]
    )
    margin = (side // 2 * dilation,) * 2
    return rows, columns, jnp.pad(x, ((0, 0), margin, margin, (0, 0)))


def _shifted_forward(x: Array, kernel: Array, dilation: int) -> Array:
    height, width = x.shape[1:3]
    rows, columns, padded = _taps(x, kernel, dilation)
    taps = [
        kernel[i, j] * padded[:, i * dilation :, j * dilation :][:, :height, :width]
        for i in rows
        for j in columns
    ]
    return functools.reduce(jnp.add, taps)


def _shifted_backward(x: Array, kernel: Array, grad: Array, dilation: int) -> tuple[Array, Array]:
    height, width = x.shape[1:3]
    rows, columns, padded = _taps(x, kernel, dilation)

    def of_row(i: Array) -> Array:
        seen = jax.lax.dynamic_slice_in_dim(padded, i * dilation, height, axis=1)
        shifted = [seen[:, :, j * dilation :][:, :, :width] for j in columns]
        return jnp.stack([jnp.sum(each * grad, (0, 1, 2)) for each in shifted])

    # XLA keeps the products of all taps at a time; row by row they are a third or less, and faster
    held = jax.lax.map(of_row, jnp.array(rows))
    grad_kernel = jnp.zeros_like(kernel).at[jnp.ix_(jnp.array(rows), jnp.array(columns))].set(held)
    return _shifted_forward(grad, kernel[::-1, ::-1], dilation), grad_kernel
