"""Cells from a cell probability map: local peaks, their class and confidence (Appendix B).

`detect` runs on the device, batched and jit-compiled; `detect_skimage` is the reference on the
host. Both find the peaks that `skimage.feature.peak_local_max` finds, in its order.
"""

import functools

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
import skimage.feature
from jax import lax

from ocelot_jax.metrics.cells import Cells

Array = jax.Array | np.ndarray

_TRUNCATE = 4.0  # Radius of the Gaussian in sigmas, as SciPy and scikit-image have it.


class PaddedCells(flax.struct.PyTreeNode):
    """The cells of a batch of patches, padded to N per patch, by falling peak height.

    Attributes:
        points: [B, N, 2] float32, (x, y) in pixels of the cell patch; zeros in the padding.
        labels: [B, N] int32, 1..K; 0 in the padding.
        scores: [B, N] float32, the probability of the cell's class; 0 in the padding.
        heights: [B, N] float32, the smoothed 1 - p(no cell) at the peak; 0 in the padding.
        count: [B] int32, cells held, at most N.
        num_peaks: [B] int32, peaks found; greater than `count` where N was too small.
    """

    points: Array
    labels: Array
    scores: Array
    heights: Array
    count: Array
    num_peaks: Array

    def of_patch(self, row: int) -> Cells:
        """The cells of one patch, without padding, as NumPy arrays."""
        held = slice(int(self.count[row]))
        arrays = (self.points, self.labels, self.scores)
        return Cells(*(np.asarray(array[row])[held] for array in arrays))


def to_pixels(length_um: float, mpp: float) -> float:
    """Expresses a length in pixels of a patch with `mpp` micrometres per pixel."""
    return length_um / mpp


def to_whole_pixels(length_um: float, mpp: float) -> int:
    """Expresses a length in whole pixels, rounded and no less than 1, as `min_distance` is."""
    return max(1, int(to_pixels(length_um, mpp) + 0.5))


def smoothing_radius(sigma: float) -> int:
    """Pixels from the middle of the Gaussian of `sigma` pixels to its end."""
    return int(_TRUNCATE * sigma + 0.5)


def detect(
    probs: jax.Array,
    *,
    sigma: float | np.ndarray,
    min_distance: int,
    threshold: float | jax.Array,
    max_cells: int,
) -> PaddedCells:
    """Finds cells at the local peaks of 1 - p(no cell) (Section 5.1, Appendix B).

    Args:
        probs: [B, H, W, 1 + K], class probabilities; channel 0 is "no cell".
        sigma: standard deviation in pixels of the Gaussian that smooths the peak map; 0 for none;
            or that of each patch, [B].
        min_distance: pixels, at least 1; peaks are maxima of windows of 2 * min_distance + 1.
        threshold: peaks are higher than this; may be traced.
        max_cells: N, the most cells per patch; the highest peaks are taken.

    Returns:
        The cells. Their class and confidence come from the unsmoothed probabilities.

    Raises:
        ValueError: `min_distance` is below 1 or `sigma` is negative.
    """
    _check(sigma, min_distance)
    return _detect(
        probs,
        gaussian(sigma),
        threshold,
        min_distance=min_distance,
        max_cells=max_cells,
    )


