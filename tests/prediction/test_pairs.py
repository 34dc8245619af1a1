"""Cells and tissue found in pairs."""

from pathlib import Path

import numpy as np
import pytest
from drawn_pairs import draw_patch
from drawn_slides import darkness
from fake_runs import small_config

from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Maps
from ocelot_jax.io.errors import InputError
from ocelot_jax.prediction import pairs
from ocelot_jax.prediction.inputs import Pairs


def make_pairs(*sizes):
    """Pairs with one cell each, at (20 + i, 30), a tissue patch of one shade, and own um/px."""
    records = [
        {
            'cell_image': draw_patch([(20 + i, 30)], size),
            'tissue_image': np.full((32, 32, 3), i, np.uint8),
            'center': np.float32([0.25, 0.75]),
            'cell_mpp': np.float32(0.2 + 0.02 * i),
            'tissue_mpp': np.float32(1.6),
        }
        for i, size in enumerate(sizes)
    ]
    names = tuple(f'pair {i}' for i in range(len(sizes)))
    mpps = (tuple(r[name] for r in records) for name in ('cell_mpp', 'tissue_mpp'))
    return Pairs(Path('drawn'), names, *mpps, records.__getitem__)


def make_detector(**changes):
    """On the host, where nothing is compiled."""
    config = small_config(detection__backend='skimage', **changes)
    return Detector(config.detection)


def find(source, engine=darkness, **options):
    detect = make_detector()
    return list(pairs.predict_pairs(source, engine, detect, **{'batch_size': 2} | options))


@pytest.mark.parametrize('batch_size', [1, 2, 4])
def test_each_pair_gets_what_is_its_own(batch_size):
    found = find(make_pairs(*[64] * 3), batch_size=batch_size)
    assert [pair.name for pair in found] == ['pair 0', 'pair 1', 'pair 2']
    for i, pair in enumerate(found):
        assert pair.mpp == np.float32(0.2 + 0.02 * i)
        assert pair.cells.points.tolist() == [[20 + i, 30]]
        assert pair.cells.labels.tolist() == [2]
        assert (pair.tissue == 1).all()
        np.testing.assert_array_equal(pair.image, draw_patch([(20 + i, 30)]))


def test_without_a_tissue_branch_there_is_no_tissue():
    blind = lambda batch: Maps(darkness(batch).cell, None)
    assert [pair.tissue for pair in find(make_pairs(64, 64), blind)] == [None, None]
    assert find(make_pairs(64), maps_tissue=False)[0].tissue is None


def test_without_the_large_field_of_view_the_tissue_branch_sees_the_cell_patch():
    seen = []

    def engine(batch):
        seen.append(batch)
        return darkness(batch)

    find(make_pairs(64), engine, large_fov=False)
    [batch] = seen
    np.testing.assert_array_equal(batch['tissue_image'], batch['cell_image'])
    np.testing.assert_array_equal(batch['tissue_mpp'], batch['cell_mpp'])
    assert (batch['center'] == 0.5).all()


def test_patches_of_several_sizes_are_refused():
    why = r'drawn: pair pair 2: cell_image is 48 x 48 px; .* 64 px'
    with pytest.raises(InputError, match=why):
        find(make_pairs(64, 64, 48))


def test_cells_beyond_the_most_are_told_of(caplog):
    record = make_pairs(64).read(0) | {'cell_image': draw_patch([(10, 10), (30, 30), (50, 50)])}
    detect = make_detector(detection__max_cells=2)
    several = Pairs(Path('drawn'), ('a',), (0.2,), (0.8,), lambda index: record)
    [found] = pairs.predict_pairs(several, darkness, detect, batch_size=2)
    assert len(found.cells) == 2
    assert '1 patches have more peaks' in caplog.text
