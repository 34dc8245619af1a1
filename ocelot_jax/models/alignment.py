"""Maps between the fields of view of a pair (Fig. 5)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array


def fov_ratio(batch: dict[str, Array]) -> Array:
    """Side of the cell patch's field of view as a share of the tissue patch's, [B] float32."""
    cell_um = batch['cell_mpp'] * batch['cell_image'].shape[2]
    return cell_um / (batch['tissue_mpp'] * batch['tissue_image'].shape[2])


def crop_upsample(features: Array, center: Array, ratio: Array, shape: tuple[int, ...]) -> Array:
    """Brings a map of the tissue patch into the cell patch's frame (Fig. 5a).

    Each pixel of the result is the map's value at the same physical place, interpolated
    linearly; where the result is coarser than the map, as inside a branch, linearly weighted
    means over its pixels are taken. Any center, fractional pixels included, is exact.

    Args:
        features: [B,h,w,C] map that covers the tissue patch, at any stride.
        center: [B,2] relative center (x, y) of the cell patch in the tissue patch.
        ratio: [B] side of the cell patch's field of view over the tissue patch's.
        shape: (H, W) of the result, which covers the cell patch, at any stride.

    Returns:
        [B,H,W,C].
    """

    def place(center: Array, ratio: Array, source: Array, target: Array) -> tuple[Array, Array]:
        scale = target / (ratio * source)
        top_left = (center[::-1] - ratio / 2) * source
        return scale, -top_left * scale

    return _resample(features, center, ratio, shape, place)


def downsample_pad(features: Array, center: Array, ratio: Array, shape: tuple[int, ...]) -> Array:
    """Brings a map of the cell patch into the tissue patch's frame (Fig. 5b).

    The inverse of `crop_upsample`: values stay at their physical place, interpolated or averaged
    as there. Outside the cell patch the result is zero. Arguments are as there, too, but for the
    features [B,h,w,C], which cover the cell patch, and the result, which covers the tissue patch.
    """

    def place(center: Array, ratio: Array, source: Array, target: Array) -> tuple[Array, Array]:
        return ratio * target / source, (center[::-1] - ratio / 2) * target

    return _resample(features, center, ratio, shape, place)


def _resample(
    features: Array,
    center: Array,
    ratio: Array,
    shape: tuple[int, ...],
    place: Callable[[Array, Array, Array, Array], tuple[Array, Array]],
) -> Array:
    """Moves maps so that p, in pixels from the corner, goes to s * p + t; `place` gives s, t."""
    target, source = (jnp.asarray(x, jnp.float32) for x in (shape, features.shape[1:3]))

    def one(x: Array, center: Array, ratio: Array) -> Array:
        scale, move = place(center, ratio, source, target)
        size = (*shape, x.shape[-1])
        return jax.image.scale_and_translate(
            x, size, (0, 1), scale, move, 'linear', antialias=True
        )

    return jax.vmap(one)(features, center, ratio)
