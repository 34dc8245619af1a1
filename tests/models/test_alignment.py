"""Alignment of the fields of view against physical coordinates and SciPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

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
        np.testing.assert_allclose(whole[i], one[0], atol=1e-6)


@pytest.mark.parametrize('shape', [(24, 36), (5, 7)])
def test_gradient_is_the_adjoint(shape):
    """The map is linear: <A x, y> = <x, A^T y>, A^T y being the gradient."""
    x, center = random_map(), inner_centers(0.4)
    forward = functools.partial(crop_upsample, center=center, ratio=ratios(0.4), shape=shape)
    y = np.random.default_rng(5).standard_normal((BATCH, *shape, 2)).astype(np.float32)
    back = jax.jit(jax.grad(lambda x: jnp.vdot(forward(x), y)))(random_map(seed=6))
    assert np.abs(back).sum() > 1
    left = np.vdot(np.asarray(forward(x), float), y)
    np.testing.assert_allclose(left, np.vdot(x.astype(float), back), rtol=1e-4, atol=1e-3)


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
