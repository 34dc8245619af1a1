"""All that is written of a slide: whole, of one result, and with one line where it cannot be."""

import dataclasses
import json
import os
import resource
import signal

import numpy as np
import pytest
from PIL import Image

from ocelot_jax.slides import page
from ocelot_jax.slides.outputs import write_outputs

FILES = {
    'cells.csv', 'cells.parquet', 'cells.geojson', 'tissue.ome.tif', 'page.html', 'summary.csv',
    'summary.json', 'overlay_A.png', 'overlay_B.png', 'overlay_C.png', 'overlay_D.png',
}  # fmt: skip


@pytest.fixture(scope='module')
def light(base):
    """The slide with small samples and tissue map, quick to write."""
    samples = tuple(
        dataclasses.replace(sample, image=sample.image[:300, :400]) for sample in base.samples
    )
    return dataclasses.replace(
        base, samples=samples, tissue=base.tissue[5::10, 5::10], tissue_mpp=8.0
    )


@pytest.fixture
def file_limit():
    """A function that makes files end at a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_everything_is_there(light, tmp_path):
    write_outputs(light, tmp_path / 'new' / 'slide')
    assert set(os.listdir(tmp_path / 'new' / 'slide')) == FILES


def test_overlays_show_circles_around_the_cells(light, tmp_path):
    write_outputs(light, tmp_path)
    for letter, sample in zip('ABCD', light.samples, strict=True):
        drawn = np.asarray(Image.open(tmp_path / f'overlay_{letter}.png')).astype(int)
        zoom = drawn.shape[0] // 300
        assert drawn.shape == (300 * zoom, 400 * zoom, 3)
        cells = page.cells_of(light, sample)
        for x, y in cells.points[cells.labels == 2]:
            # On the ring, 3 um right of the center: as blue as the class.
            row, column = int((y + 0.5) * zoom), int((x + 0.5 + 3 / sample.mpp) * zoom)
            near = drawn[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4].reshape(-1, 3)
            if near.size:
                assert (near[:, 2] - near[:, 0]).max() > 150


def test_a_second_result_replaces_the_first(light, tmp_path):
    write_outputs(light, tmp_path)
    (tmp_path / 'notes.txt').write_text('mine')
    fewer = dataclasses.replace(
        light, name='second', samples=light.samples[:1], tissue=None, points=light.points + 1
    )
    write_outputs(fewer, tmp_path)
    gone = {'overlay_B.png', 'overlay_C.png', 'overlay_D.png', 'tissue.ome.tif'}
    assert set(os.listdir(tmp_path)) == FILES - gone | {'notes.txt'}
    assert json.loads((tmp_path / 'summary.json').read_text())['slide'] == 'second'


@pytest.mark.parametrize('size', [0, 5_000, 30_000, 100_000])
def test_a_full_disk_is_one_line_and_no_summary(light, tmp_path, file_limit, size):
    write_outputs(light, tmp_path)
    file_limit(size)
    with pytest.raises(OSError, match='outputs of slide synthetic slide cannot be') as caught:
        write_outputs(light, tmp_path)
    assert '\n' not in str(caught.value)
    assert 'File too large' in str(caught.value)
    left = set(os.listdir(tmp_path))
    assert 'summary.json' not in left
    assert left < FILES  # No half of a file under another name.


def test_a_folder_that_cannot_be_is_one_line(light, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='Not a directory') as caught:
        write_outputs(light, tmp_path / 'file' / 'slide')
    assert '\n' not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason='root writes to read-only folders')
def test_a_read_only_folder_is_one_line(light, tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(OSError, match='Permission denied') as caught:
        write_outputs(light, tmp_path)
    assert '\n' not in str(caught.value)
