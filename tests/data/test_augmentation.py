"""Augmentation against NumPy's turns and SciPy's filters, and by what it must leave alone."""

import colorsys
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from ocelot_jax.data import augmentation

SIZE = 16
SETTINGS = {
    'flip_probability': 0.0,
    'rotate_probability': 0.0,
    'blur_probability': 0.0,
    'blur_sigma': 1.5,
    'noise_probability': 0.0,
    'noise_std': 0.2,
    'color_probability': 0.0,
    'brightness': 0.3,
    'contrast': 0.5,
    'saturation': 0.5,
    'hue': 0.2,
    'stain_probability': 0.0,
    'stain': 0.1,
    'scale_probability': 0.0,
    'scale': 0.3,
}
GEOMETRY = ('tissue_mask', 'center', 'cell_points', 'cell_labels', 'cell_count', 'cell_mpp')
ORIENTATIONS = [(flip, turns) for flip in (False, True) for turns in range(4)]


compiled = jax.jit(augmentation.augment, static_argnames='settings')


def augmented(batch, seed=0, **probabilities):
    settings = augmentation.Settings(**(SETTINGS | probabilities))
    return compiled(jax.random.key(seed), batch, settings)


turn = jax.jit(augmentation.turn)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    count = np.array([3, 0, 5, 1], np.int32)
    held = np.arange(6) < count[:, None]
    return {
        'cell_image': rng.integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8),
        'tissue_image': rng.integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8),
        'tissue_mask': rng.choice(np.array([0, 1, 255], np.uint8), (4, SIZE, SIZE)),
        'center': rng.uniform(0.125, 0.875, (4, 2)).astype(np.float32),
        'cell_points': rng.integers(0, SIZE, (4, 6, 2)).astype(np.float32) * held[..., None],
        'cell_labels': rng.integers(1, 3, (4, 6), dtype=np.int32) * held,
        'cell_count': count,
        'cell_mpp': np.full(4, 0.2, np.float32),
        'tissue_mpp': np.full(4, 0.8, np.float32),
        'index': np.array([7, 2, 5, 11], np.int32),
        'valid': np.ones(4, bool),
    }


def one_pair(batch, row=2):
    names = ('cell_image', 'tissue_image', 'tissue_mask', 'center', 'cell_points', 'cell_labels')
    return {name: batch[name][row] for name in names}


def reference_turn(image, flip, turns):
    return np.rot90(image[:, ::-1] if flip else image, turns)


def render(points, labels):
    image = np.zeros((SIZE, SIZE), np.int32)
    for (x, y), label in zip(np.asarray(points), np.asarray(labels), strict=True):
        if label:
            assert x == int(x)
            assert y == int(y)
            image[int(y), int(x)] += label
    return image


@pytest.mark.parametrize(('flip', 'turns'), ORIENTATIONS)
def test_turn_agrees_with_rot90(batch, flip, turns):
    pair = one_pair(batch)
    turned = turn(pair, jnp.array(flip), jnp.array(turns))
    for name in ('cell_image', 'tissue_image', 'tissue_mask'):
        np.testing.assert_array_equal(turned[name], reference_turn(pair[name], flip, turns))
    np.testing.assert_array_equal(
        render(turned['cell_points'], turned['cell_labels']),
        reference_turn(render(pair['cell_points'], pair['cell_labels']), flip, turns),
    )
    assert not np.asarray(turned['cell_points'])[pair['cell_labels'] == 0].any()


@pytest.mark.parametrize(('flip', 'turns'), ORIENTATIONS)
def test_center_still_finds_the_cell_patch_in_the_tissue_patch(batch, flip, turns):
    # The cell patch is the quarter of the tissue patch at columns 3..6 and rows 9..12.
    pair = one_pair(batch)
    half = SIZE // 8
    pair['center'] = np.array([3 + half, 9 + half], np.float32) / SIZE
    inside = pair['tissue_image'][9:13, 3:7]
    turned = turn(pair, jnp.array(flip), jnp.array(turns))
    left, top = np.asarray(turned['center']) * SIZE - half
    found = np.asarray(turned['tissue_image'])[int(top) :, int(left) :][: 2 * half, : 2 * half]
    np.testing.assert_array_equal(found, reference_turn(inside, flip, turns))


