"""Maps between the fields of view of a pair (Fig. 5)."""

import jax
import jax.numpy as jnp

Array = jax.Array


def fov_ratio(batch: dict[str, Array]) -> Array:
    """Side of the cell patch's field of view as a share of the tissue patch's, [B] float32.

    Args:
        batch: `cell_image`, `tissue_image` [B,H,W,C] and `cell_mpp`, `tissue_mpp` [B] in um/px.
    """
    cell_um = batch['cell_mpp'] * batch['cell_image'].shape[2]
    return cell_um / (batch['tissue_mpp'] * batch['tissue_image'].shape[2])


def crop_upsample(features: Array, center: Array, ratio: Array, shape: tuple[int, int]) -> Array:
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
    target, source = _sizes(shape), _sizes(features.shape[1:3])

    def one(x: Array, center: Array, ratio: Array) -> Array:
        scale = target / (ratio * source)
        top_left = (center[::-1] - ratio / 2) * source
        return _resample(x, shape, scale, -top_left * scale)

    return jax.vmap(one)(features, center, ratio)


def downsample_pad(features: Array, center: Array, ratio: Array, shape: tuple[int, int]) -> Array:
    """Brings a map of the cell patch into the tissue patch's frame (Fig. 5b).

    The inverse of `crop_upsample`: values stay at their physical place, interpolated or averaged
    as there. Outside the cell patch the result is zero. Arguments are as there, too, but for the
    features [B,h,w,C], which cover the cell patch, and the result, which covers the tissue patch.
    """
    target, source = _sizes(shape), _sizes(features.shape[1:3])

    def one(x: Array, center: Array, ratio: Array) -> Array:
        scale = ratio * target / source
        return _resample(x, shape, scale, (center[::-1] - ratio / 2) * target)

    return jax.vmap(one)(features, center, ratio)


def _sizes(shape: tuple[int, ...]) -> Array:
    return jnp.asarray(shape, jnp.float32)


def _resample(x: Array, shape: tuple[int, int], scale: Array, translation: Array) -> Array:
    """Moves [h,w,C] to [H,W,C]: a place p, in pixels from the corner, goes to scale * p + t."""
    return jax.image.scale_and_translate(
        x, (*shape, x.shape[-1]), (0, 1), scale, translation, 'linear', antialias=True
    )
