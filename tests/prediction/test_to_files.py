"""Whatever the input is, it is predicted as what it is, by runs that fit."""

import csv
import dataclasses
import errno
import json
import os
import re
import shutil
import types
from pathlib import Path

import drawn_looks
import numpy as np
import pytest
from conftest import make_release, set_mpps
from drawn_pairs import draw_patch, write_stacks
from drawn_slides import GLASS, darkness, draw_slide, spread_cells, write_pyramid
from fake_runs import make_run, small_config
from PIL import Image

from ocelot_jax.cluster.pool import Workers
from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import engines
from ocelot_jax.inference.engine import Maps
from ocelot_jax.io.errors import InputError, MissingFileError, OutputError
from ocelot_jax.prediction import slides, to_files
from ocelot_jax.prediction.options import Options
from ocelot_jax.runs import configuration, loading
from ocelot_jax.slides import foreground, outputs, readers, summary

pytestmark = pytest.mark.usefixtures('engine')


def predict(*arguments):
    return [outcome.text for outcome in to_files.predict_input(*arguments)]


def check_challenge_file(path, count):
    """The organisers' rules."""
    document = json.loads(path.read_text())
    assert document['type'] == 'Multiple points'
    assert document['version'] == {'major': 1, 'minor': 0}
    for entry in document['points']:
        found = re.fullmatch('image_([0-9]+)', entry['name'])
        assert int(found[1]) < count
        assert [type(value) for value in entry['point']] == [int, int, int]
        x, y, label = entry['point']
        assert 0 <= x <= 1023
        assert 0 <= y <= 1023
        assert label in (1, 2)
        assert type(entry['probability']) is float
        assert 0 <= entry['probability'] <= 1
    return document['points']


def test_a_pair(run, tmp_path):
    Image.fromarray(draw_patch([(20, 30), (50, 10)])).save(tmp_path / 'cell.png')
    Image.fromarray(draw_patch([])).save(tmp_path / 'tissue.png')
    options = Options(tissue=tmp_path / 'tissue.png', center=(0.5, 0.5), mpp=0.2, tissue_mpp=0.8)
    told = predict([run], tmp_path / 'cell.png', tmp_path / 'out', options)
    assert told == [f'{tmp_path / "out"}: 2 cells in 1 pairs']
    with (tmp_path / 'out/cells.csv').open(newline='') as file:
        cells = list(csv.DictReader(file))
    assert {(c['pair'], c['x'], c['y'], c['class']) for c in cells} == {
        ('cell', '20', '30', 'TC'),
        ('cell', '50', '10', 'TC'),
    }
    assert {(c['x'], c['x_um']) for c in cells} == {('20', '4.10'), ('50', '10.10')}
    mask = np.asarray(Image.open(tmp_path / 'out/tissue/cell.png'))
    assert mask[32, 32] == 2  # CA, as in OCELOT's annotations
    assert mask[0, 0] == 1
    assert len(check_challenge_file(tmp_path / 'out/predictions.json', 1)) == 2


def test_a_pair_whose_place_is_not_told(run, tmp_path):
    for name in ('cell.png', 'tissue.png'):
        Image.fromarray(draw_patch([])).save(tmp_path / name)
    with pytest.raises(InputError, match='--tissue: wants --center=x,y'):
        predict([run], tmp_path / 'cell.png', tmp_path, Options(tissue=tmp_path / 'tissue.png'))
    # um/px are the run's where they are not told
    options = Options(tissue=tmp_path / 'tissue.png', center=(0.5, 0.5))
    assert predict([run], tmp_path / 'cell.png', tmp_path, options)


@pytest.mark.parametrize('zipped', [False, True])
def test_a_directory_or_zip_in_the_releases_layout(run, tmp_path, zipped):
    """Annotations may be there, and are not read."""
    source = make_release(tmp_path / 'data')
    if zipped:
        shutil.rmtree(source / 'annotations')
        source = Path(shutil.make_archive(tmp_path / 'data', 'zip', source))
    predict([run], source, tmp_path / 'out')
    assert sorted(os.listdir(tmp_path / 'out')) == ['test', 'train', 'validation']
    for split, ids in (('train', ['001', '002']), ('test', ['005'])):
        assert sorted(p.stem for p in (tmp_path / 'out' / split / 'tissue').iterdir()) == ids
        check_challenge_file(tmp_path / 'out' / split / 'predictions.json', len(ids))


def test_one_split_alone(run, release_folder, tmp_path):
    predict([run], release_folder, tmp_path / 'out', Options(split='val'))
    assert os.listdir(tmp_path / 'out') == ['validation']


