"""Alignment of the fields of view against physical coordinates and SciPy."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import strategies as st

from ocelot_jax.models import alignment

SOURCE = (24, 36)
BATCH = 5

crop_upsample = jax.jit(alignment.crop_upsample, static_argnames='shape')


def positions(center, ratio, shape):
    """Where the result's pixels lie in the source, in pixels with centers at integers."""
    axes = []
    for size, source, middle in zip(shape, SOURCE, center[::-1], strict=True):
        relative = middle + ratio * ((np.arange(size) + 0.5) / size - 0.5)
        axes.append(relative * source - 0.5)
    return np.stack(np.meshgrid(*axes, indexing='ij'))


def inner_centers(ratio, seed=0):
    """Random centers whose crops, and what their pixels average, lie inside the source."""
    rng = np.random.default_rng(seed)
    # three pixels for the triangle that weights a pixel's mean
    low = ratio / 2 + 3 / np.array(SOURCE[::-1])
    return rng.uniform(low, 1 - low, (BATCH, 2)).astype(np.float32)


def random_map(channels=2, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((BATCH, *SOURCE, channels)).astype(np.float32)


def ratios(value):
    return np.full(BATCH, value, np.float32)


@pytest.mark.parametrize(
    ('ratio', 'shape', 'tolerance'),
    [
        # finer than the source, as at the input of the cell branch
        (0.25, (24, 36), 1e-4),
        (0.25, (13, 31), 1e-4),
        (0.4, (24, 36), 1e-4),
        (1 / 3, (8, 12), 1e-4),
        # finer in one direction, coarser by a whole number in the other
        (0.5, (24, 9), 1e-4),
        # coarser, as inside the branch
        (0.5, (6, 9), 1e-4),
        (0.25, (2, 3), 1e-4),
        # by a fraction: the weighted mean's middle is off by a little
        (0.4, (4, 6), 0.1),
    ],
)
def test_ramp_gives_the_physical_coordinates(ratio, shape, tolerance):
    ramp = np.stack(np.mgrid[: SOURCE[0], : SOURCE[1]], -1).astype(np.float32)
    center = inner_centers(ratio)
    got = crop_upsample(np.stack([ramp] * BATCH), center, ratios(ratio), shape=shape)
    assert got.shape == (BATCH, *shape, 2)
    for example, middle in zip(got, center, strict=True):
        wanted = positions(middle, ratio, shape)
        np.testing.assert_allclose(np.moveaxis(example, -1, 0), wanted, atol=tolerance)


@pytest.mark.parametrize(('ratio', 'shape'), [(0.25, (24, 36)), (0.4, (17, 20))])
def test_upsamples_as_scipy_at_the_border_too(ratio, shape):
    x = random_map()
    center = np.random.default_rng(2).uniform(ratio / 2, 1 - ratio / 2, (BATCH, 2))
    # the four corners of the tissue patch, exactly
    center[:4] = [(i, j) for i in (ratio / 2, 1 - ratio / 2) for j in (ratio / 2, 1 - ratio / 2)]
    got = crop_upsample(x, center.astype(np.float32), ratios(ratio), shape=shape)
    for example, source, middle in zip(got, x, center, strict=True):
        where = positions(middle, ratio, shape)
        for channel in range(x.shape[-1]):
            wanted = scipy.ndimage.map_coordinates(
                source[..., channel].astype(float), where, order=1, mode='nearest'
            )
            np.testing.assert_allclose(example[..., channel], wanted, atol=1e-4)


@pytest.mark.parametrize('shape', [(48, 54), (12, 18), (6, 9), (3, 2)])
def test_constant_stays_constant_at_the_border(shape):
    ratio = 0.25
    center = np.array([(0.125, 0.125), (0.875, 0.125), (0.125, 0.875), (0.875, 0.875), (0.5, 0.3)])
    x = np.full((BATCH, *SOURCE, 1), 7, np.float32)
    got = crop_upsample(x, center.astype(np.float32), ratios(ratio), shape=shape)
    np.testing.assert_allclose(got, np.full((BATCH, *shape, 1), 7), rtol=1e-5)


def test_means_where_coarser():
    """Each pixel is the mean weighted by a triangle of twice its width."""
    x = random_map(1)
    got = crop_upsample(x, np.full((BATCH, 2), 0.5, np.float32), ratios(0.5), shape=(6, 9))
    # the crop takes [6, 18) x [9, 27); two pixels of it make one of the result
    weights = np.array([1, 3, 3, 1]) / 8
    for row, column in np.ndindex(6, 9):
        top, left = 6 + 2 * row - 1, 9 + 2 * column - 1
        window = x[:, top : top + 4, left : left + 4, 0]
        wanted = np.einsum('i,j,bij->b', weights, weights, window)
        np.testing.assert_allclose(got[:, row, column, 0], wanted, atol=1e-5)


def test_whole_patch_is_unchanged():
    x = random_map()
    got = crop_upsample(x, np.full((BATCH, 2), 0.5, np.float32), ratios(1), shape=SOURCE)
    np.testing.assert_allclose(got, x, atol=1e-5)


def test_batch_is_one_by_one():
    x, center = random_map(), inner_centers(0.5)
    ratio = np.linspace(0.2, 0.5, BATCH, dtype=np.float32)
    whole = crop_upsample(x, center, ratio, shape=(10, 12))
    for i in range(BATCH):
        one = crop_upsample(x[i : i + 1], center[i : i + 1], ratio[i : i + 1], shape=(10, 12))
        np.testing.assert_allclose(whole[i], one[0], atol=1e-5)


@pytest.mark.parametrize('align', [alignment.crop_upsample, alignment.downsample_pad])
@pytest.mark.parametrize('shape', [(24, 36), (5, 7)])
def test_gradient_is_the_adjoint(align, shape):
    """The maps are linear: <A x, y> = <x, A^T y>, A^T y being the gradient."""
    x, center = random_map(), inner_centers(0.4)
    y = np.random.default_rng(5).standard_normal((BATCH, *shape, 2)).astype(np.float32)

    @jax.jit
    def product_and_gradient(x):
        return jax.value_and_grad(lambda x: jnp.vdot(align(x, center, ratios(0.4), shape), y))(x)

    left, _ = product_and_gradient(x)
    _, back = product_and_gradient(random_map(seed=6))
    assert np.abs(back).sum() > 1
    right = np.vdot(x.astype(float), back)
    np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ('cell', 'tissue', 'wanted'),
    [
        # OCELOT: 1024 px at 0.2 um/px in 1024 px at 0.8 um/px
        ((1024, 0.2), (1024, 0.8), 0.25),
        # TIGER: 128 px in 512 px of the same resolution
        ((128, 0.5), (512, 0.5), 0.25),
        ((256, 0.2), (512, 0.3), 1 / 3),
    ],
)
def test_fov_ratio(cell, tissue, wanted):
    batch = {}
    for name, (size, mpp) in {'cell': cell, 'tissue': tissue}.items():
        batch[f'{name}_image'] = jax.ShapeDtypeStruct((2, size, size, 3), np.uint8)
        batch[f'{name}_mpp'] = jnp.full(2, mpp, jnp.float32)
    np.testing.assert_allclose(alignment.fov_ratio(batch), [wanted] * 2, rtol=1e-6)


