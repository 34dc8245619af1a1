"""Depthwise 3x3 convolution, written so that it is fast on every backend.

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
    """Convolves each channel of [B,H,W,C] by a kernel of its own, [3,3,C]; zeros are beyond."""
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


def _shifts(x: Array, dilation: int) -> dict[tuple[int, int], Array]:
    """For each tap that sees any pixel at all (on small maps few do) the map as it sees it."""
    height, width = sizes = x.shape[1:3]
    rows, columns = ([i for i in range(3) if abs(i - 1) * dilation < size] for size in sizes)
    padded = jnp.pad(x, ((0, 0), (dilation, dilation), (dilation, dilation), (0, 0)))
    return {
        (i, j): padded[:, i * dilation :, j * dilation :][:, :height, :width]
        for i in rows
        for j in columns
    }


def _shifted_forward(x: Array, kernel: Array, dilation: int) -> Array:
    taps = [kernel[tap] * shifted for tap, shifted in _shifts(x, dilation).items()]
    return functools.reduce(jnp.add, taps)


def _shifted_backward(x: Array, kernel: Array, grad: Array, dilation: int) -> tuple[Array, Array]:
    grad_x = _shifted_forward(grad, kernel[::-1, ::-1], dilation)
    grad_kernel = jnp.zeros_like(kernel)
    for tap, shifted in _shifts(x, dilation).items():
        grad_kernel = grad_kernel.at[tap].set(jnp.sum(shifted * grad, (0, 1, 2)))
    return grad_x, grad_kernel
