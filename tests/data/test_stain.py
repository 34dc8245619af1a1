"""Other amounts of stain, against scikit-image."""

import jax
import numpy as np
import skimage.color

from ocelot_jax.data import stain

RNG = np.random.default_rng(0)
# hematoxylin, eosin and a little of what is left over, none of them negative
AMOUNTS = RNG.uniform((0.02, 0.02, 0.001), (0.07, 0.07, 0.01), (20, 20, 3))
IMAGE = skimage.color.hed2rgb(AMOUNTS).astype(np.float32)


def test_no_change_is_none():
    np.testing.assert_allclose(stain.jitter(IMAGE, np.ones(3), np.zeros(3)), IMAGE, atol=1e-6)


def test_factors_are_those_of_each_stain():
    factors = np.array([1.2, 0.7, 1.1], np.float32)
    got = stain.jitter(IMAGE, factors, np.zeros(3, np.float32))
    np.testing.assert_allclose(got, skimage.color.hed2rgb(factors * AMOUNTS), atol=1e-5)


def test_a_shift_darkens_every_pixel_along_its_stain():
    for index, shift in ((0, 0.1), (1, 0.05)):
        got = stain.jitter(IMAGE, np.ones(3), shift * np.eye(3, dtype=np.float32)[index])
        taken = np.log(IMAGE / np.asarray(got))
        direction = skimage.color.rgb_from_hed[index]
        np.testing.assert_allclose(
            taken, np.broadcast_to(shift * direction / np.linalg.norm(direction), taken.shape),
            atol=1e-4,
        )  # fmt: skip


def test_changes_are_drawn_within_their_bounds():
    keys = jax.random.split(jax.random.key(0), 500)
    factors, shifts = (np.asarray(x) for x in jax.vmap(stain.draw_change, (0, None))(keys, 0.2))
    for drawn, middle in ((factors, 1), (shifts, 0)):
        assert drawn.shape == (500, 3)
        assert 0.18 < np.abs(drawn - middle).max() <= 0.2
        assert np.abs(drawn.mean(0) - middle).max() < 0.02
        assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.15


def test_black_and_white_stay_finite():
    image = np.stack([np.zeros((2, 2, 3)), np.ones((2, 2, 3))]).astype(np.float32)
    got = stain.jitter(image, np.array([1.2, 0.8, 1]), np.array([0.2, -0.2, 0]))
    assert np.isfinite(got).all()
    assert ((got >= 0) & (got <= 1)).all()
