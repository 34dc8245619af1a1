"""Many slides into one folder: what is done, left alone or failed, and the table of all."""

import csv
import errno
import functools
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

from ocelot_jax.cluster import pool as pool_lib
from ocelot_jax.inference.detector import Detector
from ocelot_jax.io.errors import InputError, OutputError
from ocelot_jax.slides import collection, finding, outputs, pipeline, prediction, summary, tables
from ocelot_jax.slides.slide import Slide

FILES = {'cells.csv', 'cells.geojson', 'page.html', 'summary.json', 'prediction.json'}


ORIGIN = {'runs': ['one', 'two']}


class Engine:
    """Counts the batches that it is asked for."""

    batches = 0

    def __call__(self, batch):
        self.batches += 1
        return darkness(batch)


@pytest.fixture
def method():
    config = small_config(detection__backend='skimage')  # nothing is compiled
    detect = Detector(config.detection)
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

    def write(result, work):
        summary.write_json(result, summary.summarise(result), work / 'summary.json')

    monkeypatch.setattr(outputs, 'write', write)


def open_and_predict(name, path, mpp=None, override_mpp=False, **options):
    with Slide(path, mpp, name, override_mpp) as slide:
        return prediction.predict(slide, origin=ORIGIN, **options)


def predict_one(path, method, output, identity=None, **options):
    """The number of cells found, and that of windows."""
    output.mkdir(exist_ok=True)
    done = open_and_predict(
        path.stem, path, method=method, output=output, identity=identity or {}, **options
    )
    return sum(done.numbers['cells'].values()), done.windows


def predict(source, method, output, shard=(0, 1), recursive=False, **options):
    """Outcomes, as they come."""
    output.mkdir(exist_ok=True)
    slides = finding.find_slides(source, recursive)
    own = dict(list(slides.items())[shard[0] :: shard[1]])
    perform = functools.partial(
        open_and_predict, method=method, output=output, identity={}, **options
    )
    with pool_lib.open_pool(pool_lib.HERE, lambda: perform, 'predict') as pool:
        yield from collection.predict_slides(own, pool, output, shard)


def read_table(path):
    with path.open(newline='') as file:
        return {row['slide']: row for row in csv.DictReader(file)}


def column(path, name):
    return {slide: row[name] for slide, row in read_table(path).items()}


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if path.name[0] != '.')


def test_a_slide_as_a_pyramid_and_as_a_plain_image(folder, method, tmp_path, monkeypatch):
    found, windows = predict_one(folder / 'a.tif', method, tmp_path)
    assert os.listdir(tmp_path) == ['a']
    assert set(os.listdir(tmp_path / 'a')) >= FILES
    numbers = json.loads((tmp_path / 'a/summary.json').read_text())
    _, labels = spread_cells(120, 100, 12.0, np.random.default_rng(0))
    assert numbers['slide'] == 'a'
    assert sum(numbers['cells'].values()) == len(labels) == found
    assert windows > 0

    Image.fromarray(tifffile.imread(folder / 'a.tif')).save(tmp_path / 'a.png')

    def write(result, work):
        tables.write(result, work / 'csv', work / 'parquet')
        summary.write_json(result, summary.summarise(result), work / 'summary.json')

    monkeypatch.setattr(outputs, 'write', write)
    predict_one(tmp_path / 'a.png', method, tmp_path / 'plain', mpp=0.5)
    assert (tmp_path / 'plain/a/csv').read_bytes() == (tmp_path / 'a/cells.csv').read_bytes()


def test_done_slides_are_left_alone(folder, method, tmp_path, light):
    told = [outcome.text for outcome in predict(folder, method, tmp_path)]
    assert all(
        map(re.fullmatch, [rf'{tmp_path}/{x}: \d+ cells in \d+ windows' for x in 'ab'], told)
    )
    before, seconds = method.engine.batches, column(tmp_path / 'slides.csv', 'seconds')
    again = [(outcome.text, outcome.failed) for outcome in predict(folder, method, tmp_path)]
    assert again == [(f'{tmp_path / name}: done already', False) for name in 'ab']
    assert method.engine.batches == before
    assert column(tmp_path / 'slides.csv', 'status') == dict.fromkeys('ab', 'done already')
    assert column(tmp_path / 'slides.csv', 'seconds') == seconds
    # a table that a spreadsheet broke does no harm
    table = tmp_path / 'slides.csv'
    table.write_text(table.read_text().replace(',done', ',lost').replace(seconds['a'], 'true', 1))
    next(predict(folder, method, tmp_path))
    assert column(table, 'status') == dict.fromkeys('ab', 'done already')
    assert all(map(str.isdigit, column(table, 'cells').values()))
    table.write_bytes(b'\xff,')
    with pytest.raises(InputError, match='is no whole table'):
        next(predict(folder, method, tmp_path))


