"""Dense convolution, computed as each backend does it fastest.

Accelerators have good kernels of their own, but for one gradient on NVIDIA's GPUs. On CPUs 3x3
convolutions of stride 1 are done by Winograd's algorithm where that saves time
(`benchmarks/README.md` has what was measured). The choice is made where the program is lowered, so
one traced function serves all.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp

from ocelot_jax.models.ops import winograd

Array = jax.Array
T = TypeVar('T')

# channels below which the transforms cost more than the multiplications that they save
_MIN_CHANNELS = 32
# pixels from which on large tiles pay for transforming the kernel, which is larger too
_MANY_PIXELS = 1024
# pixels of images up to which a stem's kernel gradient as products makes a step faster
_STEM_PIXELS = 8 * 128 * 128


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(x: Array, kernel: Array, stride: int = 1, dilation: int = 1) -> Array:
    """Convolves, with `dilation * (k // 2)` pixels of zeros beyond every border.

    Maps [B,H,W,C] to [B,ceil(H/stride),ceil(W/stride),K] by a kernel [k,k,C,K], k odd.
    """
    return _convolve(x, kernel, stride, dilation)


def transform_kernel(x: Array, kernel: Array, stride: int) -> Array | None:
    """What `conv_transformed` takes for a kernel, on maps like `x`; None where `conv` is as fast.

    At every call this takes a quarter of an inference on CPUs (`benchmarks/README.md`).
    """
    if not _suits_winograd(x, kernel, stride):
        return None
    return winograd.transform_kernel(kernel, _tile(x))


def conv_transformed(x: Array, transformed: Array, dilation: int) -> Array:
    """What `conv` computes, with the same bits on maps of the size that the kernel is for."""
    tile = winograd.tile_of(transformed)
    y = winograd.conv(_split(x, dilation, tile), transformed)
    return _merge(y, (*x.shape[:3], transformed.shape[-1]), dilation)


# jitted, so that the many convolutions of equal shapes are traced and lowered once


@functools.partial(jax.jit, static_argnums=(2, 3))
def _convolve(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
    return _choose(native, native, _cpu, (x, kernel), stride, dilation)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _differentiate(
    x: Array, kernel: Array, grad: Array, stride: int, dilation: int
) -> tuple[Array, Array]:
    ways = _native_backward, _cuda_backward, _cpu_backward
    return _choose(*ways, (x, kernel, grad), stride, dilation)


conv.defvjp(
    lambda x, kernel, *steps: (_convolve(x, kernel, *steps), (x, kernel)),
    lambda stride, dilation, held, grad: _differentiate(*held, grad, stride, dilation),
)


def _choose(
    plain: Callable[..., T],
    cuda: Callable[..., T],
    cpu: Callable[..., T],
    arrays: Sequence[Array],
    stride: int,
    dilation: int,
) -> T:
    """Calls `cuda` on such GPUs, `cpu` on CPUs, `plain` elsewhere."""
    default, cuda, cpu = (
        functools.partial(f, stride=stride, dilation=dilation) for f in (plain, cuda, cpu)
    )
    return jax.lax.platform_dependent(*arrays, cpu=cpu, cuda=cuda, default=default)


def _cpu(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
    transformed = transform_kernel(x, kernel, stride)
    if transformed is None:
        return native(x, kernel, stride, dilation)
    return conv_transformed(x, transformed, dilation)


def _cpu_backward(
    x: Array, kernel: Array, grad: Array, stride: int, dilation: int
) -> tuple[Array, Array]:
    if _suits_winograd(x, kernel, stride):
        return _winograd_backward(x, kernel, grad, dilation)
    grad_x, grad_kernel = _native_backward(x, kernel, grad, stride, dilation)
    if _is_stem(x, kernel, stride):
        grad_kernel = _stem_kernel_gradient(x, grad)
    return grad_x, grad_kernel


def _suits_winograd(x: Array, kernel: Array, stride: int) -> bool:
    """Whether Winograd's algorithm is faster on a CPU."""
    square = kernel.shape[:2] == (3, 3) and stride == 1
    return square and x.dtype == jnp.float32 and min(kernel.shape[2:]) >= _MIN_CHANNELS