def test_all_orientations_occur_and_only_those(batch):
    batch['index'] = np.arange(4, dtype=np.int32)
    seen = set()
    for seed in range(20):
        out = augmented(batch, seed, flip_probability=0.5, rotate_probability=0.75)
        for row in range(4):
            mask = np.asarray(out['tissue_mask'][row])
            candidates = [reference_turn(batch['tissue_mask'][row], *o) for o in ORIENTATIONS]
            [match] = [i for i, each in enumerate(candidates) if np.array_equal(mask, each)]
            seen.add(match)
    assert seen == set(range(8))


def test_probability_zero_is_the_identity(batch):
    out = augmented(batch)
    for name in ('cell_image', 'tissue_image'):
        np.testing.assert_allclose(out[name], batch[name] / 255.0, rtol=1e-6)
    for name in set(batch) - {'cell_image', 'tissue_image'}:
        np.testing.assert_array_equal(out[name], batch[name])


PHOTOMETRIC = ['blur_probability', 'noise_probability', 'color_probability', 'stain_probability']
SHARED = PHOTOMETRIC[2:]


@pytest.mark.parametrize('probability', PHOTOMETRIC)
def test_photometric_change_images_alone_and_stay_in_range(batch, probability):
    out = augmented(batch, **{probability: 1.0})
    for name in ('cell_image', 'tissue_image'):
        image = np.asarray(out[name])
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1
        changed = np.abs(image - batch[name] / 255.0).max(axis=(1, 2, 3)) > 1e-3
        # A blur may be drawn too narrow to be seen.
        assert changed.sum() >= 3
    for name in GEOMETRY:
        np.testing.assert_array_equal(out[name], batch[name])


@pytest.mark.parametrize('probability', SHARED)
def test_both_patches_share_colors_and_stains(batch, probability):
    # the cell patch is a corner of the tissue patch, so that its mean color is another
    corner = np.s_[:, SIZE // 2 :, SIZE // 2 :]
    batch['cell_image'] = batch['tissue_image'][corner].copy()
    out = augmented(batch, **{probability: 1.0})
    np.testing.assert_allclose(out['cell_image'], out['tissue_image'][corner], atol=1e-6)
    # Every pair has its own.
    batch['tissue_image'][:] = batch['tissue_image'][:1]
    images = np.asarray(augmented(batch, **{probability: 1.0})['tissue_image'])
    assert all(np.abs(images[0] - other).max() > 1e-2 for other in images[1:])


def test_scales_are_drawn_within_their_bounds(batch):
    """By how far two cells of a pair are apart."""
    batch['cell_points'][:, :2] = [[SIZE / 2 - 3, 5], [SIZE / 2 + 3, 5]]
    batch['cell_labels'][:, :2] = 1
    apart = lambda pairs: np.diff(np.asarray(pairs['cell_points'])[:, :2, 0])[:, 0]
    found = (
        np.concatenate(
            [apart(augmented(batch, seed, scale_probability=1.0)) for seed in range(20)]
        )
        / apart(batch).mean()
    )
    assert 1 / 1.3 <= found.min() < 0.85
    assert 1.15 < found.max() <= 1.3
    assert abs(np.log(found).mean()) < 0.06
    assert 'cell_known' not in augmented(batch)


@pytest.mark.parametrize('probability', PHOTOMETRIC[:2])
def test_patches_are_blurred_and_get_noise_apart(batch, probability):
    batch['cell_image'] = batch['tissue_image'].copy()
    out = augmented(batch, **{probability: 1.0})
    apart = np.abs(np.asarray(out['cell_image'] - out['tissue_image'])).max(axis=(1, 2, 3))
    assert (apart > 1e-2).all()


def test_change_of_color_agrees_with_colorsys():
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (5, 7, 3)).astype(np.float32)
    brightness, contrast, saturation, hue = 0.05, -0.2, 0.3, -0.1
    pivot = np.array([0.5, 0.4, 0.6], np.float32)
    out = augmentation._change_color(image, [brightness, contrast, saturation, hue], pivot)
    for index in np.ndindex(5, 7):
        rgb = pivot + brightness + (1 + contrast) * (image[index] - pivot)
        h, s, v = colorsys.rgb_to_hsv(*np.clip(rgb, 0, 1))
        expected = colorsys.hsv_to_rgb((h + hue) % 1, min(1, s * (1 + saturation)), v)
        np.testing.assert_allclose(out[index], expected, atol=1e-5)