@pytest.mark.parametrize(
    ('change', 'name'),
    [
        ({'identity': {'weights': [2]}}, 'weights'),
        ({'everywhere': True}, 'everywhere'),
        ({'mpp': 0.25, 'override_mpp': True}, 'slide'),
    ],
)
def test_other_results_are_not_taken_for_done(folder, method, tmp_path, light, change, name):
    predict_one(folder / 'a.tif', method, tmp_path)
    with pytest.raises(InputError, match=rf'a: is there and holds other results \({name} differ'):
        predict_one(folder / 'a.tif', method, tmp_path, **change)


def test_a_slide_that_failed_keeps_no_numbers_of_other_results(folder, method, tmp_path, light):
    """They would be taken for those that were asked for."""
    list(predict(folder, method, tmp_path))
    with pytest.raises(InputError, match='2 of 2 slides failed'):
        list(predict(folder, method, tmp_path, everywhere=True))
    for row in read_table(tmp_path / 'slides.csv').values():
        told = {name for name, value in row.items() if value}
        assert told == {'slide', 'file', 'status', 'error'}


@pytest.mark.parametrize(
    ('file', 'change', 'message'),
    [
        ('summary.json', lambda text: text.replace('"x_um": ', '"x_um": 1'), 'was changed after'),
        ('summary.json', lambda text: '', 'was changed after'),
        ('prediction.json', lambda text: text[:-9], 'is damaged'),
        ('prediction.json', lambda text: text.replace('[]', 'null'), 'is no record of a slide'),
        ('prediction.json', lambda text: '[1]', 'is no record of a slide'),
    ],
)
def test_results_that_were_changed_are_not_taken_for_done(
    folder, method, tmp_path, light, file, change, message
):
    predict_one(folder / 'a.tif', method, tmp_path)
    path = tmp_path / 'a' / file
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=rf'a/{file}: {message}'):
        predict_one(folder / 'a.tif', method, tmp_path)


def test_another_slide_of_the_same_name_and_size_is_not_taken_for_done(
    folder, method, tmp_path, light
):
    path = tmp_path / 'a.tif'
    shutil.copy(folder / 'a.tif', path)
    predict_one(path, method, tmp_path / 'out')
    with tifffile.TiffFile(path) as file:
        tile = file.pages[0].dataoffsets[-1]
    content = bytearray(path.read_bytes())
    content[tile + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'holds other results \(slide differ'):
        predict_one(path, method, tmp_path / 'out')


def test_a_bad_slide_does_not_stop_the_others(folder, method, tmp_path, light):
    source = tmp_path / 'slides'
    shutil.copytree(folder, source)
    (source / '0bad.svs').write_text('no slide')
    (source / 'notes.txt').write_text('no slide either')
    for estimate in (True, False):
        if estimate:
            outcomes = collection.estimate_slides(
                finding.find_slides(source), method, {}, tmp_path
            )
        else:
            outcomes = predict(source, method, tmp_path / 'out')
        first = next(outcomes)
        assert first.failed
        assert first.text.startswith(f'error: {source / "0bad.svs"}: no slide that')
        found = [next(outcomes), next(outcomes)]
        assert not any(outcome.failed for outcome in found)
        if estimate:
            assert next(outcomes).text.startswith('2 slides, ')
            with pytest.raises(InputError, match=r'1 of 3 slides failed: 0bad'):
                next(outcomes)
            continue
        wanted = r'1 of 3 slides failed: 0bad; the others are in .*, and slides\.csv there'
        with pytest.raises(InputError, match=wanted):
            next(outcomes)
    assert visible(tmp_path / 'out') == ['a', 'b', 'index.html', 'slides.csv']


def test_a_file_in_the_place_of_results_costs_its_slide(folder, method, tmp_path, light):
    (tmp_path / 'a').touch()
    outcomes = predict(folder, method, tmp_path)
    assert f'{tmp_path}/a: holds no prediction.json' in next(outcomes).text
    assert not next(outcomes).failed
    with pytest.raises(InputError, match=r'1 of 2 slides failed: a'):
        next(outcomes)


