"""From batches to probabilities and cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ocelot_jax.inference import loop


class Reader:
    """Stands for a model: it sees where it looks, by fixed weights that know no symmetry."""

    def apply(self, variables, batch, train):
        height, width = batch['cell_image'].shape[1:3]
        ramp = jnp.linspace(-1, 1, height)[:, None] * 2 + jnp.linspace(-1, 1, width)[None]
        weights = jnp.stack([ramp, -ramp, 0.5 + 0 * ramp], -1)
        shift = (batch['center'] * jnp.array([3.0, 1.0])).sum(-1)[:, None, None, None]
        cell = batch['cell_image'] * weights + shift
        tissue = batch['tissue_image'][..., :2] * ramp[..., None]
        return {'cell_logits': cell, 'tissue_logits': tissue}


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {
        'cell_image': rng.random((2, 8, 8, 3), np.float32),
        'tissue_image': rng.random((2, 8, 8, 3), np.float32),
        'tissue_mask': np.zeros((2, 8, 8), np.uint8),
        'center': rng.random((2, 2), np.float32),
        'cell_points': np.zeros((2, 4, 2), np.float32),
        'cell_labels': np.zeros((2, 4), np.int32),
        'cell_mpp': np.full(2, 0.5, np.float32),
        'tissue_mpp': np.full(2, 2.0, np.float32),
    }


def turned(batch, flip, turns):
    """The pair as a camera flipped and turned would have seen it, by NumPy."""
    result = dict(batch)
    center = batch['center']
    if flip:
        center = np.stack([1 - center[:, 0], center[:, 1]], -1)
    for _ in range(turns):  # counter-clockwise: what was right is now up
        center = np.stack([center[:, 1], 1 - center[:, 0]], -1)
    result['center'] = center
    for name in ('cell_image', 'tissue_image', 'tissue_mask'):
        image = np.flip(batch[name], 2) if flip else batch[name]
        result[name] = np.rot90(image, turns, (1, 2)).copy()
    return result


def test_symmetric_probabilities_are_the_mean_over_eight_views(batch):
    expected = []
    for flip in (False, True):
        for turns in range(4):
            view = loop.probabilities(Reader(), None, turned(batch, flip, turns))
            back = [np.rot90(x, -turns, (1, 2)) for x in map(np.asarray, view)]
            expected.append([np.flip(x, 2) if flip else x for x in back])
    cell, tissue = jax.jit(lambda b: loop.symmetric_probabilities(Reader(), None, b))(batch)
    np.testing.assert_allclose(cell, np.mean([e[0] for e in expected], 0), atol=1e-5)
    np.testing.assert_allclose(tissue, np.mean([e[1] for e in expected], 0), atol=1e-5)


@pytest.mark.parametrize(('flip', 'turns'), [(True, 0), (False, 1), (True, 3)])
def test_symmetric_probabilities_turn_with_the_pair(batch, flip, turns):
    cell, _ = loop.symmetric_probabilities(Reader(), None, batch)
    of_turned, _ = loop.symmetric_probabilities(Reader(), None, turned(batch, flip, turns))
    cell = np.flip(cell, 2) if flip else np.asarray(cell)
    np.testing.assert_allclose(of_turned, np.rot90(cell, turns, (1, 2)), atol=1e-5)
    single, _ = loop.probabilities(Reader(), None, batch)
    assert np.abs(np.asarray(single) - np.asarray(cell)).max() > 0.01


def sharing(batch):
    """Four cell patches, two in each tissue patch: sharing it, and with one each."""
    rng = np.random.default_rng(1)
    cells = ('cell_image', 'center', 'cell_mpp', 'tissue_mpp')
    more = {name: np.repeat(batch[name], 2, 0) for name in cells}
    more['cell_image'] = rng.random(more['cell_image'].shape, np.float32)
    more['center'] = rng.random(more['center'].shape, np.float32)
    shared = {**more, 'tissue_image': batch['tissue_image']}
    return shared, {**more, 'tissue_image': np.repeat(batch['tissue_image'], 2, 0)}


@pytest.mark.parametrize('compute', [loop.probabilities, loop.symmetric_probabilities])
def test_a_shared_tissue_patch_is_as_one_of_each(batch, compute):
    shared, apart = sharing(batch)
    cell, tissue = compute(Reader(), None, shared)
    expected_cell, expected_tissue = compute(Reader(), None, apart)
    np.testing.assert_allclose(cell, expected_cell, atol=1e-6)
    assert tissue.shape[0] == 2
    np.testing.assert_allclose(np.repeat(tissue, 2, 0), expected_tissue, atol=1e-6)


class Weighted(Reader):
    """A reader whose variables matter."""

    def apply(self, variables, batch, train):
        outputs = super().apply(variables, batch, train)
        return jax.tree.map(lambda x: x * variables['weight'], outputs)


def test_several_networks_give_the_mean_of_what_each_says(batch, monkeypatch):
    monkeypatch.setattr(loop.network, 'create_model', lambda config: Weighted())
    config = loop.ml_collections.ConfigDict({'test_time_augmentation': False})
    members = [{'weight': np.float32(w)} for w in (0.1, 1.0, 3.0)]
    engine = loop.create_engine(config, loop.stack(members), ensemble=True)
    each = [loop.probabilities(Weighted(), member, batch) for member in members]
    for found, *expected in zip(engine(batch), *each, strict=True):
        np.testing.assert_allclose(found, np.mean(expected, 0), atol=1e-6)
