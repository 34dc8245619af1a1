"""The maps of other encoders, doubled and adapted for DeepLabV3+."""

import jax
import numpy as np
import pytest

from ocelot_jax.models import adapter


def draw(module, x):
    """Variables of a module that takes `x`, all from 0.5 to 1.5."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: module.init(key, x, False), jax.random.key(0))
    return jax.tree.map(lambda x: rng.uniform(0.5, 1.5, x.shape).astype(np.float32), shapes)


def test_a_doubling_is_a_transposed_convolution_of_two_by_two():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    doubling = adapter.Doubling(2)
    variables = draw(doubling, x)
    found = doubling.apply(variables, x, False)
    kernel = variables['params']['conv']['kernel'].reshape(5, 2, 2, 2)  # in, rows, columns, out
    norm, statistics = variables['params']['bn'], variables['batch_stats']['bn']
    expected = np.zeros((2, 6, 8, 2))
    for place in np.ndindex(2, 3, 4):
        image, row, column = place
        for i, j, channel in np.ndindex(2, 2, 2):
            expected[image, 2 * row + i, 2 * column + j, channel] = (
                x[place] @ kernel[:, i, j, channel]
            )
    deviation = np.sqrt(statistics['var'] + 1e-5)
    expected = (expected - statistics['mean']) / deviation * norm['scale'] + norm['bias']
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-4, atol=1e-5)
    assert (found == 0).any()


def test_a_single_map_is_doubled_to_stride_4():
    adapt = adapter.Adapter()
    deep = np.ones((1, 4, 6, 20), np.float32)
    variables = draw(adapt, (deep,))
    assert sorted(variables['params']) == ['context', 'detail', 'double1', 'double2']
    nothing, low, *between, high = adapt.apply(variables, (deep,), False)
    assert [nothing, *between] == [None] * 3
    assert (low.shape, high.shape) == ((1, 16, 24, 64), (1, 4, 6, 512))


def test_the_finest_of_several_maps_is_taken_as_it_is():
    maps = [np.ones((1, 4 * scale, 6 * scale, 20 // scale), np.float32) for scale in (4, 2, 1)]
    adapt = adapter.Adapter()
    variables = draw(adapt, maps)
    assert sorted(variables['params']) == ['context', 'detail']
    _, low, _, _, high = adapt.apply(variables, maps, False)
    assert (low.shape, high.shape) == ((1, 16, 24, 64), (1, 4, 6, 512))


@pytest.mark.parametrize('train', [True, False])
def test_whole_channels_of_both_maps_are_dropped_in_training_alone(train):
    adapt = adapter.Adapter(0.5)
    deep = np.random.default_rng(0).normal(size=(2, 4, 6, 20)).astype(np.float32)
    variables = draw(adapt, (deep,))
    (_, *maps), _ = adapt.apply(
        variables, (deep,), train, rngs={'dropout': jax.random.key(1)}, mutable=['batch_stats']
    )
    for x in filter(lambda x: x is not None, maps):
        dropped = (np.asarray(x) == 0).all((1, 2)).mean()
        assert 0.3 < dropped < 0.7 if train else dropped == 0
