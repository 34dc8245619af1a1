"""Many slides into one folder: what is done, left alone, failed, or another process's."""

import errno
import json
import os
import re
import resource
import shutil

import numpy as np
import pytest
import tifffile
from drawn_slides import darkness, draw_slide, spread_cells, write_pyramid
from fake_runs import SMALL, small_config
from PIL import Image

from ocelot_jax.inference.detector import Detector
from ocelot_jax.io import locks
from ocelot_jax.io.errors import InputError, OutputError
from ocelot_jax.slides import collection, outputs, pipeline, tables

FILES = {'cells.csv', 'cells.geojson', 'page.html', 'summary.json', 'prediction.json'}


class Engine:
    """Counts the batches that it is asked for."""

    batches = 0

    def __call__(self, batch):
        self.batches += 1
        return darkness(batch)


@pytest.fixture
def method():
    config = small_config(detection__backend='skimage')  # nothing is compiled
    detect = Detector(config.detection, SMALL.cell_mpp)
    return pipeline.Method(Engine(), detect, SMALL, ('BC', 'TC'), ('BG', 'CA'))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two slides."""
    folder = tmp_path_factory.mktemp('slides')
    for i, name in enumerate(('a', 'b')):
        points, labels = spread_cells(120, 100, 12.0, np.random.default_rng(i))
        image = draw_slide(240, 200, 0.5, points, labels)
        write_pyramid(folder / f'{name}.tif', image, 0.5)
    return folder


@pytest.fixture
def light(monkeypatch):
    """Writes the summary of a slide alone, in a moment."""
    monkeypatch.setattr(
        outputs, 'write', lambda result, work: (work / 'summary.json').write_text(result.name)
    )


def predict(source, method, output, identity=None, **options):
    """The outcomes' texts, and which of them are errors."""
    paths = collection.find_slides(source) if source.is_dir() else [source]
    outcomes = collection.predict_slides(paths, method, output, identity or {}, **options)
    return [(outcome.text, outcome.failed) for outcome in outcomes]


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if path.name[0] != '.')


def test_a_slide_as_a_pyramid_and_as_a_plain_image(folder, method, tmp_path, monkeypatch):
    [(text, failed)] = predict(folder / 'a.tif', method, tmp_path)
    assert os.listdir(tmp_path) == ['a']
    assert set(os.listdir(tmp_path / 'a')) >= FILES
    summary = json.loads((tmp_path / 'a/summary.json').read_text())
    _, labels = spread_cells(120, 100, 12.0, np.random.default_rng(0))
    assert sum(summary['cells'].values()) == len(labels)
    assert re.fullmatch(rf'{tmp_path / "a"}: {len(labels)} cells in \d+ windows', text)
    assert not failed

    Image.fromarray(tifffile.imread(folder / 'a.tif')).save(tmp_path / 'a.png')
    monkeypatch.setattr(
        outputs, 'write', lambda found, work: tables.write(found, work / 'csv', work / 'parquet')
    )
    predict(tmp_path / 'a.png', method, tmp_path / 'plain', mpp=0.5)
    assert (tmp_path / 'plain/a/csv').read_bytes() == (tmp_path / 'a/cells.csv').read_bytes()


def test_done_slides_are_left_alone(folder, method, tmp_path, light):
    predict(folder, method, tmp_path)
    before = method.engine.batches
    assert predict(folder, method, tmp_path) == [
        (f'{tmp_path / name}: done already', False) for name in 'ab'
    ]
    assert method.engine.batches == before


@pytest.mark.parametrize('change', [{'identity': {'steps': [2]}}, {'everywhere': True}])
def test_other_results_are_not_taken_for_done(folder, method, tmp_path, light, change):
    predict(folder / 'a.tif', method, tmp_path)
    with pytest.raises(InputError, match='a: is there and holds other results'):
        predict(folder / 'a.tif', method, tmp_path, **change)