def test_a_name_that_is_not_utf_8_costs_its_slide(folder, method, tmp_path, light):
    source, output = tmp_path / 'slides', tmp_path / 'out'
    (source / 'x').mkdir(parents=True)
    for name in (b'm\xfcller.tif', b'x/\xff.tif', 'müller.tif'):
        shutil.copy(folder / 'a.tif', os.fsencode(source) + b'/' + os.fsencode(name))
    slides = finding.find_slides(source, recursive=True)
    names = [r'm\xfcller', 'müller', r'x__\xff']
    assert sorted(slides) == names
    failed = r'2 of 3 slides failed: m\\xfcller, x__\\xff'
    with pytest.raises(InputError, match=failed):
        list(collection.estimate_slides(slides, method, {}, tmp_path))
    outcomes = predict(source, method, output, recursive=True)
    told = [next(outcomes).text for _ in slides]
    with pytest.raises(InputError, match=failed):
        next(outcomes)
    why = 'has a name that is not UTF-8, as results want it; rename it'
    assert rf'error: {source}/m\xfcller.tif: {why}' in told
    assert column(output / 'slides.csv', 'status') == dict(
        zip(names, ('failed', 'done', 'failed'), strict=True)
    )


def test_a_bug_costs_one_slide_and_keeps_its_traceback(
    folder, method, tmp_path, light, monkeypatch, caplog
):
    resolve = pipeline.seams.resolve

    def fail_once(*arguments):
        monkeypatch.setattr(pipeline.seams, 'resolve', resolve)
        raise MemoryError('a\nbug')

    with monkeypatch.context() as patch:  # a dry run does not stop, either
        patch.setattr(pipeline.foreground, 'find', lambda *overview: fail_once())
        slides = finding.find_slides(folder)
        with pytest.raises(InputError, match=r'2 of 2 slides failed: a, b'):
            list(collection.estimate_slides(slides, method, {}, tmp_path))
    monkeypatch.setattr(pipeline.seams, 'resolve', fail_once)
    outcomes = predict(folder, method, tmp_path)
    first = next(outcomes)
    assert (first.text, first.failed) == (f'error: {folder}/a.tif: MemoryError: a bug', True)
    assert 'in fail_once' in caplog.text
    with pytest.raises(InputError, match=r'1 of 2 slides failed: a; the others'):
        list(outcomes)
    assert visible(tmp_path) == ['b', 'index.html', 'slides.csv']


def test_the_table_is_over_all_slides_of_the_folder(folder, method, tmp_path, light):
    source, output = tmp_path / 'slides', tmp_path / 'out'
    shutil.copytree(folder, source)
    (source / '0bad.svs').write_text('no slide')
    outcomes = predict(source, method, output)
    next(outcomes)
    outcomes.close()  # as where the command is interrupted
    statuses = {'0bad': 'failed', 'a': 'waiting', 'b': 'waiting'}
    assert column(output / 'slides.csv', 'status') == statuses
    with pytest.raises(InputError):
        list(predict(source, method, output))
    rows = read_table(output / 'slides.csv')
    assert list(rows) == ['0bad', 'a', 'b']
    numbers = json.loads((output / 'a/summary.json').read_text())
    cells = numbers['cells']
    assert rows['a'] == {
        'slide': 'a', 'file': 'a.tif', 'status': 'done', 'runs': 'one; two', 'um_per_px': '0.5',
        'cells': str(sum(cells.values())), 'cells_BC': str(cells['BC']),
        'cells_TC': str(cells['TC']), 'tumor_purity': str(numbers['tumor_purity']),
        'foreground_mm2': str(numbers['foreground_mm2']), 'regions': str(len(numbers['regions'])),
        'seconds': rows['a']['seconds'], 'warnings': '', 'error': '',
    }  # fmt: skip
    assert float(rows['a']['seconds']) >= 0
    assert rows['0bad']['error'].startswith('no slide that OpenSlide knows')
    # a slide that comes later leaves the rows of the others, even where those are not reached
    (source / '0bad.svs').unlink()
    shutil.copy(source / 'b.tif', source / '0new.tif')
    outcomes = predict(source, method, output)
    next(outcomes)
    outcomes.close()
    statuses = {'0new': 'done', 'a': 'done already', 'b': 'done already'}
    assert column(output / 'slides.csv', 'status') == statuses


