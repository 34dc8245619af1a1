"""Cell points to a segmentation target (OCELOT, Section 4.1 and Appendix B)."""

import math

import chex
import jax
import jax.numpy as jnp

# 1.4 um at 0.2 um per pixel is 6.9999995 in float32; a pixel at distance 7 belongs to the disk.
_DISTANCE_SLACK = 1e-4

REACHES = {'disk': 1.0, 'gaussian': 2.0}
"""What `config.target.profile` can name, and how many radii a cell reaches from its center."""


def one_hot(labels: jax.Array, num_classes: int) -> jax.Array:
    """Labels [...] to probabilities [..., num_classes] f32: zeros for others, as 255 (unknown)."""
    return jax.nn.one_hot(labels, num_classes)


def cell_probabilities(
    points: jax.Array,
    labels: jax.Array,
    radius: jax.Array,
    shape: tuple[int, int],
    *,
    num_classes: int,
    max_radius: int,
    profile: str,
) -> jax.Array:
    """Draws each cell by a profile: how likely each pixel is to be of its class.

    A 'disk' (the paper's) is certain up to the radius. A 'gaussian' is certain at the center, a
    half at the radius, and ends at twice the radius, where it is 1/16: an annotated center is some
    pixels off, and a pixel at a nucleus's rim is less a nucleus than its middle (SoftCTM,
    Schoenpflug and Koelzer 2023).

    Args:
        points: as of `nearest_cells`, as are the labels and the shape.
        labels: [B,P] i32.
        radius: [B] f32, in pixels.
        shape: static.
        num_classes: 1 + K.
        max_radius: static upper bound of the radii in whole pixels.
        profile: one of `REACHES`.

    Returns:
        [B,H,W,1+K] f32, which sums to 1 at each pixel; class 0 is "no cell".
    """
    reach = REACHES[profile]
    target, squared = nearest_cells(
        points, labels, reach * radius, shape, max_radius=math.ceil(reach * max_radius)
    )
    truth = one_hot(target, num_classes)
    if profile == 'disk':
        return truth
    certain = jnp.where(target > 0, 2.0 ** -(squared / radius[:, None, None] ** 2), 1.0)
    return (certain[..., None] * truth).at[..., 0].add(1.0 - certain)


def nearest_cells(
    points: jax.Array,
    labels: jax.Array,
    radius: jax.Array,
    shape: tuple[int, int],
    *,
    max_radius: int,
) -> tuple[jax.Array, jax.Array]:
    """Draws each cell as a disk of a fixed radius filled with its label.

    A pixel belongs to a disk if its distance to the center is at most the radius. Where disks
    overlap the nearest center wins, and of equally near ones the higher label, so that the
    order of the points does not matter.

    Args:
        points: [B,P,2] f32, (x, y) in pixels of the cell patch, pixel centers at integers.
        labels: [B,P] i32, 1..K; 0 marks padding.
        radius: [B] f32, the disks' radius in pixels (1.4 um / cell_mpp in the paper).
        shape: (H, W) of the cell patch, static.
        max_radius: static upper bound of `radius` in whole pixels; larger radii are cut to it.

    Returns:
        [B,H,W] i32: the label, 0 where there is no cell; and [B,H,W] f32: the squared distance to
        the center of the nearest cell, in pixels, infinite where there is none.
    """
    batch, count = labels.shape
    chex.assert_shape(points, (batch, count, 2))
    chex.assert_shape(radius, (batch,))
    points = points.astype(jnp.float32)
    labels = labels.astype(jnp.int32)

    # A stamp of S = (2 * max_radius + 1)^2 pixels around the pixel nearest to a center holds its
    # disk: an integer offset of at most `max_radius + 0.5` is at most `max_radius`.
    height, width = shape
    offsets = jnp.arange(-max_radius, max_radius + 1)
    dy, dx = (offset.ravel() for offset in jnp.meshgrid(offsets, offsets, indexing='ij'))
    nearest_pixel = jnp.round(points).astype(jnp.int32)
    columns = nearest_pixel[..., 0, None] + dx
    rows = nearest_pixel[..., 1, None] + dy
    squared_distances = (columns - points[..., 0, None]) ** 2 + (rows - points[..., 1, None]) ** 2
    # The barrier keeps both uses of the distances on the same bits: compiled twice, in two
    # fusions, they could round apart and `==` below would lose the cell.
    squared_distances = jax.lax.optimization_barrier(squared_distances)

    limit = (jnp.minimum(radius, max_radius) + _DISTANCE_SLACK)[:, None, None]
    drawn = (squared_distances <= limit**2) & (labels > 0)[..., None]
    drawn &= (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    # Rows past the end are dropped by both scatters, padding included.
    pixels = (jnp.arange(batch)[:, None, None], jnp.where(drawn, rows, height), columns)
    nearest = jnp.full((batch, *shape), jnp.inf).at[pixels].min(squared_distances, mode='drop')
    wins = squared_distances == nearest[pixels]
    winning_labels = jnp.where(wins, labels[..., None], 0)
    target = jnp.zeros((batch, *shape), jnp.int32).at[pixels].max(winning_labels, mode='drop')
    return target, nearest