def test_a_bad_slide_does_not_stop_the_others(folder, method, tmp_path, light):
    source = tmp_path / 'slides'
    shutil.copytree(folder, source)
    (source / '0bad.svs').write_text('no slide')
    (source / 'notes.txt').write_text('no slide either')
    paths = collection.find_slides(source)
    for estimate in (True, False):
        if estimate:
            outcomes = collection.estimate_slides(paths, method)
        else:
            outcomes = collection.predict_slides(paths, method, tmp_path / 'out', {})
        first = next(outcomes)
        assert first.failed
        assert first.text.startswith(f'error: 0bad.svs: {source / "0bad.svs"}: no slide that')
        found = [next(outcomes), next(outcomes)]
        assert not any(outcome.failed for outcome in found)
        if estimate:
            assert next(outcomes).text.startswith('2 slides, ')
            continue
        wanted = r'1 of 3 slides failed: 0bad\.svs; the others are in'
        with pytest.raises(InputError, match=wanted):
            next(outcomes)
    assert visible(tmp_path / 'out') == ['a', 'b']


def test_a_bug_ends_everything(folder, method, tmp_path, light, monkeypatch):
    def fail(*arguments):
        raise ValueError('a bug')

    monkeypatch.setattr(pipeline.seams, 'resolve', fail)
    with pytest.raises(ValueError, match='a bug') as caught:
        predict(folder, method, tmp_path)
    assert not isinstance(caught.value, InputError)


def test_a_slide_that_another_process_is_at_is_left_to_it(folder, method, tmp_path, light):
    with locks.try_lock(tmp_path / '.a.partial/lock') as mine:
        assert mine
        outcomes = predict(folder, method, tmp_path)
    assert outcomes[-1] == ("1 of 2 slides are another process's: a.tif", False)
    assert visible(tmp_path) == ['b']


def test_two_slides_of_one_name(folder, tmp_path):
    shutil.copy(folder / 'a.tif', tmp_path / 'a.tif')
    shutil.copy(folder / 'a.tif', tmp_path / 'a.tiff')
    with pytest.raises(InputError, match=r'a\.tiff: its results would take the place of'):
        collection.find_slides(tmp_path)


def test_an_empty_directory(tmp_path):
    with pytest.raises(InputError, match=r'holds no slide; want files of \.svs, .*\.tiff'):
        collection.find_slides(tmp_path)


def test_a_disk_that_is_full(folder, method, tmp_path):
    """Files end at a limit, as they would where the disk ends; then there is room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (200, 3000, 20000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OutputError) as error:
                predict(folder / 'a.tif', method, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert '\n' not in str(error.value)
        assert str(tmp_path) in str(error.value)
        assert not (tmp_path / 'a').exists()
    predict(folder / 'a.tif', method, tmp_path)
    assert set(os.listdir(tmp_path / 'a')) >= FILES


def test_results_that_cannot_be_written_take_no_place(
    folder, method, tmp_path, light, monkeypatch
):
    def fail(result, work):
        (work / 'cells.csv').write_text('half')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(outputs, 'write', fail)
        with pytest.raises(OutputError, match=r'the disk is full \(No space left on device\)'):
            predict(folder / 'a.tif', method, tmp_path)
    assert not (tmp_path / 'a').exists()
    before = method.engine.batches
    predict(folder / 'a.tif', method, tmp_path)
    assert method.engine.batches == before  # all windows were done
    assert (tmp_path / 'a/summary.json').exists()


def test_estimates_write_nothing(folder, method, tmp_path):
    paths = collection.find_slides(folder)
    texts = [outcome.text for outcome in collection.estimate_slides(paths, method)]
    told = r'a\.tif: 240 x 200 px at 0\.5 um/px, .* of \d+ cell windows in \d+ tissue windows, '
    assert re.match(told, texts[0])
    assert re.fullmatch(r'2 slides, \d+:\d\d:\d\d h; nothing was written', texts[-1])
