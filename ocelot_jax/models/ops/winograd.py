"""3x3 convolution by minimal filtering, which saves multiplications (for CPUs).

Winograd's algorithm F(m x m, 3 x 3), as Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks" (CVPR 2016), apply it: a tile of m x m outputs depends on a window of (m+2) x (m+2)
inputs; in a transformed space it costs one multiplication per input instead of nine per output,
2.25 times fewer for m = 2 and four times fewer for m = 4, where rounding costs a digit.

Every step is linear: what is at the places of a window is mixed by a small constant matrix, the
channels by one matrix product a place. So the gradients are the same steps, transposed.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


class _Transforms(NamedTuple):
    """The matrices B^T, G and A^T of F(m, 3) (Lavin and Gray, Sec. 4.1 and 4.3), for m x m tiles.

    Their shapes are [(m+2)^2,(m+2)^2], [(m+2)^2,9] and [m^2,(m+2)^2].
    """

    inputs: np.ndarray
    kernel: np.ndarray
    outputs: np.ndarray

    @classmethod
    def of_tile(cls, **matrices: list[list[float]]) -> '_Transforms':
        """From those of one dimension: both axes of a tile are transformed alike."""
        return cls(**{k: np.kron(m, m).astype(np.float32) for k, m in matrices.items()})


_TRANSFORMS = {
    2: _Transforms.of_tile(
        inputs=[[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        kernel=[[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
        outputs=[[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
    4: _Transforms.of_tile(
        inputs=[
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        kernel=[
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ],
        outputs=[
            [1, 1, 1, 1, 1, 0],
            [0, 1, -1, 2, -2, 0],
            [0, 1, 1, 4, 4, 0],
            [0, 1, -1, 8, -8, 1],
        ],
    ),
}


def transform_kernel(kernel: Array, tile: int) -> Array:
    """A kernel [3,3,C,K] as `conv` takes it: [(m+2)^2,C,K], m being `tile`, which is 2 or 4."""
    return _mix(_TRANSFORMS[tile].kernel, kernel.reshape(9, *kernel.shape[2:]))


def tile_of(transformed: Array) -> int:
    """The tile that a kernel was transformed for."""
    return math.isqrt(len(transformed)) - 2


def conv(x: Array, transformed: Array) -> Array:
    """Convolves with a transformed kernel, zeros beyond the border: [B,H,W,C] to [B,H,W,K].

    All is float32; H and W are multiples of the kernel's tile.
    """
    tile = tile_of(transformed)
    products = _transform_inputs(x, tile) @ transformed
    tiles = _mix(_TRANSFORMS[tile].outputs, products)
    batch, height, width, _ = x.shape
    blocks = tiles.reshape(tile, tile, batch, height // tile, width // tile, products.shape[-1])
    return _from_blocks(blocks)


def conv_vjp(x: Array, kernel: Array, grad: Array, tile: int) -> tuple[Array, Array]:
    """The gradients of `conv` by its input and its kernel [3,3,C,K], given that by its output."""
    transforms = _TRANSFORMS[tile]
    grads = _to_blocks(grad, tile).reshape(tile * tile, -1, grad.shape[-1])
    grads = _mix(transforms.outputs.T, grads)
    grad_inputs = jnp.einsum('ptk,pck->ptc', grads, transform_kernel(kernel, tile))
    grad_kernel = jnp.einsum('ptc,ptk->pck', _transform_inputs(x, tile), grads)
    grad_x = _from_windows(_mix(transforms.inputs.T, grad_inputs), x.shape, tile)
    return grad_x, _mix(transforms.kernel.T, grad_kernel).reshape(kernel.shape)


def _mix(matrix: np.ndarray, places: Array) -> Array:
    """[p,...] linear combinations of [q,...], given their coefficients [p,q]."""
    mixed = jnp.matmul(matrix, places.reshape(len(places), -1))
    return mixed.reshape(len(matrix), *places.shape[1:])


def _transform_inputs(x: Array, tile: int) -> Array:
    """[B,H,W,C] to [(m+2)^2,tiles,C]."""
    return _mix(_TRANSFORMS[tile].inputs, _to_windows(x, tile))


def _to_windows(x: Array, tile: int) -> Array:
    """[B,H,W,C] to [(m+2)^2,tiles,C]: each tile with the pixels around it."""
    batch, height, width, channels = x.shape
    h, w = height // tile, width // tile
    blocks = _to_blocks(jnp.pad(x, ((0, 0), (1, tile - 1), (1, tile - 1), (0, 0))), tile)
    # a window begins where its tile's block does and reaches two pixels into the next
    windows = jnp.concatenate([blocks[:, :, :, :-1], blocks[:2, :, :, 1:]], 0)
    windows = jnp.concatenate([windows[:, :, :, :, :-1], windows[:, :2, :, :, 1:]], 1)
    return windows.reshape(-1, batch * h * w, channels)


def _from_windows(windows: Array, shape: tuple[int, ...], tile: int) -> Array:
    """The transpose of `_to_windows`: adds [(m+2)^2,tiles,C] up to [B,H,W,C]."""
    batch, height, width, channels = shape
    side = tile + 2
    x = windows.reshape(side, side, batch, height // tile, width // tile, channels)
    x = _pad(x[:, :tile], {4: (0, 1)}) + _pad(x[:, tile:], {1: (0, tile - 2), 4: (1, 0)})
    x = _pad(x[:tile], {3: (0, 1)}) + _pad(x[tile:], {0: (0, tile - 2), 3: (1, 0)})
    return _from_blocks(x)[:, 1 : height + 1, 1 : width + 1]


def _pad(x: Array, widths: dict[int, tuple[int, int]]) -> Array:
    return jnp.pad(x, [widths.get(axis, (0, 0)) for axis in range(x.ndim)])


def _to_blocks(x: Array, size: int) -> Array:
    """[B,H,W,C] to [size,size,B,H/size,W/size,C]: a place in a block first, then which block."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // size, size, width // size, size, channels)
    return x.transpose(2, 4, 0, 1, 3, 5)


def _from_blocks(blocks: Array) -> Array:
    """Undoes `_to_blocks`."""
    size, _, batch, h, w, channels = blocks.shape
    return blocks.transpose(2, 3, 0, 4, 1, 5).reshape(batch, h * size, w * size, channels)