def _is_stem(x: Array, kernel: Array, stride: int) -> bool:
    """Whether this is a ResNet's first convolution, of few images with even sides."""
    batch, height, width, _ = x.shape
    if kernel.shape[:3] != (7, 7, 3) or stride != 2 or height % 2 or width % 2:
        return False
    return batch * height * width <= _STEM_PIXELS


def _stem_kernel_gradient(x: Array, grad: Array) -> Array:
    """The gradient by a kernel [7,7,C,K], stride 2, as a product for each of its rows.

    XLA's own convolution takes twice as long for so few channels. Pixels are gathered by twos, as
    the stride takes them: four such are a row of the kernel, and a pixel before it.
    """
    batch, height, width, channels = x.shape
    h, w = height // 2, width // 2
    x = jnp.pad(x, ((0, 0), (4, 2), (4, 2), (0, 0))).reshape(batch, height + 6, w + 3, -1)
    windows = jnp.concatenate([x[:, :, place : place + w] for place in range(4)], -1)
    windows = windows.reshape(batch, h + 3, 2, w, 8 * channels)
    grad = grad.reshape(-1, grad.shape[-1])
    rows = [
        windows[:, row // 2 : row // 2 + h, row % 2].reshape(len(grad), -1).T @ grad
        for row in range(1, 8)
    ]
    return jnp.stack(rows).reshape(7, 8, channels, -1)[:, 1:]


def _tile(x: Array) -> int:
    batch, height, width, _ = x.shape
    return 4 if batch * height * width >= _MANY_PIXELS else 2


def native(x: Array, kernel: Array, stride: int, dilation: int, groups: int = 1) -> Array:
    """What `conv` computes, by XLA's own convolution, in so many groups of channels."""
    padding = dilation * (kernel.shape[0] // 2)
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=[(padding, padding)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        feature_group_count=groups,
    )


def _native_backward(
    x: Array, kernel: Array, grad: Array, stride: int, dilation: int
) -> tuple[Array, Array]:
    _, vjp = jax.vjp(functools.partial(native, stride=stride, dilation=dilation), x, kernel)
    return vjp(grad)


def _cuda_backward(
    x: Array, kernel: Array, grad: Array, stride: int, dilation: int
) -> tuple[Array, Array]:
    """The native gradients, but of a dilated convolution the kernel's from undilated maps.

    XLA knows no kernel of cuDNN's for it, and convolves the map by the whole gradient instead, in
    2.5 ms (H200, 8 x 64 x 64 x 512, bfloat16).
    """
    grad_x, grad_kernel = _native_backward(x, kernel, grad, stride, dilation)
    if dilation > 1 and stride == 1:
        x, grad = (_split(maps, dilation, tile=1) for maps in (x, grad))
        _, grad_kernel = _native_backward(x, kernel, grad, stride, dilation=1)
    return grad_x, grad_kernel


def _winograd_backward(x: Array, kernel: Array, grad: Array, dilation: int) -> tuple[Array, Array]:
    tile = _tile(x)
    split = functools.partial(_split, dilation=dilation, tile=tile)
    grad_x, grad_kernel = winograd.conv_vjp(split(x), kernel, split(grad), tile)
    return _merge(grad_x, x.shape, dilation), grad_kernel


def _split(x: Array, dilation: int, tile: int) -> Array:
    """Cuts maps into those of every `dilation`-th pixel, sides filled up to whole tiles.

    What a dilated convolution does to a map, an undilated one does to each of these: [B,H,W,C]
    becomes [B * dilation^2, h, w, C].
    """
    batch, height, width, channels = x.shape
    step = dilation * tile
    x = jnp.pad(x, ((0, 0), (0, -height % step), (0, -width % step), (0, 0)))
    if dilation == 1:
        return x
    h, w = x.shape[1] // dilation, x.shape[2] // dilation
    x = x.reshape(batch, h, dilation, w, dilation, channels).transpose(0, 2, 4, 1, 3, 5)
    return x.reshape(-1, h, w, channels)


def _merge(x: Array, shape: tuple[int, ...], dilation: int) -> Array:
    """Undoes `_split`: the map of `shape` [B,H,W,C]."""
    batch, height, width, channels = shape
    if dilation > 1:
        _, h, w, _ = x.shape
        x = x.reshape(batch, dilation, dilation, h, w, channels).transpose(0, 3, 1, 4, 2, 5)
        x = x.reshape(batch, h * dilation, w * dilation, channels)
    return x[:, :height, :width]
