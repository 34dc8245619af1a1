"""Encoders: their dropout."""

import jax
import narrow
import numpy as np
import pytest

from benchmarks import random_weights
from ocelot_jax.models.resnet import ResNetEncoder


@pytest.fixture(scope='module')
def first_stages():
    """(dropout, whether in training) -> the first stage's map, of the same image and weights."""
    x = np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype(np.float32)
    encoders = {rate: ResNetEncoder(narrow.ENCODER, dropout=rate) for rate in (0.0, 0.5)}
    init = lambda: encoders[0.0].init(jax.random.key(0), x, train=False)
    variables = random_weights.draw(jax.eval_shape(init))

    def apply(key):
        maps = {}
        for rate, encoder in encoders.items():
            # in evaluation there is no key, which dropout could not do without
            maps[rate, False] = encoder.apply(variables, x, train=False)
            maps[rate, True], _ = encoder.apply(
                variables, x, train=True, rngs={'dropout': key}, mutable=['batch_stats']
            )
        # the compiler drops the other stages
        return {name: stages[1] for name, stages in maps.items()}

    compiled = jax.jit(apply)
    return jax.device_get(compiled(jax.random.key(3)))


def test_dropout_takes_whole_channels_in_training(first_stages):
    plain, dropped = first_stages[0.0, True], first_stages[0.5, True]
    lost = (dropped == 0).all((1, 2)) & (plain != 0).any((1, 2))
    # 128 channels by chance 1/2 each: outside this once in a million
    assert 35 < lost.sum() < 93
    # which ones differs from example to example
    assert (lost[0] != lost[1]).any()
    wanted = np.where(lost[:, None, None], 0, 2 * plain)
    np.testing.assert_allclose(dropped, wanted, rtol=1e-4, atol=1e-5)


def test_no_dropout_in_evaluation(first_stages):
    plain = first_stages[0.0, False]
    np.testing.assert_allclose(first_stages[0.5, False], plain, rtol=1e-5, atol=1e-6)
    assert np.isfinite(plain).all()
    assert (plain != 0).any((1, 2)).all()
