"""Test-time augmentation of any engine, against eight views by NumPy."""

import numpy as np
import pytest
from stub_models import ONE, RampModel, make_batch, share_tissue

from ocelot_jax.inference import symmetries
from ocelot_jax.inference.engine import Maps
from ocelot_jax.inference.engines import network


@pytest.fixture(scope='module')
def engine():
    return network.prepare(RampModel())(ONE)


def turn(batch, flip, turns):
    """The pair as a camera flipped and turned would have seen it."""
    center = batch['center']
    if flip:
        center = np.stack([1 - center[:, 0], center[:, 1]], -1)
    for _ in range(turns):  # counter-clockwise: what was right is now up
        center = np.stack([center[:, 1], 1 - center[:, 0]], -1)
    result = {**batch, 'center': center}
    for name in ('cell_image', 'tissue_image', 'tissue_mask'):
        image = np.flip(batch[name], 2) if flip else batch[name]
        result[name] = np.rot90(image, turns, (1, 2)).copy()
    return result


def on_host(engine):
    """The same engine, but its maps are NumPy arrays, as other programs give them."""
    return lambda batch: Maps(*map(np.asarray, engine(batch)))


@pytest.mark.parametrize('place', [lambda engine: engine, on_host])
def test_it_is_the_mean_over_eight_views(engine, place):
    batch, expected = make_batch(), []
    for flip in (False, True):
        for turns in range(4):
            view = map(np.asarray, engine(turn(batch, flip, turns)))
            back = [np.rot90(x, -turns, (1, 2)) for x in view]
            expected.append([np.flip(x, 2) if flip else x for x in back])
    cell, tissue = symmetries.average(place(engine))(batch)
    np.testing.assert_allclose(cell, np.mean([e[0] for e in expected], 0), atol=1e-5)
    np.testing.assert_allclose(tissue, np.mean([e[1] for e in expected], 0), atol=1e-5)
    assert np.abs(np.asarray(engine(batch).cell) - cell).max() > 0.01


@pytest.mark.parametrize(('flip', 'turns'), [(True, 0), (False, 1), (True, 3)])
def test_it_turns_with_the_pair(engine, flip, turns):
    batch, symmetric = make_batch(), symmetries.average(engine)
    cell = np.asarray(symmetric(batch).cell)
    cell = np.flip(cell, 2) if flip else cell
    of_turned = symmetric(turn(batch, flip, turns)).cell
    np.testing.assert_allclose(of_turned, np.rot90(cell, turns, (1, 2)), atol=1e-5)


def test_a_shared_tissue_patch_is_as_one_of_each(engine):
    shared, apart = share_tissue(make_batch())
    found, expected = (symmetries.average(engine)(batch) for batch in (shared, apart))
    np.testing.assert_allclose(found.cell, expected.cell, atol=1e-6)
    np.testing.assert_allclose(np.repeat(found.tissue, 2, 0), expected.tissue, atol=1e-6)
