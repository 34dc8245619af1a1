"""Pairs at another scale, against SciPy and by places in micrometres."""

import jax
import numpy as np
import pytest
import scipy.ndimage

from ocelot_jax.data import scaling

SIZE = 24
CENTER = np.array([0.4, 0.65], np.float32)
# both patches have equally many pixels, so this is the ratio of their um/px, too
RATIO = 0.25
magnify = jax.jit(scaling.magnify)


def pair():
    rng = np.random.default_rng(0)
    return {
        'cell_image': rng.random((SIZE, SIZE, 3), np.float32),
        'tissue_image': rng.random((SIZE, SIZE, 3), np.float32),
        'tissue_mask': rng.integers(0, 2, (SIZE, SIZE)).astype(np.uint8),
        'center': CENTER,
        'cell_points': rng.uniform(0, SIZE - 1, (30, 2)).astype(np.float32),
        'cell_labels': rng.integers(0, 3, 30).astype(np.int32),
    }


def sources(center, factor):
    """Rows and columns [2,H,W] that each pixel comes from; the center (x, y) stays."""
    still = (np.array(center)[::-1] * SIZE - 0.5)[:, None, None]
    return still + (np.mgrid[:SIZE, :SIZE] - still) / factor


@pytest.mark.parametrize('factor', [0.8, 1.0, 1.3])
def test_images_and_mask_are_scipys(factor):
    before, after = pair(), magnify(pair(), factor)
    for name, center in (('cell_image', (0.5, 0.5)), ('tissue_image', CENTER)):
        places = sources(center, factor)
        for channel in range(3):
            wanted = scipy.ndimage.map_coordinates(
                before[name][..., channel], places, order=1, mode='nearest'
            )
            np.testing.assert_allclose(after[name][..., channel], wanted, atol=1e-5)
    places = sources(CENTER, factor)
    known = ((places >= -0.5) & (places < SIZE - 0.5)).all(0)
    wanted = scipy.ndimage.map_coordinates(before['tissue_mask'], places, order=0, mode='nearest')
    wanted = np.where(known, wanted, 255)
    # but for pixels half way between two
    clear = (np.abs(places % 1 - 0.5) > 1e-4).all(0)
    np.testing.assert_array_equal(np.asarray(after['tissue_mask'])[clear], wanted[clear])
    inside = sources((0.5, 0.5), factor)
    wanted = ((inside >= -0.5) & (inside < SIZE - 0.5)).all(0)
    np.testing.assert_array_equal(after['cell_known'], wanted)


def test_a_factor_of_one_changes_nothing():
    before, after = pair(), magnify(pair(), 1.0)
    assert np.asarray(after.pop('cell_known')).all()
    held = before['cell_labels'] > 0
    for name, array in before.items():
        rows = held if name == 'cell_points' else slice(None)
        np.testing.assert_allclose(after[name][rows], array[rows], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize('factor', [0.7, 1.5])
def test_cells_go_where_their_pixels_go(factor):
    before = pair()
    before['cell_points'] = np.array([[3, 4], [12, 9], [20, 18], [0, 0]], np.float32)
    before['cell_labels'] = np.array([1, 2, 1, 0], np.int32)
    image = np.zeros((SIZE, SIZE, 3), np.float32)
    for channel, (x, y) in enumerate(before['cell_points'][:3].astype(int)):
        image[y, x, channel] = 1
    after = magnify(
        before | {'cell_image': scipy.ndimage.gaussian_filter(image, (1, 1, 0))}, factor
    )
    for channel in range(3):
        x, y = after['cell_points'][channel]
        shown = np.asarray(after['cell_image'][..., channel])
        if after['cell_labels'][channel] == 0:
            assert (x, y) == (0, 0)
            still = (SIZE - 1) / 2
            gone = still + factor * (before['cell_points'][channel] - still)
            assert (gone < -0.5).any() or (gone >= SIZE - 0.5).any()
            continue
        assert after['cell_labels'][channel] == before['cell_labels'][channel]
        middle = scipy.ndimage.center_of_mass(shown)
        np.testing.assert_allclose((y, x), middle, atol=0.6)
    assert after['cell_labels'][3] == 0


@pytest.mark.parametrize('factor', [0.8, 1.4])
def test_both_patches_still_show_the_same_place(factor):
    """Images whose values are micrometres on the slide, where a cell pixel is 1 um."""

    def ramps(center_um, mpp):
        y, x = center_um[::-1, None, None] + mpp * (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2)
        return np.stack([x, y, 0 * x], -1).astype(np.float32)

    tissue_middle = np.array([100.0, 200.0])
    cell_middle = tissue_middle + (CENTER - 0.5) * SIZE / RATIO
    images = {
        'cell_image': ramps(cell_middle, 1.0), 'tissue_image': ramps(tissue_middle, 1 / RATIO)
    }  # fmt: skip
    after = magnify(pair() | images, factor)
    known = np.asarray(after['cell_known'])
    for row, column in ((5, 8), (12, 12), (17, 6)):
        assert known[row, column]
        # the pixel's place in the tissue patch, by `center` and the ratio, which did not change
        offset = (np.array([column, row]) - (SIZE - 1) / 2) * RATIO
        x, y = after['center'] * SIZE - 0.5 + offset
        there = [
            scipy.ndimage.map_coordinates(after['tissue_image'][..., k], [[y], [x]], order=1)[0]
            for k in range(2)
        ]
        np.testing.assert_allclose(after['cell_image'][row, column, :2], there, atol=0.05)