def test_the_table_tells_what_a_slide_was_warned_of(folder, method, tmp_path, light, caplog):
    """Also where the slide was done by an earlier command."""
    for status in ('done', 'done already'):
        list(predict(folder, method, tmp_path, mpp=0.25))
        row = read_table(tmp_path / 'slides.csv')['a']
        assert row['status'] == status
        assert row['warnings'].startswith('states 0.5 um/px, so 0.25 is not taken')
    assert 'a: states 0.5 um/px' in caplog.text
    coarse = {'mpp': 2.0, 'override_mpp': True}
    list(predict(folder, method, tmp_path / 'coarse', **coarse))
    row = read_table(tmp_path / 'coarse/slides.csv')['b']
    numbers = json.loads((tmp_path / 'coarse/b/summary.json').read_text())
    assert numbers['warnings'] == [row['warnings']]
    assert row['warnings'].startswith('the slide has 2 um/px, but the run was trained at')


def test_shards_write_tables_of_their_own(folder, method, tmp_path, light):
    for index in range(2):
        assert len(list(predict(folder, method, tmp_path, shard=(index, 2)))) == 1
    assert column(tmp_path / 'slides-0-of-2.csv', 'status') == {'a': 'done'}
    assert column(tmp_path / 'slides-1-of-2.csv', 'status') == {'b': 'done'}
    list(predict(folder, method, tmp_path))
    assert column(tmp_path / 'slides.csv', 'status') == dict.fromkeys('ab', 'done already')
    assert all(column(tmp_path / 'slides.csv', 'seconds').values())


def test_slides_of_one_stem_have_results_by_their_whole_names(folder, method, tmp_path, light):
    source = tmp_path / 'slides'
    source.mkdir()
    for name in ('a.tif', 'a.tiff', 'a.tif.tif', 'b.tif'):
        shutil.copy(folder / 'b.tif', source / name)
    slides = finding.find_slides(source)
    names = {'a.tif': 'a.tif', 'a.tif.tif': 'a.tif.tif', 'a.tiff': 'a.tiff', 'b': 'b.tif'}
    assert {name: path.name for name, path in slides.items()} == names
    list(predict(source, method, tmp_path / 'out'))
    assert visible(tmp_path / 'out') == [*names, 'index.html', 'slides.csv']
    numbers = json.loads((tmp_path / 'out/a.tiff/summary.json').read_text())
    assert numbers['slide'] == 'a.tiff'


@pytest.mark.parametrize('moment', ['predicting', 'writing'])
def test_another_that_ended_first_is_believed(
    folder, method, tmp_path, light, monkeypatch, moment
):
    """As where a worker that was thought dead wakes up, or two commands share a folder."""
    write = outputs.write

    def write_late(result, work):
        write(result, work)
        monkeypatch.setattr(outputs, 'write', write)
        predict_one(folder / 'a.tif', method, tmp_path)

    def resolve_late(*arguments):
        monkeypatch.setattr(pipeline.seams, 'resolve', resolve)
        predict_one(folder / 'a.tif', method, tmp_path)
        return resolve(*arguments)

    resolve = pipeline.seams.resolve
    if moment == 'writing':
        monkeypatch.setattr(outputs, 'write', write_late)
    else:
        monkeypatch.setattr(pipeline.seams, 'resolve', resolve_late)
    found, windows = predict_one(folder / 'a.tif', method, tmp_path)
    assert windows is None
    assert found == predict_one(folder / 'a.tif', method, tmp_path / 'alone')[0]
    assert sorted(os.listdir(tmp_path)) == ['a', 'alone']


def test_a_disk_that_is_full(folder, method, tmp_path):
    """Files end at a limit, as they would where the disk ends; then there is room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (200, 3000, 20000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OutputError) as error:
                predict_one(folder / 'a.tif', method, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert '\n' not in str(error.value)
        assert str(tmp_path) in str(error.value)
        assert not (tmp_path / 'a').exists()
    predict_one(folder / 'a.tif', method, tmp_path)
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
            predict_one(folder / 'a.tif', method, tmp_path)
    assert not (tmp_path / 'a').exists()
    before = method.engine.batches
    predict_one(folder / 'a.tif', method, tmp_path)
    assert method.engine.batches == before  # all windows were done
    assert (tmp_path / 'a/summary.json').exists()


def test_estimates_write_nothing(folder, method, tmp_path):
    slides = finding.find_slides(folder)
    texts = [outcome.text for outcome in collection.estimate_slides(slides, method, {}, tmp_path)]
    told = r'a\.tif: 240 x 200 px at 0\.5 um/px, .* of \d+ cell windows in \d+ tissue windows, '
    assert re.match(told, texts[0])
    assert re.fullmatch(r'2 slides, \d+:\d\d:\d\d h; nothing was written', texts[-1])