@pytest.mark.parametrize(('count', 'batch_size'), [(1, 2), (5, 1), (5, 2)])
def test_challenge_stacks(run, tmp_path, count, batch_size):
    source = write_stacks(tmp_path / 'input', count)
    predict([run], source, tmp_path / 'output', Options(batch_size=batch_size))
    assert os.listdir(tmp_path / 'output') == ['cell_classification.json']
    points = check_challenge_file(tmp_path / 'output/cell_classification.json', count)
    assert [(p['name'], p['point']) for p in points] == [
        (f'image_{i}', [20 + i, 30, 2]) for i in range(count)
    ]


def test_challenge_stacks_without_a_cell(run, tmp_path, monkeypatch):
    def blind(batch):
        cells, tissue = darkness(batch)
        return Maps(np.broadcast_to(np.float32([1, 0, 0]), cells.shape), tissue)

    monkeypatch.setattr(engines, 'of_runs', lambda runs, name: blind)
    predict([run], write_stacks(tmp_path / 'input', 2), tmp_path / 'output')
    assert check_challenge_file(tmp_path / 'output/cell_classification.json', 2) == []


def test_bad_stacks_leave_nothing(run, tmp_path):
    source = write_stacks(tmp_path / 'input', 2, records=5)
    with pytest.raises(InputError, match='and 5 records in metadata'):
        predict([run], source, tmp_path / 'output')
    assert os.listdir(tmp_path / 'output') == []


def test_the_organisers_sample(run, shared, tmp_path):
    predict([run], shared / 'data/gc_sample/input', tmp_path)
    assert check_challenge_file(tmp_path / 'cell_classification.json', 1)


@pytest.fixture
def summaries_alone(monkeypatch):
    """Writes the summary of a slide alone, in a moment."""

    def write(result, work):
        summary.write_json(result, summary.summarise(result), work / 'summary.json')

    monkeypatch.setattr(outputs, 'write', write)


@pytest.fixture
def light(monkeypatch, summaries_alone):
    """Reads slides in this process, too."""
    here = types.SimpleNamespace(open=readers.open_reader, kill=lambda: None)
    monkeypatch.setattr(slides, 'ReadingProcess', lambda: here)


@pytest.fixture
def slide_path(tmp_path):
    points, labels = spread_cells(100, 100, 12.0, np.random.default_rng(0))
    return write_pyramid(tmp_path / 'a.tif', draw_slide(200, 200, 0.5, points, labels), 0.5)


@pytest.mark.parametrize('dry_run', [False, True])
def test_a_slide(run, slide_path, tmp_path, dry_run):
    told = predict([run], slide_path, tmp_path / 'out', Options(dry_run=dry_run))
    if dry_run:
        assert told[0].startswith('a.tif: 200 x 200 px at 0.5 um/px, ')
        assert 'nothing was written' in told[-1]
        assert not (tmp_path / 'out').exists()
    else:
        record = json.loads((tmp_path / 'out/a/prediction.json').read_text())
        assert (record['runs'], record['file']) == (['run'], 'a.tif')
        settings = record['depends_on']
        assert (settings['engine'], settings['everywhere']) == ('xla', False)
        assert settings['weights'] == loading.load_runs([run]).identity()['weights']
        again = predict([run], slide_path, tmp_path / 'out', Options(dry_run=True))
        assert again == [f'{tmp_path}/out/a: is there', '1 slides, 0:00:00 h; nothing was written']


def test_files_tell_of_cells_that_were_left_out(tmp_path, light, slide_path):
    """Of pairs and of slides; whoever reads them need not have seen the log."""
    config = small_config(detection__backend='skimage', detection__max_cells=1)
    run = make_run(tmp_path / 'run', config)
    told = 'patches have more peaks than config.detection.max_cells = 1; the lowest were left out'
    predict([run], slide_path, tmp_path / 'slides')
    for file in ('summary.json', 'prediction.json'):
        [warning] = json.loads((tmp_path / 'slides/a' / file).read_text())['warnings']
        assert told in warning
    for name, cells in {'tissue': [], 'few': [(20, 30)], 'many': [(20, 30), (50, 10)]}.items():
        Image.fromarray(draw_patch(cells)).save(tmp_path / f'{name}.png')
    options = Options(tissue=tmp_path / 'tissue.png', center=(0.5, 0.5), mpp=0.5, tissue_mpp=2.0)
    for name, warnings in {'few': [], 'many': [f'1 {told}, a larger value keeps them']}.items():
        predict([run], tmp_path / f'{name}.png', tmp_path / name, options)
        assert json.loads((tmp_path / name / 'origin.json').read_text())['warnings'] == warnings


