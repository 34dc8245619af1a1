"""The loop from batches to cells, with stand-ins for the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ocelot_jax.inference import devices, loop
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Maps

CONFIG = {
    'sigma_um': 0.0,
    'min_distance_um': 1.0,
    'threshold': 0.5,
    'max_cells': 3,
    'temperature': 1.0,
    'backend': 'jax',
}


def make_detector(**changes):
    return Detector(ConfigDict(CONFIG | changes))


def batches(counts):
    """Batches of two patches with so many cells each, far apart."""
    for number, pair in enumerate(counts):
        cells = np.zeros((2, 16, 16, 3), np.float32)
        cells[..., 0] = 0.9
        for row, count in enumerate(pair):
            places = [(4 * i, 4 * j) for i in range(4) for j in range(4)][:count]
            for rank, (y, x) in enumerate(places):
                cells[row, y, x] = 0.05, 0.15, 0.8 - 0.01 * rank
        mpps = np.full(2, 0.5, np.float32)
        yield {
            'maps': cells,
            'cell_mpp': mpps,
            'number': number,
            'valid': np.array([True, number == 0]),
        }


def engine(batch):
    tissue = np.zeros((2, 4, 4, 3), np.float32)
    tissue[..., batch['number']] = 1
    return Maps(jnp.asarray(batch['maps']), jnp.asarray(tissue))


@pytest.mark.parametrize('backend', ['jax', 'skimage'])
def test_every_batch_comes_once_with_its_own_cells(backend):
    found = list(loop.find(engine, make_detector(backend=backend), batches([(2, 0), (1, 3)])))
    assert [batch['number'] for batch, *_ in found] == [0, 1]
    assert [[len(cells) for cells in patches] for _, patches, *_ in found] == [[2, 0], [1, 3]]
    first = found[0][1][0]
    assert first.points.tolist() == [[0, 0], [4, 0]]
    assert first.labels.tolist() == [2, 2]
    np.testing.assert_allclose(first.scores, [0.8, 0.79], rtol=1e-6)
    for number, (_, _, tissue, _) in enumerate(found):
        assert tissue.dtype == np.uint8
        assert (tissue == number).all()


@pytest.mark.parametrize('backend', ['jax', 'skimage'])
def test_confidences_are_tempered_and_nothing_else(backend):
    """Odds of 4 to 1 are 2 to 1 at a temperature of 2."""
    detect = lambda **changes: make_detector(backend=backend, **changes)
    [(_, [plain, _], *_)] = loop.find(engine, detect(), batches([(2, 0)]))
    [(_, [cells, _], *_)] = loop.find(engine, detect(temperature=2.0), batches([(2, 0)]))
    np.testing.assert_allclose(
        cells.scores, [2 / 3, np.sqrt(79) / (np.sqrt(79) + np.sqrt(21))], rtol=1e-5
    )
    np.testing.assert_array_equal(cells.points, plain.points)
    np.testing.assert_array_equal(cells.labels, plain.labels)


def test_tissue_without_a_meaning_is_none():
    [(_, _, tissue, _)] = loop.find(engine, make_detector(), batches([(1, 1)]), maps_tissue=False)
    assert tissue is None


def test_patches_with_too_many_cells_are_counted_once_in_the_end(caplog):
    # the last row is padding, which repeats what was there
    found = list(loop.find(engine, make_detector(), batches([(5, 2), (4, 4)])))
    assert [len(cells) for _, patches, *_ in found for cells in patches] == [3, 2, 3, 3]
    assert [crowded.tolist() for *_, crowded in found] == [[True, False], [True, False]]
    [record] = caplog.records
    assert '2 patches have more peaks than config.detection.max_cells = 3' in record.getMessage()


def test_a_batch_is_computed_ahead_of_the_one_that_is_used():
    computed = []

    def slow_engine(batch):
        computed.append(batch['number'])
        return engine(batch)

    for batch, _, _ in loop.run(slow_engine, lambda maps, mpp: maps, batches([(1, 0)] * 3)):
        assert computed[-1] == min(batch['number'] + 1, 2)


def test_a_batch_beyond_the_memory_is_one_line():
    too_large = lambda batch: Maps(jax.jit(lambda: jnp.zeros(1 << 46))(), None)
    with pytest.raises(devices.OutOfMemoryError, match=r'--batch_size .*data\.batch_size'):
        list(loop.run(too_large, lambda maps, mpp: maps, batches([(1, 0)])))
