"""Depthwise 3x3 convolution, written so that it is fast on every backend.

XLA's depthwise convolution is many times slower on CPUs than the same sum written as
shifted multiply-adds, forward and backward; accelerators have good kernels of their own.
The choice is made where the program is lowered, so one traced function serves all.
"""

import functools

import jax
import jax.numpy as jnp

from ocelot_jax.models.ops.convolution import native

Array = jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv(x: Array, kernel: Array, dilation: int = 1) -> Array:
    """Convolves each channel by a 3x3 kernel of its own, with zeros beyond the border.

    Args:
        x: [B,H,W,C] features.
        kernel: [3,3,C].
        dilation: distance of the taps in pixels.

    Returns:
        [B,H,W,C].
    """
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_shifted_forward, dilation=dilation),
        default=functools.partial(_native_forward, dilation=dilation),
    )


def _forward(x: Array, kernel: Array, dilation: int) -> tuple[Array, tuple[Array, Array]]:
    return depthwise_conv(x, kernel, dilation), (x, kernel)


def _backward(dilation: int, residuals: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    return jax.lax.platform_dependent(
        *residuals,
        grad,
        cpu=functools.partial(_shifted_backward, dilation=dilation),
        default=functools.partial(_native_backward, dilation=dilation),
    )


depthwise_conv.defvjp(_forward, _backward)


def _native_forward(x: Array, kernel: Array, dilation: int) -> Array:
    return native(x, kernel[:, :, None, :], 1, dilation, groups=x.shape[-1])


def _native_backward(x: Array, kernel: Array, grad: Array, dilation: int) -> tuple[Array, Array]:
    _, vjp = jax.vjp(functools.partial(_native_forward, dilation=dilation), x, kernel)
    return vjp(grad)


def _taps(shape: tuple[int, ...], dilation: int) -> list[tuple[int, int]]:
    """The kernel's positions that see any pixel at all; wide dilations on small maps miss."""
    rows, columns = ([i for i in range(3) if abs(i - 1) * dilation < size] for size in shape[1:3])
    return [(i, j) for i in rows for j in columns]


def _shifts(x: Array, dilation: int) -> dict[tuple[int, int], Array]:
    """For each tap the map as that tap sees it, [B,H,W,C] each."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (dilation, dilation), (dilation, dilation), (0, 0)))
    return {
        (i, j): padded[:, i * dilation :, j * dilation :][:, :height, :width]
        for i, j in _taps(x.shape, dilation)
    }


def _shifted_forward(x: Array, kernel: Array, dilation: int) -> Array:
    return sum(kernel[tap] * shifted for tap, shifted in _shifts(x, dilation).items())


def _shifted_backward(x: Array, kernel: Array, grad: Array, dilation: int) -> tuple[Array, Array]:
    grad_x = _shifted_forward(grad, kernel[::-1, ::-1], dilation)
    grad_kernel = jnp.zeros_like(kernel)
    for tap, shifted in _shifts(x, dilation).items():
        grad_kernel = grad_kernel.at[tap].set(jnp.sum(shifted * grad, (0, 1, 2)))
    return grad_x, grad_kernel