def test_how_a_slide_is_predicted_is_as_the_options_say(
    run, summaries_alone, tmp_path, monkeypatch
):
    points, labels = spread_cells(100, 100, 12.0, np.random.default_rng(0))
    image = draw_slide(200, 200, 0.5, points, labels)
    image[:, 110:] = GLASS
    slide_path = write_pyramid(tmp_path / 'a.tif', image, 0.5)
    asked = []
    monkeypatch.setattr(engines, 'of_runs', lambda runs, name: asked.append(runs) or darkness)
    strict = {'sigma_um': 0.5, 'min_distance_um': 1.5, 'threshold': 0.999, 'temperature': 1.0}
    (tmp_path / 'strict.json').write_text(json.dumps(strict))
    records, windows = [], []
    for options in (
        Options(),
        Options(everywhere=True, test_time_augmentation=True, detection=tmp_path / 'strict.json'),
    ):
        [told] = predict([run], slide_path, tmp_path / 'out', options)
        windows.append(int(re.findall('in (.*) windows', told)[0]))
        records.append(json.loads((tmp_path / 'out/a/prediction.json').read_text()))
        shutil.rmtree(tmp_path / 'out')
    assert ': 0 cells' in told
    assert 4 <= windows[0] < windows[1] == 16
    assert asked[1].config.detection.threshold == 0.999
    assert [runs.config.test_time_augmentation for runs in asked] == [False, True]
    settings = [record['depends_on'] for record in records]
    for name in ('everywhere', 'test_time_augmentation'):
        assert [of[name] for of in settings] == [False, True]
    assert settings[0]['settings'] != settings[1]['settings']


