"""What training keeps of its patches' looks, read back."""

import json

import drawn_looks
import numpy as np
import pytest

from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import configuration
from ocelot_jax.training import appearance


@pytest.fixture(scope='module')
def pairs():
    return [
        {'cell_image': patch, 'cell_mpp': np.float32(0.5), 'slide_name': f'slide {slide}'}
        for slide in range(12)
        for patch in drawn_looks.draw_patches(slide, 2)
    ]


def test_a_new_run_keeps_it_and_one_that_goes_on_leaves_it(pairs, tmp_path):
    appearance.keep(tmp_path, pairs, goes_on=True)
    assert not list(tmp_path.iterdir())
    assert configuration.load_appearance(tmp_path) is None
    appearance.keep(tmp_path, pairs, goes_on=False)
    found = configuration.load_appearance(tmp_path)
    expected = drawn_looks.learn(12, 2)
    assert (found.patches, found.slides) == (24, 12)
    np.testing.assert_allclose(found.own.mean, expected.own.mean, rtol=1e-12)
    for name, changed in expected.changed.items():
        np.testing.assert_allclose(found.changed[name].covariance, changed.covariance, atol=1e-12)
    assert found.limits.keys() == expected.limits.keys()


def test_patches_that_are_too_few_or_too_small_are_not_kept(pairs, tmp_path):
    appearance.keep(tmp_path, pairs[:20], goes_on=False)
    small = [pair | {'cell_image': pair['cell_image'][:31, :31]} for pair in pairs]
    appearance.keep(tmp_path, small, goes_on=False)
    assert not list(tmp_path.iterdir())


def test_the_same_pairs_are_chosen_each_time():
    chosen = appearance.choose(1000)
    assert chosen == appearance.choose(1000)
    assert len(set(chosen)) == len(chosen) < 1000
    assert max(chosen) > 900
    assert sorted(appearance.choose(5)) == list(range(5))


@pytest.mark.parametrize(
    ('field', 'value'),
    [('features', []), ('far', None), ('limits', {}), ('means', {'own': [0]}), ('means', 3)],
)
def test_a_damaged_file_is_one_line(pairs, tmp_path, field, value):
    configuration.write_appearance(tmp_path, drawn_looks.learn(12, 2))
    path = tmp_path / 'appearance.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(InputError, match=r'appearance\.json: .*; want') as error:
        configuration.load_appearance(tmp_path)
    assert '\n' not in str(error.value)