@functools.partial(jax.jit, static_argnames=('min_distance', 'max_cells'))
def _detect(
    probs: jax.Array,
    weights: jax.Array,
    threshold: float | jax.Array,
    *,
    min_distance: int,
    max_cells: int,
) -> PaddedCells:
    """`detect` with the Gaussian's weights as data: patches of other um/px share the program."""
    probs = probs.astype(jnp.float32)
    height_map = peak_map(probs, weights)
    peaks = find_peaks(height_map, min_distance=min_distance, threshold=threshold - 1.0)
    batch, height, width = height_map.shape
    taken = min(max_cells, height * width)
    ranked = jnp.where(peaks, height_map, -jnp.inf).reshape(batch, -1)
    # The lower index first among equals, as skimage.
    heights, index = (
        jnp.pad(found, ((0, 0), (0, max_cells - taken))) for found in lax.top_k(ranked, taken)
    )
    num_peaks = peaks.sum(axis=(1, 2), dtype=jnp.int32)
    count = jnp.minimum(num_peaks, max_cells)
    held = jnp.arange(max_cells) < count[:, None]
    classes = probs.reshape(batch, height * width, -1)[..., 1:]
    classes = jnp.take_along_axis(classes, index[..., None], axis=1)
    points = jnp.stack([index % width, index // width], axis=-1).astype(jnp.float32)
    return PaddedCells(
        points=jnp.where(held[..., None], points, 0.0),
        labels=jnp.where(held, jnp.argmax(classes, axis=-1).astype(jnp.int32) + 1, 0),
        scores=jnp.where(held, classes.max(axis=-1), 0.0),
        heights=jnp.where(held, 1.0 + heights, 0.0),
        count=count,
        num_peaks=num_peaks,
    )


def gaussian(sigma: float | np.ndarray) -> np.ndarray:
    """Weights of a Gaussian from its middle outward, or of each of B, cut off at 4 sigmas.

    Args:
        sigma: standard deviation in pixels, 0 or more; or [B] of them.

    Returns:
        [1 or B, R + 1] float32, R that of the widest; narrower ones end in zeros.
    """
    sigmas = np.atleast_1d(np.asarray(sigma, np.float64))[:, None]
    reach = np.array([[smoothing_radius(each)] for each in sigmas[:, 0]])
    steps = np.arange(reach.max() + 1)
    with np.errstate(divide='ignore', invalid='ignore'):
        weights = np.where(steps == 0, 1.0, np.exp(-0.5 * (steps / sigmas) ** 2))
    weights = np.where(steps <= reach, weights, 0.0)
    whole = weights[:, :1] + 2 * weights[:, 1:].sum(1, keepdims=True)
    return (weights / whole).astype(np.float32)


def peak_map(probs: jax.Array, weights: jax.Array) -> jax.Array:
    """The map [B,H,W] whose peaks are cells: -p(no cell), smoothed by `gaussian`'s weights.

    It is the map of 1 - p(no cell) less 1. Where a network is sure of a cell the latter is 1 in
    float32 over whole clumps of nuclei, and a flat map has a peak in each window.
    """
    return _smooth(_smooth(-probs[..., 0], 1, weights), 2, weights)


def find_peaks(
    heights: jax.Array, *, min_distance: int, threshold: float | jax.Array
) -> jax.Array:
    """Where `skimage.feature.peak_local_max(..., exclude_border=False)` finds peaks.

    A candidate is a pixel above the threshold that is the maximum of its window of
    2 * min_distance + 1 pixels. Going down the candidates by height, then row by row, skimage
    drops those closer (Chebyshev) than `min_distance` to a kept one. Two candidates as close as
    that lie in each other's windows, so they are equally high: the suppression is a matter of
    plateaus alone, and the first candidate row by row goes before its neighbours. A constant
    map has no peaks.

    Returns:
        [B, H, W] bool, of heights [B, H, W] float32.
    """
    top = heights == _max_filter(heights, min_distance, -jnp.inf)
    trivial = top.all(axis=(1, 2), keepdims=True) & (heights[0].size > 1)
    candidates = top & ~trivial & (heights > threshold)
    if min_distance == 1:
        return candidates
    return _keep_spaced(candidates, min_distance - 1)


def _keep_spaced(candidates: jax.Array, radius: int) -> jax.Array:
    """Greedy choice, row by row, of candidates more than `radius` apart (Chebyshev).

    Each round keeps every candidate that is the first of its window, and the next round drops
    the neighbours of the kept ones: the greedy result in as many rounds as the longest
    chain of decisions, which is one where no plateau holds several candidates.
    """

    def firsts(undecided: jax.Array) -> jax.Array:
        return undecided & ~_any_before(undecided, radius)

    def one_round(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        kept, undecided = state
        undecided &= ~_max_filter(kept, radius, False)
        new = firsts(undecided)
        return kept | new, undecided & ~new

    kept = firsts(candidates)
    kept, _ = lax.while_loop(lambda state: state[1].any(), one_round, (kept, candidates & ~kept))
    return kept


def _any_before(x: jax.Array, radius: int) -> jax.Array:
    """Where a window of [B, H, W] bool holds one that is true above its middle, or left of it."""
    rows = _slide(x, 2, radius, radius, False)
    return _slide(rows, 1, radius, -1, False) | _slide(x, 2, radius, -1, False)


def _max_filter(x: jax.Array, radius: int, lowest: float) -> jax.Array:
    """Maximum over a square window of 2 * radius + 1 pixels of [B, H, W]."""
    return _slide(_slide(x, 1, radius, radius, lowest), 2, radius, radius, lowest)


def _slide(x: jax.Array, axis: int, before: int, after: int, lowest: float) -> jax.Array:
    """Maximum, along one axis, from `before` pixels before each to `after` after it.

    Each step joins two windows, so a window of n takes log2(n) steps.
    """
    window = before + 1 + after
    padding = [(before, after, 0) if each == axis else (0, 0, 0) for each in range(3)]
    x = lax.pad(x, jnp.asarray(lowest, x.dtype), padding)
    reached = 1
    while reached < window:
        step = min(reached, window - reached)
        size = x.shape[axis] - step
        x = jnp.maximum(
            lax.slice_in_dim(x, 0, size, axis=axis),
            lax.slice_in_dim(x, step, step + size, axis=axis),
        )
        reached += step
    return x


def _smooth(x: jax.Array, axis: int, weights: jax.Array) -> jax.Array:
    """Smooths [B,H,W] along one axis by weights [1 or B, R + 1], edges replicated.

    Shifted multiply-adds, because XLA on CPU takes 30 times as long for the one-channel
    convolution, and a TPU would round its inputs to bfloat16.
    """
    radius = weights.shape[1] - 1
    size = x.shape[axis]
    padding = [(0, 0)] * x.ndim
    padding[axis] = (radius, radius)
    # XLA would fuse this with the sum and choose between edge and map for each of its terms
    x = lax.optimization_barrier(jnp.pad(x, padding, mode='edge'))

    def shifted(offset: int) -> jax.Array:
        start = radius + offset
        return lax.slice_in_dim(x, start, start + size, axis=axis)

    def weight(offset: int) -> jax.Array:
        return weights[:, offset, None, None]

    out = weight(0) * shifted(0)
    for offset in range(1, radius + 1):
        out += weight(offset) * (shifted(-offset) + shifted(offset))
    return out


def detect_skimage(
    probs: np.ndarray,
    *,
    sigma: float | np.ndarray,
    min_distance: int,
    threshold: float,
    max_cells: int,
) -> PaddedCells:
    """`detect` by SciPy and scikit-image on the host: the same arguments, NumPy results."""
    _check(sigma, min_distance)
    probs = np.asarray(probs, np.float32)
    batch = len(probs)
    points = np.zeros((batch, max_cells, 2), np.float32)
    labels = np.zeros((batch, max_cells), np.int32)
    scores, top = (np.zeros((batch, max_cells), np.float32) for _ in range(2))
    num_peaks = np.zeros(batch, np.int32)
    for i, (patch, width) in enumerate(zip(probs, np.broadcast_to(sigma, batch), strict=True)):
        heights = -patch[..., 0]
        if width > 0:
            heights = scipy.ndimage.gaussian_filter(
                heights, width, mode='nearest', truncate=_TRUNCATE
            )
        peaks = skimage.feature.peak_local_max(
            heights,
            min_distance=min_distance,
            threshold_abs=threshold - 1.0,
            exclude_border=False,
        )
        num_peaks[i] = len(peaks)
        rows, columns = peaks[:max_cells].T
        classes = patch[rows, columns, 1:]
        points[i, : len(rows)] = np.stack([columns, rows], axis=-1)
        labels[i, : len(rows)] = classes.argmax(axis=-1) + 1
        scores[i, : len(rows)] = classes.max(axis=-1)
        top[i, : len(rows)] = 1.0 + heights[rows, columns]
    return PaddedCells(points, labels, scores, top, np.minimum(num_peaks, max_cells), num_peaks)


def _check(sigma: float | np.ndarray, min_distance: int) -> None:
    if min_distance < 1:
        raise ValueError(f'min_distance is {min_distance}, wanted at least 1 pixel')
    if np.any(np.asarray(sigma) < 0):
        raise ValueError(f'sigma is {sigma}, wanted 0 or more pixels')