@pytest.mark.parametrize('dry_run', [False, True])
def test_a_file_that_kills_its_reader_costs_one_slide(
    run, slide_path, summaries_alone, tmp_path, monkeypatch, dry_run
):
    """As a damaged DICOM kills OpenSlide, or the system who wants too much memory."""
    (tmp_path / 'sitecustomize.py').write_text(
        'import os\n'
        'from ocelot_jax.slides import readers\n'
        'open_reader = readers.open_reader\n'
        'def do(path):\n'
        '    if path.stem != "good": os.kill(os.getpid(), {"segv": 11, "out": 9}[path.stem])\n'
        '    return open_reader(path)\n'
        'readers.open_reader = do\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'slides').mkdir()
    for name in ('segv', 'out', 'good'):
        shutil.copy(slide_path, tmp_path / f'slides/{name}.tif')
    told = []
    options = Options(dry_run=dry_run)
    with pytest.raises(InputError, match='2 of 3 slides failed: out, segv'):
        to_files.predict_input([run], tmp_path / 'slides', tmp_path / 'out', options, told.append)
    lines = {line.text for line in told if line.failed}
    assert len(lines) == 2
    for name, signal in (('out', 'SIGKILL'), ('segv', 'SIGSEGV')):
        start = (
            f'error: {tmp_path}/slides/{name}.tif: the process that read it was killed by {signal}'
        )
        assert any(line.startswith(start) for line in lines)


def test_an_overview_that_is_not_needed_is_not_waited_for(
    run, slide_path, tmp_path, summaries_alone, monkeypatch
):
    """Of a large slide without lower resolutions it takes minutes."""
    predict([run], slide_path, tmp_path / 'out')
    whole = []

    def overview(slide):
        for _ in range(2000):
            slide.read(0, 0, 100, 100, slide.mpp)
        whole.append(slide)

    def load(*arguments):
        raise InputError('no such run')

    monkeypatch.setattr(foreground, 'overview', overview)
    assert predict([run], slide_path, tmp_path / 'out') == [f'{tmp_path}/out/a: done already']
    monkeypatch.setattr(slides, 'load_predictor', load)
    with pytest.raises(InputError, match='no such run'):
        predict([run], slide_path, tmp_path / 'out')
    assert not whole


def test_names_that_no_result_can_hold_are_told_before_the_work(run, slide_path, tmp_path):
    odd = tmp_path / os.fsdecode(b'gr\xfcn')
    shutil.copytree(slide_path.parent, odd, ignore=lambda folder, names: {odd.name})
    for source, output in ((slide_path, odd / 'out'), (odd / slide_path.name, tmp_path / 'out')):
        with pytest.raises(InputError, match=r'gr\\xfcn.*: has a name that is not UTF-8'):
            predict([run], source, output)
        assert not output.exists()


@pytest.fixture
def strict(run):
    """What the run was trained on is like nothing else."""
    known = dataclasses.replace(drawn_looks.learn(12, 2), far=0.01)
    configuration.write_appearance(run, known)
    yield
    (run / 'appearance.json').unlink()


def test_slides_and_pairs_are_told_of_that_look_otherwise(
    run, strict, slide_path, release_folder, light, tmp_path, caplog
):
    predict([run], slide_path, tmp_path / 'slide')
    [doubt] = json.loads((tmp_path / 'slide/a/prediction.json').read_text())['warnings']
    assert 'does not look like what the run was trained on' in doubt
    assert f'a: {doubt}' in caplog.messages
    caplog.clear()
    predict([run], release_folder, tmp_path / 'pairs', Options(split='train', dry_run=True))
    assert any('does not look like what the run was trained on' in m for m in caplog.messages)


def test_a_dry_run_of_pairs(run, release_folder, tmp_path):
    options = Options(dry_run=True, split='train')
    [told] = predict([run], release_folder, tmp_path / 'out', options)
    assert re.fullmatch(r'train: 2 pairs, \d+\.\d\d s each', told)
    assert not (tmp_path / 'out').exists()


def test_pairs_at_another_resolution_than_the_runs_are_warned_of(
    run, release_folder, tmp_path, caplog
):
    """Also where the first suits, and slides that are coarser; finer ones are resampled."""
    predict([run], release_folder, tmp_path, Options(split='test', dry_run=True))
    assert 'have 0.2 um/px, but the run was trained at 0.5' in caplog.text
    caplog.clear()
    patches = Patches(64, 0.2, 64, 0.8)
    predict([run], release_folder, tmp_path, Options(split='test', dry_run=True, patches=patches))
    assert 'um/px' not in caplog.text
    mixed = make_release(tmp_path / 'mixed', {'val': 3})
    set_mpps(mixed, {'001': 0.5, '002': 0.41})
    predict([run], mixed, tmp_path, Options(dry_run=True))
    assert '1 of 3 cell patches have 0.2 um/px, but the run was trained at 0.5' in caplog.text
    caplog.clear()
    for mpp in (0.1, 0.6, 0.7):
        write_pyramid(tmp_path / f'at_{mpp}.tif', draw_slide(64, 64, mpp, [], []), mpp)
        predict([run], tmp_path / f'at_{mpp}.tif', tmp_path / 'out', Options(dry_run=True))
    [told] = [m for m in caplog.messages if 'um/px' in m]
    assert told.startswith('at_0.7: the slide has 0.7 um/px, but the run was trained at 0.5;')


def test_a_folder_that_cannot_be_written(run, release_folder, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr('tempfile.TemporaryFile', refuse)
    with pytest.raises(OutputError, match=r'out: cannot be written \(Permission denied\)'):
        predict([run], release_folder, tmp_path / 'out')
    assert os.listdir(tmp_path / 'out') == []


def test_a_disk_that_is_full_of_pairs(run, release_folder, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('ocelot_jax.prediction.pair_files.write', fail)
    with pytest.raises(OutputError, match=r'out: the disk is full \(No space left on device\)'):
        predict([run], release_folder, tmp_path / 'out')


def test_what_is_missing_is_named(run, slide_path, tmp_path):
    with pytest.raises(MissingFileError, match=r'nowhere\.svs: no such file or directory'):
        predict([run], tmp_path / 'nowhere.svs', tmp_path)
    with pytest.raises(MissingFileError, match='is no run; --workdir'):
        predict([tmp_path], slide_path, tmp_path)


@pytest.mark.parametrize('options', [Options(workers=Workers(count=2)), Options(shard=(1, 2))])
def test_only_a_directory_of_slides_is_shared_out(
    run, slide_path, release_folder, tmp_path, options
):
    for source in (slide_path, release_folder):
        with pytest.raises(InputError, match='is no directory of slides, which --workers, --sch'):
            predict([run], source, tmp_path / 'out', options)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('kind', 'options', 'told'),
    [
        ('layout', {'tumor_class': 'TC'}, '--tumor_class: is for slides, and would not be used'),
        ('stacks', {'tumor_class': 'TC'}, '--tumor_class: is for slides'),
        ('pair', {'tumor_class': 'TC'}, '--tumor_class: is for slides'),
        ('layout', {'everywhere': True}, '--everywhere: is for slides'),
        ('layout', {'recursive': True}, '--recursive: is for slides'),
        ('stacks', {'mpp': 0.5, 'override_mpp': True}, '--override_mpp: is for slides'),
        ('layout', {'mpp': 0.5}, r'--mpp: is for slides or one pair; these state theirs in meta'),
        ('stacks', {'tissue_mpp': 0.8}, '--tissue_mpp: is for one pair, beside --tissue'),
        ('slide', {'recursive': True}, '--recursive: is for a directory, and would not be used'),
        ('slide', {'center': (0.5, 0.5)}, '--center: is for one pair, beside --tissue'),
        ('slide', {'split': 'val'}, "--split: is for pairs in OCELOT's layout"),
        ('stacks', {'split': 'test'}, "--split: is for pairs in OCELOT's layout"),
    ],
)
def test_what_would_not_be_used_is_refused(
    run, slide_path, release_folder, tmp_path, kind, options, told
):
    stacks = write_stacks(tmp_path / 'stacks', 1)
    sources = {'layout': release_folder, 'stacks': stacks, 'slide': slide_path, 'pair': slide_path}
    if kind == 'pair':
        options = options | {'tissue': slide_path, 'center': (0.5, 0.5)}
    with pytest.raises(InputError, match=told) as error:
        predict([run], sources[kind], tmp_path / 'out', Options(**options))
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'model__context': 'label', 'model__seam': 'input'}, 'takes the true tissue as input'),
        ({'data__cell_classes': ('A', 'B', 'C')}, 'knows 3 classes of cells; the challenge wants'),
    ],
)
def test_runs_that_do_not_suit_the_input(run, tmp_path, monkeypatch, loaded, changes, message):
    config = small_config(**changes)
    other = loading.LoadedRuns((run,), config, (), (1,), ('',))
    monkeypatch.setattr(loading, 'load_runs', lambda *_, **__: other)
    with pytest.raises(InputError, match=message):
        predict([run], write_stacks(tmp_path / 'input', 1), tmp_path / 'out')


