"""Pairs without their large field of view."""

import numpy as np
import pytest
from conftest import make_release

from ocelot_jax.data import pair_folder, small_field_of_view


def record(center, cell=(12, 12), tissue=(20, 20), cell_mpp=0.5, tissue_mpp=1.2):
    rng = np.random.default_rng(0)
    image = lambda size: rng.integers(0, 255, (*size, 3), dtype=np.uint8)
    return {
        'pair_id': '001',
        'cell_image': image(cell),
        'tissue_image': image(tissue),
        'tissue_mask': np.arange(np.prod(tissue), dtype=np.int32).reshape(*tissue, 1),
        'center': np.array(center, np.float32),
        'cell_mpp': np.float32(cell_mpp),
        'tissue_mpp': np.float32(tissue_mpp),
    }


@pytest.mark.parametrize('center', [(0.5, 0.5), (0.3, 0.61), (0.125, 0.875), (0.8, 0.2)])
def test_each_pixel_has_the_label_of_its_place(center):
    """Found in micrometres, pixel by pixel."""
    pair = record(center)
    got = small_field_of_view.narrow(pair)
    assert got['tissue_mask'].shape == (12, 12, 1)
    for row, column in np.ndindex(12, 12):
        # micrometres from the cell patch's middle, then from the tissue patch's corner
        x, y = (
            (i + 0.5 - 6) * 0.5 + c * 20 * 1.2 for i, c in ((column, center[0]), (row, center[1]))
        )
        wanted = pair['tissue_mask'][int(y // 1.2), int(x // 1.2), 0]
        if min(abs(v / 1.2 - round(v / 1.2)) for v in (x, y)) > 1e-4:  # not on an edge
            assert got['tissue_mask'][row, column, 0] == wanted, (row, column)


def test_the_cell_patch_is_all_that_is_seen():
    pair = record((0.4, 0.5))
    got = small_field_of_view.narrow(pair)
    np.testing.assert_array_equal(got['tissue_image'], pair['cell_image'])
    assert got['tissue_mpp'] == pair['cell_mpp']
    np.testing.assert_array_equal(got['center'], [0.5, 0.5])
    assert got['pair_id'] == '001'


def test_a_source_keeps_its_pairs(tmp_path):
    pairs = pair_folder.PairFolder(make_release(tmp_path)).as_data_source('train')
    narrow = small_field_of_view.SmallFieldOfView(pairs)
    assert len(narrow) == len(pairs)
    for wide, seen in zip(pairs, (narrow[i] for i in range(len(narrow))), strict=True):
        np.testing.assert_array_equal(seen['cells']['x'], wide['cells']['x'])
        assert set(np.unique(seen['tissue_mask'])) <= set(np.unique(wide['tissue_mask']))