PATCH, RATIO = 256, 0.25
STRIDES = (1, 4, 16)
downsample_pad = jax.jit(alignment.downsample_pad, static_argnames='shape')
# the cell patch in a corner of the tissue patch, at a border, anywhere
middles = st.one_of(
    st.sampled_from([RATIO / 2, 1 - RATIO / 2]), st.floats(RATIO / 2, 1 - RATIO / 2)
)
# by share of the cell patch, a pixel of the coarsest tissue map away from its border
places = st.floats(0.25, 0.75)


def draw_point(place, size):
    """[1,n,n,1] map of one point at `place` (x, y), relative, shared by the four pixels around."""
    axes = [np.maximum(0, 1 - np.abs(p * size - 0.5 - np.arange(size))) for p in place[::-1]]
    return np.multiply.outer(*axes).astype(np.float32)[None, :, :, None]


def middle_of(drawn):
    """Relative (x, y) of what was drawn, weighted by its values."""
    weights = np.asarray(drawn, float)[0, :, :, 0]
    rows, columns = ((np.arange(n) + 0.5) / n for n in weights.shape)
    return np.array([weights.sum(0) @ columns, weights.sum(1) @ rows]) / weights.sum()


@pytest.mark.parametrize('given', STRIDES)
@pytest.mark.parametrize('taken', STRIDES)
@hypothesis.given(center=st.tuples(middles, middles), place=st.tuples(places, places))
@hypothesis.settings(max_examples=25, deadline=None)
def test_a_point_lies_at_its_place_in_the_other_frame(given, taken, center, place):
    """Within half a pixel of the coarser map: in the frame of the cells, of the tissue."""
    center, in_cell = np.float32(center), np.array(place)
    in_tissue = center + RATIO * (in_cell - 0.5)
    arguments = center[None], np.float32([RATIO])
    shape = (PATCH // taken, PATCH // taken)

    cropped = crop_upsample(draw_point(in_tissue, PATCH // given), *arguments, shape=shape)
    pixel = max(taken, given / RATIO) / PATCH
    assert np.abs(middle_of(cropped) - in_cell).max() < 0.5 * pixel

    padded = downsample_pad(draw_point(in_cell, PATCH // given), *arguments, shape=shape)
    pixel = max(taken, given * RATIO) / PATCH
    assert np.abs(middle_of(padded) - in_tissue).max() < 0.5 * pixel


@pytest.mark.parametrize('corner', [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_padding_is_zero_where_the_cell_patch_does_not_reach(corner):
    center = RATIO / 2 + (1 - RATIO) * np.float32(corner)
    ones = np.ones((1, 64, 64, 3), np.float32)
    got = downsample_pad(ones, center[None], np.float32([RATIO]), shape=(64, 64))
    wanted = np.zeros((64, 64))
    left, top = 48 * np.array(corner)
    wanted[top : top + 16, left : left + 16] = 1
    np.testing.assert_allclose(got[0], np.stack([wanted] * 3, -1), atol=1e-5)


def test_padding_then_cropping_gives_a_smooth_map_back():
    rows, columns = np.mgrid[:32, :32] / 32
    smooth = np.stack([rows + columns, rows * columns], -1).astype(np.float32)
    x = np.stack([smooth] * BATCH)
    center = np.random.default_rng(3).uniform(0.2, 0.8, (BATCH, 2)).astype(np.float32)
    arguments = center, ratios(RATIO)
    there = downsample_pad(x, *arguments, shape=(64, 64))
    back = np.asarray(crop_upsample(there, *arguments, shape=(32, 32)))
    # two pixels of the tissue map in from the border, where zeros are mixed in
    inner = np.s_[:, 4:-4, 4:-4]
    np.testing.assert_allclose(back[inner], x[inner], atol=0.03)