@pytest.mark.parametrize('sigma', [0.0, 0.4, 1.0, 1.7])
def test_blur_agrees_with_scipy(sigma):
    image = np.random.default_rng(0).uniform(0, 1, (9, 14, 3)).astype(np.float32)
    out = augmentation.gaussian_blur(image, jnp.float32(sigma), radius=5)
    expected = image
    if sigma:
        expected = scipy.ndimage.gaussian_filter(
            image, (sigma, sigma, 0), mode='nearest', radius=(5, 5, 0)
        )
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_noise_has_the_drawn_deviation():
    image = jnp.full((100, 100, 3), 0.5)
    noisy = jax.vmap(lambda key: augmentation._add_noise(key, image, 1.0, 0.1))(
        jax.random.split(jax.random.key(0), 40)
    )
    noise = np.asarray(noisy) - 0.5
    deviations = noise.std(axis=(1, 2, 3))
    assert deviations.max() < 0.102
    assert deviations.min() < 0.03
    assert deviations.max() > 0.07
    np.testing.assert_allclose(noise.mean(axis=(1, 2, 3)), 0, atol=4e-3)


def test_each_change_is_drawn_by_itself(batch):
    many = {name: np.repeat(field[:1], 64, axis=0) for name, field in batch.items()}
    many['index'] = np.arange(64, dtype=np.int32)
    plain = augmented(many)
    changed = {}
    for probability in (name for name in SETTINGS if name.endswith('_probability')):
        got = augmented(many, **{probability: 0.5})
        for name in ('cell_image', 'tissue_image'):
            changed[probability, name] = np.any(got[name] != plain[name], axis=(1, 2, 3))
    for (one, first), (other, second) in itertools.combinations(changed.items(), 2):
        both, least = np.sum(first & second), 5
        if one[0] == other[0] and one[0] not in PHOTOMETRIC[:2]:
            assert both == first.sum() == second.sum()
        else:
            assert least < both < min(first.sum(), second.sum()) - least, (one, other)


def test_examples_depend_on_key_and_index_and_not_on_their_place(batch):
    everything = functools.partial(
        augmented, **{name: 1.0 for name in PHOTOMETRIC}, flip_probability=0.5
    )
    out = everything(batch)
    again = everything({name: a[::-1] for name, a in batch.items()})
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[::-1], atol=1e-6), out, again)
    other_key = everything(batch, seed=1)
    other_index = everything({**batch, 'index': batch['index'] + 1})
    for other in (other_key, other_index):
        difference = np.abs(np.asarray(out['cell_image'] - other['cell_image']))
        assert (difference.max(axis=(1, 2, 3)) > 1e-3).all()


def test_oblong_patches_are_refused(batch):
    batch['cell_image'] = batch['cell_image'][:, : SIZE // 2]
    with pytest.raises(AssertionError):
        augmented(batch)


def test_normalize_to_imagenet():
    images = np.array([[[[0.485, 0.456, 0.406]]], [[[0.485 + 0.229, 0.456, 0.406 - 0.225]]]])
    normalized = augmentation.normalize(augmentation.to_float(images.astype(np.float32)))
    np.testing.assert_allclose(normalized.reshape(2, 3), [[0, 0, 0], [1, 0, -1]], atol=1e-6)
    white = augmentation.normalize(augmentation.to_float(np.full((1, 1, 3), 255, np.uint8)))
    np.testing.assert_allclose(white.ravel(), [2.24891, 2.42857, 2.64], rtol=1e-5)
