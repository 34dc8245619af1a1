"""What patches look like, against slow formulas; and what is told of others."""

import drawn_looks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageFilter
from scipy.spatial import distance

from ocelot_jax.data import appearance

MPP = 0.5
PATCHES = hnp.arrays(np.uint8, st.tuples(st.integers(16, 37), st.integers(16, 37), st.just(3)))


def slow_features(image):
    """Pixel by pixel, in the words of the docstring."""
    density = -np.log10(np.clip(image.astype(float), 1, 255) / 255)
    means = [density[..., channel].mean() for channel in range(3)]
    spread = np.mean([max(pixel) - min(pixel) for pixel in density.reshape(-1, 3)])
    gray = density.mean(-1)
    straight, diagonal = [], []
    for _ in range(4):
        rows, columns = (length // 2 for length in gray.shape)
        squares = [
            gray[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            for row in range(rows)
            for column in range(columns)
        ]
        across = [(s[0, 0] + s[1, 0] - s[0, 1] - s[1, 1]) / 4 for s in squares]
        down = [(s[0, 0] + s[0, 1] - s[1, 0] - s[1, 1]) / 4 for s in squares]
        corners = [(s[0, 0] + s[1, 1] - s[0, 1] - s[1, 0]) / 4 for s in squares]
        straight.append((np.mean(np.square(across)) + np.mean(np.square(down))) / 2)
        diagonal.append(np.mean(np.square(corners)))
        gray = np.reshape([s.mean() for s in squares], (rows, columns))
    energies = [np.log(energy + 1e-7) for energy in (*straight, *diagonal)]
    colorfulness = np.log(spread / (np.mean(means) + 0.01) + 0.01)
    return [*np.log(np.array(means) + 0.02), colorfulness, *energies]


@settings(max_examples=20, deadline=None)
@given(PATCHES)
def test_features_are_those_of_the_slow_formulas(image):
    expected = slow_features(image)
    assert len(expected) == len(appearance.FEATURES)
    np.testing.assert_allclose(appearance.features(image), expected, atol=2e-3)


def test_detail_lies_where_it_is():
    """Stripes a pixel wide, squares of four pixels; turned about, all stays."""
    names = list(appearance.FEATURES)
    stripes, squares = np.full((2, 64, 64, 3), 200, np.uint8)
    stripes[:, ::2] = 100
    squares[np.indices((64, 64)).sum(0) // 4 % 2 == 0] = 100
    found = appearance.features(stripes)
    assert names[4 + found[4:].argmax()] == 'detail of 1 px'
    checks = np.kron(np.indices((16, 16)).sum(0) % 2, np.ones((4, 4)))[..., None].repeat(3, -1)
    found = appearance.features((100 + 100 * checks).astype(np.uint8))
    assert names[4 + found[4:].argmax()] == 'diagonal detail of 4 px'
    [patch] = drawn_looks.draw_patches(1, 1)
    for turned in (np.rot90(patch), patch[::-1]):
        np.testing.assert_allclose(
            appearance.features(turned), appearance.features(patch), atol=1e-3
        )


def test_patches_are_changed_as_another_library_changes_them():
    [patch] = drawn_looks.draw_patches(1, 1, side=96)
    image = Image.fromarray(patch)
    changed = [
        image.crop((24, 24, 72, 72)).resize((96, 96), Image.BICUBIC),
        image.resize((48, 48), Image.BOX),
        image.convert('L').convert('RGB'),
        Image.eval(image, lambda value: 255 - value),
        image.filter(ImageFilter.GaussianBlur(1.0 / MPP)),
    ]
    own, *found = appearance.measure(patch, MPP)
    np.testing.assert_array_equal(own, appearance.features(patch))
    for name, row, expected in zip(appearance.CHANGES, found, changed, strict=True):
        # Pillow's blur is three boxes
        tolerance = 0.6 if name == 'blurred' else 0.05
        expected = appearance.features(np.asarray(expected))
        np.testing.assert_allclose(row, expected, atol=tolerance, err_msg=name)


@pytest.fixture(scope='module')
def known():
    return drawn_looks.learn()


@pytest.fixture(scope='module')
def held_out():
    """[40,1+C,F]: patches of twenty slides that nothing was learned from, and changed ones."""
    patches = [p for slide in range(100, 120) for p in drawn_looks.draw_patches(slide, 2)]
    return np.array([appearance.measure(patch, MPP) for patch in patches])


def test_other_slides_pass_and_changed_ones_do_not(known, held_out):
    causes = [
        [appearance.judge(known, patch[None]).cause for patch in patches]
        for patches in held_out.swapaxes(0, 1)
    ]
    assert len(causes[0]) - causes[0].count(None) < 0.05 * len(causes[0])
    for name, told in zip(appearance.CHANGES, causes[1:], strict=True):
        assert told.count(name) > 0.95 * len(told), name


def test_a_slide_is_judged_by_its_middle_patches(known, held_out):
    mixed = np.concatenate([held_out[:21, 0], held_out[:19, 3]])
    verdict = appearance.judge(known, mixed)
    assert verdict.cause is None
    assert verdict.outside == pytest.approx(19 / 40, abs=0.05)
    assert verdict.patches == 40
    assert appearance.judge(known, np.concatenate([mixed, held_out[21:24, 3]])).cause == 'gray'


def test_what_is_like_nothing_known_is_told_by_its_distance(known, held_out):
    green = held_out[:9, 0] + 40 * (np.arange(len(appearance.FEATURES)) == 1) * np.sqrt(
        np.diag(known.own.covariance)
    )
    # as far from each of the changed as from the own
    known = type(known)(**(vars(known) | {'limits': dict.fromkeys(known.limits, np.inf)}))
    verdict = appearance.judge(known, green)
    assert (verdict.cause, verdict.trait) == (appearance.OTHER, 'density of green')
    inverse = np.linalg.inv(known.own.covariance)
    away = [distance.mahalanobis(row, known.own.mean, inverse) for row in green]
    expected = np.median(away) / np.sqrt(len(appearance.FEATURES))
    assert verdict.distance == pytest.approx(expected)
    assert verdict.outside == 1


def test_scores_are_zero_at_the_training_patches_and_one_at_the_changed(known):
    for name in appearance.CHANGES:
        for gaussian, score in ((known.own, 0), (known.changed[name], 1)):
            verdict = appearance.judge(known, gaussian.mean[None])
            assert verdict.scores[name] == pytest.approx(score, abs=1e-6)
        assert 0 < known.limits[name] < 1


def test_glass_tells_nothing(known):
    glass = appearance.features(np.full((64, 64, 3), 244, np.uint8))
    assert appearance.judge(known, glass[None]) is None
    measured = appearance.measure(np.full((64, 64, 3), 244, np.uint8), MPP)
    assert appearance.learn(measured[None].repeat(50, 0), np.arange(50)) is None


def test_few_patches_or_one_slide_tell_nothing(held_out):
    slides = np.arange(len(held_out)) // 2
    assert appearance.learn(held_out[:23], slides[:23]) is None
    assert appearance.learn(held_out[:24], np.zeros(24, int)) is None
    assert appearance.learn(held_out[:24], np.arange(24) // 23) is None
    assert appearance.learn(held_out[:24], slides[:24]).slides == 12
