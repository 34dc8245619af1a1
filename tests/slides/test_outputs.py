"""The files that are written of a slide: all of them, or an error of one line."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import re
import resource
import signal

import numpy as np
import pytest
from conftest import ROOT
from matplotlib.colors import to_rgb
from PIL import Image

from ocelot_jax.io.errors import OutputError
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides import outputs, page
from ocelot_jax.viz import palette

FILES = {
    'cells.csv', 'cells.parquet', 'cells.geojson', 'tissue.ome.tif', 'page.html', 'summary.csv',
    'regions.csv', 'tissue.geojson', 'thumbnail.jpg', 'summary.json', 'overlay_A.png',
    'overlay_B.png', 'cells.h5ad',
}  # fmt: skip


@pytest.fixture(scope='module')
def light(base):
    """The slide with two small samples, four cells in each, and a small tissue map."""
    samples = tuple(
        dataclasses.replace(sample, image=sample.image[:300, :400]) for sample in base.samples[:2]
    )
    # pixels of a sample, and what they are on the slide
    places = np.array([[60, 50], [340, 50], [60, 250], [340, 250]])
    points = [
        (places + 0.5) * sample.mpp / base.mpp + (sample.x, sample.y) - 0.5 for sample in samples
    ]
    labels = np.array([1, 2, 2, 1, 2, 1, 1, 2], np.int32)
    cells = Cells(np.concatenate(points), labels, np.full(8, 0.9, np.float32))
    return dataclasses.replace(
        base, cells=cells, samples=samples, tissue=base.tissue[5::10, 5::10], tissue_mpp=8.0
    )


@pytest.fixture(scope='module')
def written(light, tmp_path_factory):
    """Where it is written."""
    folder = tmp_path_factory.mktemp('written')
    outputs.write(light, folder)
    return folder


@contextlib.contextmanager
def files_end_at(size):
    """As on a full disk: for the work within alone, because a log of pytest may be a file too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_everything_is_there_with_circles_around_the_cells(light, written):
    assert set(os.listdir(written)) == FILES
    for letter, sample in zip('AB', light.samples, strict=True):
        drawn = np.asarray(Image.open(written / f'overlay_{letter}.png')).astype(int)
        zoom = drawn.shape[0] // 300
        assert drawn.shape == (300 * zoom, 400 * zoom, 3)
        cells = page.cells_of(light, sample)
        assert sorted(cells.labels) == [1, 1, 2, 2]
        for (x, y), label in zip(cells.points, cells.labels, strict=True):
            # on the ring, 3 um right of the center: the color of the class
            row, column = int((y + 0.5) * zoom), int((x + 0.5 + 3 / sample.mpp) * zoom)
            near = drawn[row - 3 : row + 4, column - 3 : column + 4].reshape(-1, 3)
            distance = abs(near - 255 * np.array(to_rgb(palette.cell_color(label)))).max(-1)
            assert distance.min() < 60


def test_the_reference_tells_of_all_files_and_columns(light, written):
    told = set(re.findall('`([^`]+)`', (ROOT / 'docs/reference/predictions.md').read_text()))
    assert FILES - {'overlay_B.png'} <= told
    of_a_class = re.compile(f'_({"|".join([*light.cell_classes, *light.tissue_classes])})$')
    for file in written.glob('*.csv'):
        columns = file.read_text().splitlines()[0].replace('"', '').split(',')
        assert {of_a_class.sub('_CLASS', column) for column in columns} <= told
    by_class = {'cells', 'cell_share', 'cells_per_mm2', 'tissue_mm2', 'regions'}
    assert json.loads((written / 'summary.json').read_text()).keys() - by_class <= told


def test_without_a_tissue_branch_and_anndata_there_is_nothing_of_theirs(
    light, tmp_path, monkeypatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name == 'anndata' else find(name)
    )
    outputs.write(dataclasses.replace(light, tissue=None, samples=()), tmp_path)
    assert set(os.listdir(tmp_path)) == FILES - {
        'cells.h5ad',
        'tissue.ome.tif',
        'tissue.geojson',
        'overlay_A.png',
        'overlay_B.png',
    }


@pytest.mark.parametrize('size', [0, 5_000, 30_000, 100_000])
def test_a_full_disk_is_one_line_and_no_summary(light, tmp_path, size):
    wanted = 'outputs of slide synthetic slide cannot be'
    with pytest.raises(OutputError, match=wanted) as caught, files_end_at(size):
        outputs.write(light, tmp_path)
    assert '\n' not in str(caught.value)
    assert 'File too large' in str(caught.value)
    left = set(os.listdir(tmp_path))
    assert left < FILES  # no half of a file under another name
    assert 'summary.json' not in left


def test_a_folder_that_is_none_is_one_line(light, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match='Not a directory') as caught:
        outputs.write(light, tmp_path / 'file')
    assert '\n' not in str(caught.value)