def test_batches_that_do_not_divide_by_the_devices(run, release_folder, tmp_path, monkeypatch):
    monkeypatch.setattr('jax.local_device_count', lambda: 4)
    with pytest.raises(InputError, match='--batch_size: 6; want a multiple of the 4 devices'):
        predict([run], release_folder, tmp_path / 'out', Options(batch_size=6))


def test_what_is_asked_for_belongs_to_the_results(run, slide_path, tmp_path, light):
    with pytest.raises(InputError, match=r'--tumor_class: NC is no class of .*; want one of BC, '):
        predict([run], slide_path, tmp_path / 'out', Options(tumor_class='NC'))
    predict([run], slide_path, tmp_path / 'out', Options(tumor_class='BC'))
    numbers = json.loads((tmp_path / 'out/a/summary.json').read_text())
    assert numbers['tumor_purity'] == numbers['cell_share']['BC']
    for name, other in {
        'tumor_class': {'tumor_class': None},
        'patches': {'patches': Patches(64, 0.55, 64, 2.0)},
        'engine': {'engine': 'onnxruntime'},
    }.items():
        with pytest.raises(InputError, match=rf'holds other results \({name} differ'):
            predict([run], slide_path, tmp_path / 'out', Options(**{'tumor_class': 'BC'} | other))


@pytest.mark.parametrize('override', [False, True])
@pytest.mark.parametrize('dry_run', [False, True])
def test_a_table_serves_a_mixed_folder(run, tmp_path, light, dry_run, override):
    """A scan, and snapshots that say 72 dpi, one of them in a folder within."""
    folder, output = tmp_path / 'slides', tmp_path / 'out'
    (folder / 'x').mkdir(parents=True)
    image = draw_slide(64, 64, 0.5, [], [])
    write_pyramid(folder / 'scan.tif', image, 0.5)
    for path in (folder / 'snapshot.png', folder / 'x/snapshot.png'):
        Image.fromarray(image).save(path, dpi=(72, 72))
    table = tmp_path / 'table.csv'
    table.write_text('name;um/px\nsnapshot.png;0,4\nscan;0,25\nx/snapshot.png;0,3\n')
    options = Options(mpp=table, override_mpp=override, recursive=True, dry_run=dry_run)
    told = predict([run], folder, output, options)
    wanted = {'scan': 0.25 if override else 0.5, 'snapshot': 0.4, 'x__snapshot': 0.3}
    if dry_run:
        found = [float(line.partition(' px at ')[2].split()[0]) for line in told[:3]]
    else:
        files = [output / name / 'summary.json' for name in wanted]
        found = [json.loads(file.read_text())['um_per_px'] for file in files]
    assert found == pytest.approx(list(wanted.values()))
