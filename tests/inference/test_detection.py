"""Detection against scikit-image and SciPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import peak_local_max

from ocelot_jax.inference import detection

SHAPE = (20, 27)
DISTANCES = (1, 2, 3, 7, 40)


@functools.partial(jax.jit, static_argnames='min_distance')
def find_peaks(heights, threshold, min_distance):
    return detection.find_peaks(heights, min_distance=min_distance, threshold=threshold)


def skimage_peaks(heights, threshold, min_distance):
    return peak_local_max(
        heights, min_distance=min_distance, threshold_abs=threshold, exclude_border=False
    )


def as_probs(heights):
    """Probabilities of two classes whose peak map is `heights` where it is a multiple of 1/256."""
    heights = np.asarray(heights, np.float32)
    share = np.random.default_rng(7).random(heights.shape, np.float32)
    return np.stack([1 - heights, heights * share, heights * (1 - share)], axis=-1)


def random_map(seed, levels, block):
    """A map with many ties (`levels` values) and plateaus (`block` pixels a side)."""
    rng = np.random.default_rng(seed)
    size = [-(-n // block) for n in SHAPE]
    coarse = rng.integers(0, levels, size=size).repeat(block, 0).repeat(block, 1)
    return (coarse[: SHAPE[0], : SHAPE[1]] / 256).astype(np.float32)


@settings(max_examples=70, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([1, 2, 3, 10, 256]),
    block=st.sampled_from([1, 1, 2, 5, 9]),
    threshold=st.sampled_from([-1.0, 0.0, 1 / 256, 0.3]),
    min_distance=st.sampled_from(DISTANCES),
)
def test_peaks_are_those_of_skimage(seed, levels, block, threshold, min_distance):
    heights = random_map(seed, levels, block)
    got = np.argwhere(find_peaks(heights[None], threshold, min_distance)[0])
    want = skimage_peaks(heights, threshold, min_distance)
    np.testing.assert_array_equal(got, want[np.lexsort(want.T[::-1])])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([2, 10, 256]),
    block=st.sampled_from([1, 2, 5]),
    min_distance=st.sampled_from([1, 3]),
    max_cells=st.sampled_from([5, 60, 1000]),
)
def test_detect_agrees_with_the_reference_in_every_field(
    seed, levels, block, min_distance, max_cells
):
    probs = np.stack([as_probs(random_map(seed + i, levels, block)) for i in range(2)])
    settings_ = {'sigma': 0, 'min_distance': min_distance, 'threshold': 0.1}
    got = detection.detect(probs, max_cells=max_cells, **settings_)
    want = detection.detect_skimage(probs, max_cells=max_cells, **settings_)
    for name in ('points', 'labels', 'scores', 'count', 'num_peaks'):
        a, b = getattr(got, name), getattr(want, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize('max_cells', [3, 50])
def test_reference_follows_skimage_num_peaks(max_cells):
    heights = random_map(3, 40, 2)
    want = peak_local_max(
        heights, min_distance=3, threshold_abs=0.05, exclude_border=False, num_peaks=max_cells
    )
    cells = detection.detect_skimage(
        as_probs(heights)[None], sigma=0, min_distance=3, threshold=0.05, max_cells=max_cells
    )
    count = cells.count[0]
    np.testing.assert_array_equal(cells.points[0, :count, ::-1], want)


@pytest.mark.parametrize('sigma', [0.4, 1.0, 3.0, 12.0])
def test_smoothing_is_scipys(sigma):
    probs = as_probs(np.random.default_rng(0).random((2, 20, 33)))
    got = jax.jit(detection.peak_map)(probs, detection.gaussian(sigma))
    for i in range(2):
        want = scipy.ndimage.gaussian_filter(
            -probs[i, ..., 0].astype(np.float64), sigma, mode='nearest', truncate=4.0
        )
        np.testing.assert_allclose(got[i], want, atol=3e-7)


@pytest.mark.parametrize('sigma', [0.0, 1.0])
@pytest.mark.parametrize('detect', [detection.detect, detection.detect_skimage])
def test_a_clump_that_the_network_is_sure_of_has_a_peak_a_nucleus(detect, sigma):
    # less than half a unit in the last place of 1: all but certain, but not flat
    centers = np.array([[12, 20], [28, 20]])
    squared = ((np.mgrid[:40, :40][::-1, None] - centers.T[..., None, None]) ** 2).sum(0)
    absent = (1e-11 * (1 + squared.min(0))).astype(np.float32)
    absent[[0, -1]] = absent[:, [0, -1]] = 1.0
    probs = np.stack([absent, 1 - absent, np.zeros_like(absent)], -1)[None]
    assert (1 - absent == 1)[1:-1, 1:-1].all()
    cells = detect(probs, sigma=sigma, min_distance=9, threshold=0.5, max_cells=64)
    assert sorted(cells.of_patch(0).points.tolist()) == centers.tolist()
    np.testing.assert_array_equal(np.asarray(cells.heights)[0, :2], 1.0)


def test_smoothed_discs_are_found_at_their_centers():
    centers = np.array([[10, 12], [40, 9], [25, 40], [46, 48]])
    y, x = np.mgrid[:60, :60]
    heights = np.zeros((60, 60), np.float32)
    for cx, cy in centers:
        heights[(x - cx) ** 2 + (y - cy) ** 2 <= 49] = 1
    cells = detection.detect(
        as_probs(heights)[None], sigma=3.0, min_distance=7, threshold=0.1, max_cells=16
    )
    assert int(cells.count[0]) == 4
    found = np.asarray(cells.points[0, :4])
    np.testing.assert_array_equal(found[np.lexsort(found.T)], centers[np.lexsort(centers.T)])


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (9, 1), (4, 5)])
def test_small_maps(shape):
    heights = np.round(np.random.default_rng(1).random(shape) * 4).astype(np.float32) / 4 + 0.5
    for min_distance in (1, 3):
        got = find_peaks(heights[None], 0.1, min_distance)
        want = skimage_peaks(heights, 0.1, min_distance)
        np.testing.assert_array_equal(np.argwhere(got[0]), want[np.lexsort(want.T[::-1])])


def test_constant_map_has_no_cells_beside_one_that_has():
    spot = np.full(SHAPE, 0.5, np.float32)
    spot[4, 6] = 0.75
    probs = as_probs(np.stack([np.full(SHAPE, 0.5), spot]))
    cells = detection.detect(probs, sigma=0, min_distance=40, threshold=0.1, max_cells=8)
    np.testing.assert_array_equal(cells.count, [0, 1])
    np.testing.assert_array_equal(cells.points[1, 0], [6, 4])


def test_padding_is_zero_and_overflow_shows():
    heights = np.zeros(SHAPE, np.float32)
    heights[::5, ::5] = 0.5 + np.arange(24).reshape(4, 6) / 256
    probs = as_probs(heights)[None]
    few = detection.detect(probs, sigma=0, min_distance=2, threshold=0.1, max_cells=10)
    assert (int(few.count[0]), int(few.num_peaks[0])) == (10, 24)
    np.testing.assert_array_equal(few.points[0, 0], [25, 15])  # The highest is kept.
    many = detection.detect(probs, sigma=0, min_distance=2, threshold=0.1, max_cells=30)
    assert (int(many.count[0]), int(many.num_peaks[0])) == (24, 24)
    for name in ('points', 'labels', 'scores'):
        assert not np.any(getattr(many, name)[0, 24:]), name


def test_class_and_confidence_are_of_the_unsmoothed_probabilities():
    probs = np.zeros((1, 9, 9, 4), np.float32)
    probs[..., 0] = 1
    probs[0, 3, 5] = [0.25, 0.125, 0.5, 0.125]
    cells = detection.detect(probs, sigma=1.0, min_distance=2, threshold=0.01, max_cells=4)
    np.testing.assert_array_equal(cells.points[0, 0], [5, 3])
    assert int(cells.labels[0, 0]) == 2
    assert float(cells.scores[0, 0]) == 0.5


def test_threshold_may_be_traced():
    probs = jnp.asarray(as_probs(random_map(5, 256, 1)))[None]

    def count(threshold):
        return detection.detect(
            probs, sigma=0, min_distance=3, threshold=threshold, max_cells=12
        ).num_peaks[0]

    def counted(threshold):
        peaks = skimage_peaks(np.asarray(1 - probs[0, ..., 0]), threshold, 3)
        return len(peaks)

    assert [int(jax.jit(count)(t)) for t in (0.2, 0.96)] == [counted(t) for t in (0.2, 0.96)]


@pytest.mark.parametrize(
    ('length', 'mpp', 'pixels', 'whole'),
    [(3.0, 0.2, 15.0, 15), (1.4, 0.2, 7.0, 7), (1.4, 0.5, 2.8, 3), (0.1, 0.5, 0.2, 1)],
)
def test_micrometres_become_pixels(length, mpp, pixels, whole):
    assert detection.to_pixels(length, mpp) == pytest.approx(pixels)
    assert detection.to_whole_pixels(length, mpp) == whole


def test_each_patch_has_its_own_gaussian():
    """Also where some are not smoothed at all, and beside one that reaches far."""
    probs = as_probs(np.random.default_rng(0).random((4, 20, 33)))
    sigmas = np.array([0.4, 0.0, 3.0, 1.0])
    settings_ = {'min_distance': 2, 'threshold': 0.3, 'max_cells': 64}
    together = detection.detect(probs, sigma=sigmas, **settings_)
    reference = detection.detect_skimage(probs, sigma=sigmas, **settings_)
    for row, sigma in enumerate(sigmas):
        alone = detection.detect(probs[row : row + 1], sigma=float(sigma), **settings_)
        for cells in (together, reference):
            count = int(cells.count[row])
            assert count == int(alone.count[0]) > 1
            np.testing.assert_array_equal(cells.points[row], alone.points[0])
            np.testing.assert_allclose(cells.heights[row], alone.heights[0], atol=1e-6)
        points = np.asarray(alone.points[0, : int(alone.count[0])], int)
        smooth = scipy.ndimage.gaussian_filter(1 - probs[row, ..., 0], sigma, mode='nearest')
        np.testing.assert_allclose(
            alone.heights[0, : len(points)], smooth[points[:, 1], points[:, 0]], atol=1e-6
        )


@pytest.mark.parametrize('change', [{'min_distance': 0}, {'sigma': -1.0}])
@pytest.mark.parametrize('backend', [detection.detect, detection.detect_skimage])
def test_arguments_that_mean_nothing_are_refused(change, backend):
    arguments = {'sigma': 0.0, 'min_distance': 2, 'threshold': 0.1, 'max_cells': 4}
    with pytest.raises(ValueError, match=next(iter(change))):
        backend(as_probs(np.zeros((1, *SHAPE))), **(arguments | change))
