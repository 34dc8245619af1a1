"""The tissue map, read back by tifffile."""

import dataclasses
import itertools
import tracemalloc
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import tifffile

from ocelot_jax.slides import tissue_map

OME = {'ome': 'http://www.openmicroscopy.org/Schemas/OME/2016-06'}


def random_map(height, width):
    rng = np.random.default_rng(height)
    return rng.choice(np.array([0, 1, 2, 255], np.uint8), (height, width))


def write(base, tissue, path, **changes):
    tissue_map.write(dataclasses.replace(base, tissue=tissue, **changes), path)
    return tifffile.TiffFile(path)


@pytest.mark.parametrize(
    ('size', 'levels'),
    [((1, 1), 1), ((512, 512), 1), ((513, 40), 2), ((1300, 2111), 4), ((3, 5000), 2)],
)
def test_levels_are_the_map_and_every_second_pixel_of_it(base, tmp_path, size, levels):
    tissue = random_map(*size)
    with write(base, tissue, tmp_path / 'tissue.ome.tif') as tiff:
        assert len(tiff.series) == 1
        read = [level.asarray() for level in tiff.series[0].levels]
        assert tiff.is_ome
        assert tiff.is_bigtiff
        for level in tiff.series[0].levels:
            assert level.pages[0].tile == (512, 512)
    assert len(read) == levels
    np.testing.assert_array_equal(read[0], tissue)
    for finer, coarser in itertools.pairwise(read):
        assert coarser.size
        assert max(coarser.shape) >= 256
        for axis in (0, 1):
            assert abs(finer.shape[axis] / 2 - coarser.shape[axis]) <= 1
    assert max(read[-1].shape) <= 512 or min(read[-1].shape) == 1


def test_levels_lie_on_each_other(base, tmp_path):
    """A level's pixel holds a value from the block of full pixels that it covers."""
    height, width = 2000, 1500
    y, x = np.mgrid[:height, :width]
    # Rows tell their number in 16s, columns too.
    tissue = (y // 16 % 16 * 16 + x // 16 % 16).astype(np.uint8)
    with write(base, tissue, tmp_path / 'tissue.ome.tif') as tiff:
        read = [level.asarray() for level in tiff.series[0].levels]
    for number, level in enumerate(read[:4]):
        step = 2**number
        rows, columns = np.mgrid[: level.shape[0], : level.shape[1]] * step // 16 % 16
        np.testing.assert_array_equal(level, rows * 16 + columns)


def test_it_knows_its_scale_and_its_classes(base, tmp_path):
    tissue = random_map(700, 600)
    classes = ('BG', 'CA', 'stroma <&>')
    path = tmp_path / 'tissue.ome.tif'
    with write(base, tissue, path, tissue_classes=classes, tissue_mpp=0.83) as tiff:
        root = ET.fromstring(tiff.ome_metadata)
        resolution = tiff.pages[0].tags['XResolution'].value
    pixels = root.find('.//ome:Pixels', OME)
    for axis in 'XY':
        assert float(pixels.get(f'PhysicalSize{axis}')) == 0.83
        assert pixels.get(f'PhysicalSize{axis}Unit') == 'µm'
    values = {entry.get('K'): entry.text for entry in root.findall('.//ome:M', OME)}
    assert values == {'0': 'BG', '1': 'CA', '2': 'stroma <&>', '255': 'not predicted'}
    assert 1e4 / (resolution[0] / resolution[1]) == pytest.approx(0.83, rel=1e-4)


def test_a_memmap_is_read_piece_by_piece(base, tmp_path):
    shape = (3000, 2500)
    stored = np.memmap(tmp_path / 'tissue.raw', np.uint8, 'w+', shape=shape)
    stored[:] = random_map(*shape)
    tracemalloc.start()
    with write(base, stored, tmp_path / 'tissue.ome.tif') as tiff:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        np.testing.assert_array_equal(tiff.asarray(), stored)
    assert peak < 0.8 * stored.size


@pytest.mark.parametrize(
    'bounds',
    [(1603, 811, 2000, 1500), (0, 5, 4000, 2900), (7, 0, 3993, 3000)],
)
def test_it_lies_on_what_qupath_shows(base, tmp_path, bounds):
    """Each pixel's class is that of the place in the slide where QuPath shows it."""
    mpp, tissue_mpp = 0.23, 0.83
    height, width = (int(size * mpp / tissue_mpp) for size in (3000, 4000))
    y, x = np.mgrid[:height, :width]
    changes = {'width': 4000, 'height': 3000, 'mpp': mpp, 'tissue_mpp': tissue_mpp}
    changes |= {'bounds': bounds}
    read = []
    for number, tissue in enumerate((y % 256, y // 256, x % 256, x // 256)):
        path = tmp_path / f'{number}.ome.tif'
        with write(base, tissue.astype(np.uint8), path, **changes) as tiff:
            read.append(tiff.series[0].levels[0].asarray().astype(int))
    rows, columns = read[0] + 256 * read[1], read[2] + 256 * read[3]
    assert abs(rows.shape[0] - bounds[3] * mpp / tissue_mpp) <= 1.5
    assert abs(rows.shape[1] - bounds[2] * mpp / tissue_mpp) <= 1.5
    i, j = np.mgrid[: rows.shape[0], : rows.shape[1]]
    for place, shown, offset in ((rows, i, bounds[1]), (columns, j, bounds[0])):
        shift = (place - shown) * tissue_mpp - offset * mpp
        assert np.abs(shift).max() <= tissue_mpp / 2
