"""Pairs at another scale, as another scanner would show them.

Slides that say 0.25 um/px are not all alike, and nuclei differ in size from patient to patient.
"""

from typing import Any

import jax
import jax.numpy as jnp

_UNKNOWN = 255


def magnify(pair: dict[str, Any], factor: jax.Array) -> dict[str, jax.Array]:
    """Magnifies both patches of a pair about the middle of the cell patch.

    The middle of the cell patch stays where it is in either patch, and so do `center` and the
    fields of view: what is shown is a `factor` larger. Where the patches were shrunk, their border
    is repeated outwards; what is there is not known.

    Args:
        pair: one example, without the batch axis: cell_image [H,H,3] and tissue_image [h,h,3] f32,
            tissue_mask [h,h], center [2], cell_points [P,2] with cell_labels [P].
        factor: scalar f32, above 0.

    Returns:
        The pair, with `cell_known` [H,H] bool besides. Cells that leave the patch become padding,
        zeros under label 0; the mask is 255 where nothing was annotated.
    """
    size, middle = pair['cell_image'].shape[0], jnp.array([0.5, 0.5])
    points = (size - 1) / 2 + factor * (pair['cell_points'] - (size - 1) / 2)
    inside = ((points >= -0.5) & (points < size - 0.5)).all(-1) & (pair['cell_labels'] > 0)
    rows, columns = _sources(size, middle, factor)
    mask = pair['tissue_mask']
    places = _sources(mask.shape[0], pair['center'], factor)
    return {
        **pair,
        'cell_image': _interpolate(pair['cell_image'], rows, columns),
        'cell_known': _is_inside(rows, size)[:, None] & _is_inside(columns, size),
        'cell_points': jnp.where(inside[:, None], points, 0.0),
        'cell_labels': jnp.where(inside, pair['cell_labels'], 0),
        'tissue_image': _interpolate(pair['tissue_image'], *places),
        'tissue_mask': _nearest(mask, *places),
    }


def _sources(size: int, center: jax.Array, factor: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where the rows and columns of the result come from, in pixels: [size] each.

    `center` [2] is the relative (x, y) of the point that stays.
    """
    x, y = size * center - 0.5
    pixels = jnp.arange(size, dtype=jnp.float32)
    return y + (pixels - y) / factor, x + (pixels - x) / factor


def _is_inside(places: jax.Array, size: int) -> jax.Array:
    return (places >= -0.5) & (places < size - 0.5)


def _interpolate(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Linear interpolation of an image [H,W,C], as two matrix products."""

    def weights(places: jax.Array, size: int) -> jax.Array:
        places = jnp.clip(places, 0.0, size - 1.0)[:, None]
        return jnp.maximum(0.0, 1.0 - jnp.abs(places - jnp.arange(size)))

    by_row, by_column = weights(rows, image.shape[0]), weights(columns, image.shape[1])
    return jnp.einsum('Hh,Ww,hwc->HWc', by_row, by_column, image, precision='highest')


def _nearest(mask: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """The nearest pixel of a mask [H,W]; 255 beyond its border."""
    height, width = mask.shape
    inside = _is_inside(rows, height)[:, None] & _is_inside(columns, width)
    indices = [
        jnp.clip(jnp.round(places), 0, size - 1).astype(jnp.int32)
        for places, size in ((rows, height), (columns, width))
    ]
    held = mask[indices[0][:, None], indices[1]]
    return jnp.where(inside, held, jnp.array(_UNKNOWN, mask.dtype))
