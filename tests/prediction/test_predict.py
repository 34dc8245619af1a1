"""The command that predicts: whatever the input is, what is written, what is refused."""

import csv
import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import ROOT, make_release
from drawn_slides import darkness, draw_slide, spread_cells, write_pyramid
from fake_runs import make_run, small_config
from PIL import Image

from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import engines
from ocelot_jax.io import locks
from ocelot_jax.prediction import predictor
from ocelot_jax.prediction.predictor import Options
from ocelot_jax.slides import outputs

RELEASE = Patches(64, 0.2, 64, 0.8)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run on patches of 64 px at 0.5 and 2 um/px."""
    return make_run(tmp_path_factory.mktemp('runs') / 'run', small_config())


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    """What the runs' networks are replaced by; set `seen.engine` for another one."""

    class Seen:
        engine = staticmethod(darkness)
        batches = 0

    def create(runs, name):
        def engine(batch):
            Seen.batches += 1
            return Seen.engine(batch)

        return engine

    monkeypatch.setattr(engines, 'of_runs', create)
    return Seen


def blind(batch):
    """Sees no cells."""
    cells, tissue = darkness(batch)
    return np.broadcast_to(np.float32([1, 0, 0]), cells.shape), tissue


def draw_patch(points, size=64, mpp=0.2):
    """A patch with cells of label 2 at `points`, pixels."""
    image = draw_slide(size, size, mpp, (np.array(points) + 0.5) * mpp, [2] * len(points))
    return image


def read_cells(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def write_stacks(folder, count, tissue_count=None, records=None, mode='RGB', size=64):
    """The challenge's input: `count` pairs, each with one cell at (20 + i, 30)."""
    for kind, n in (('cell', count), ('tissue', tissue_count or count)):
        (folder / f'images/{kind}_patches').mkdir(parents=True)
        patches = [draw_patch([(20 + i, 30)] if kind == 'cell' else [], size) for i in range(n)]
        Image.fromarray(np.concatenate(patches)).convert(mode).save(
            folder / f'images/{kind}_patches/000.tif'
        )
    box = {'x_start': 0, 'y_start': 0, 'x_end': 9, 'y_end': 9}
    record = {
        'patch_x_offset': 0.5,
        'patch_y_offset': 0.5,
        'mpp_x': 0.25,
        'mpp_y': 0.25,
        'cell': box | {'resized_mpp_x': 0.2, 'resized_mpp_y': 0.2},
        'tissue': box | {'resized_mpp_x': 0.8, 'resized_mpp_y': 0.8},
    }
    (folder / 'metadata.json').write_text(json.dumps([record] * (records or count)))
    return folder


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
    predictor.predict([run], tmp_path / 'cell.png', tmp_path / 'out', options)
    cells = read_cells(tmp_path / 'out/cells.csv')
    assert {(c['pair'], c['x'], c['y'], c['class']) for c in cells} == {
        ('cell', '20', '30', 'TC'),
        ('cell', '50', '10', 'TC'),
    }
    assert {(c['x'], c['x_um']) for c in cells} == {('20', '4.10'), ('50', '10.10')}
    mask = np.asarray(Image.open(tmp_path / 'out/tissue/cell.png'))
    assert mask[32, 32] == 2  # CA, as in OCELOT's annotations
    assert mask[0, 0] == 1
    assert len(check_challenge_file(tmp_path / 'out/predictions.json', 1)) == 2


@pytest.mark.parametrize('annotated', [True, False])
@pytest.mark.parametrize('zipped', [False, True])
def test_a_directory_or_zip_in_the_releases_layout(run, tmp_path, annotated, zipped):
    folder = make_release(tmp_path / 'data')
    if not annotated:
        shutil.rmtree(folder / 'annotations')
    source = folder
    if zipped:
        source = Path(shutil.make_archive(tmp_path / 'data', 'zip', folder))
    predictor.predict([run], source, tmp_path / 'out')
    found = sorted(
        p.relative_to(tmp_path / 'out').as_posix() for p in (tmp_path / 'out').iterdir()
    )
    assert found == ['test', 'train', 'validation']
    for split, ids in (('train', ['001', '002']), ('test', ['005'])):
        assert sorted(p.stem for p in (tmp_path / 'out' / split / 'tissue').iterdir()) == ids
        check_challenge_file(tmp_path / 'out' / split / 'predictions.json', len(ids))


def test_one_split_alone(run, release_folder, tmp_path):
    predictor.predict([run], release_folder, tmp_path / 'out', Options(split='val'))
    assert [p.name for p in (tmp_path / 'out').iterdir()] == ['validation']


@pytest.mark.parametrize('count', [1, 5])
@pytest.mark.parametrize('batch_size', [1, 2])
def test_challenge_stacks(run, tmp_path, count, batch_size):
    source = write_stacks(tmp_path / 'input', count)
    predictor.predict([run], source, tmp_path / 'output', Options(batch_size=batch_size))
    assert [p.name for p in (tmp_path / 'output').iterdir()] == ['cell_classification.json']
    points = check_challenge_file(tmp_path / 'output/cell_classification.json', count)
    assert [(p['name'], p['point']) for p in points] == [
        (f'image_{i}', [20 + i, 30, 2]) for i in range(count)
    ]


def test_challenge_stacks_without_a_cell(run, tmp_path, engine):
    engine.engine = staticmethod(blind)
    predictor.predict([run], write_stacks(tmp_path / 'input', 2), tmp_path / 'output')
    assert check_challenge_file(tmp_path / 'output/cell_classification.json', 2) == []


def test_the_organisers_sample(run, shared, tmp_path):
    predictor.predict([run], shared / 'data/gc_sample/input', tmp_path)
    assert check_challenge_file(tmp_path / 'cell_classification.json', 1)


BAD_STACKS = {
    'unequal stacks': ({'count': 3, 'tissue_count': 2}, '3 cell patches in 000.tif, 2 tissue'),
    'metadata': ({'count': 2, 'records': 5}, 'and 5 records in metadata.json; want as many'),
    'gray': ({'count': 1, 'mode': 'L'}, '000.tif: has 1 channels of 8 bits; want 8-bit color'),
    'RGBA': ({'count': 1, 'mode': 'RGBA'}, '000.tif: color mode is RGBA; want 8-bit RGB'),
}


@pytest.mark.parametrize('case', BAD_STACKS)
def test_bad_stacks(run, tmp_path, case):
    values, message = BAD_STACKS[case]
    source = write_stacks(tmp_path / 'input', **values)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        predictor.predict([run], source, tmp_path / 'output')
    assert '\n' not in str(error.value)
    assert list((tmp_path / 'output').iterdir()) == []


def test_a_stack_that_is_none(run, tmp_path):
    source = write_stacks(tmp_path / 'input', 2)
    path = source / 'images/cell_patches/000.tif'
    tifffile.imwrite(path, np.zeros((100, 64, 3), np.uint8), photometric='rgb')
    with pytest.raises(ValueError, match='is 64 x 100 px; want square patches on top'):
        predictor.predict([run], source, tmp_path / 'output')
    tifffile.imwrite(path, np.zeros((128, 64, 3), np.uint16), photometric='rgb')
    with pytest.raises(ValueError, match=r'000\.tif: has 3 channels of 16 bits'):
        predictor.predict([run], source, tmp_path / 'output')


def test_a_center_that_puts_the_cell_patch_outside(run, tmp_path):
    for name in ('cell.png', 'tissue.png'):
        Image.fromarray(draw_patch([])).save(tmp_path / name)
    options = Options(tissue=tmp_path / 'tissue.png', center=(0.05, 0.5), mpp=0.2, tissue_mpp=0.8)
    with pytest.raises(ValueError, match=r'reach out of the tissue patch along x; want .* 0\.125'):
        predictor.predict([run], tmp_path / 'cell.png', tmp_path / 'out', options)


@pytest.fixture(scope='module')
def slides(tmp_path_factory):
    """Two slides, and a file that is none."""
    folder = tmp_path_factory.mktemp('slides')
    for i, name in enumerate(('a', 'b')):
        points, labels = spread_cells(120, 100, 12.0, np.random.default_rng(i))
        image = draw_slide(240, 200, 0.5, points, labels)
        write_pyramid(folder / f'{name}.tif', image, 0.5)
    return folder


WRITTEN = {'cells.csv', 'cells.geojson', 'page.html', 'summary.json', 'prediction.json'}


def test_a_slide(run, slides, tmp_path):
    predictor.predict([run], slides / 'a.tif', tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['a']
    assert {p.name for p in (tmp_path / 'a').iterdir()} >= WRITTEN
    summary = json.loads((tmp_path / 'a/summary.json').read_text())
    _, labels = spread_cells(120, 100, 12.0, np.random.default_rng(0))
    assert sum(summary['cells'].values()) == len(labels)


def test_a_plain_image(run, slides, tmp_path):
    image = tifffile.imread(slides / 'a.tif')
    Image.fromarray(image).save(tmp_path / 'a.png')
    predictor.predict([run], tmp_path / 'a.png', tmp_path / 'plain', Options(mpp=0.5))
    predictor.predict([run], slides / 'a.tif', tmp_path / 'tiled')
    one, other = (read_cells(tmp_path / f'{kind}/a/cells.csv') for kind in ('plain', 'tiled'))
    assert one == other


def test_done_slides_are_left_alone(run, slides, tmp_path, engine, capsys):
    predictor.predict([run], slides, tmp_path)
    before = engine.batches
    predictor.predict([run], slides, tmp_path)
    assert engine.batches == before
    assert capsys.readouterr().out.count('done already') == 2


def test_what_others_predicted_is_not_taken_for_done(run, slides, tmp_path):
    predictor.predict([run], slides / 'a.tif', tmp_path)
    with pytest.raises(ValueError, match='a: is there and holds something else'):
        predictor.predict([run], slides / 'a.tif', tmp_path, Options(test_time_augmentation=True))


def test_a_bad_slide_does_not_stop_the_others(run, slides, tmp_path, capsys):
    source = tmp_path / 'slides'
    shutil.copytree(slides, source)
    (source / '0bad.svs').write_text('no slide')
    (source / 'notes.txt').write_text('no slide either')
    with pytest.raises(ValueError, match=r'1 of 3 slides failed: 0bad\.svs; the others are in'):
        predictor.predict([run], source, tmp_path / 'out')
    assert sorted(p.name for p in (tmp_path / 'out').iterdir() if p.name[0] != '.') == ['a', 'b']
    assert 'error: 0bad.svs: ' in capsys.readouterr().err


def test_a_slide_that_another_process_is_at_is_left_to_it(run, slides, tmp_path, capsys):
    with locks.try_lock(tmp_path / '.a.partial/lock') as mine:
        assert mine
        predictor.predict([run], slides, tmp_path)
    assert "1 of 2 slides are another process's: a.tif" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir() if p.name[0] != '.'] == ['b']


def test_hosts_each_take_slides_of_their_own(run, slides, tmp_path):
    """Two processes that know of each other as SLURM would tell them."""
    code = (
        'import narrow\n'
        'from ocelot_jax import cli, predict\n'
        'predict._define_flags()\n'
        'cli.run(predict.main)\n'
    )
    flags = [f'--workdir={run}', f'--input={slides}', f'--output={tmp_path}', '--distributed']
    slurm = {'SLURM_JOB_ID': str(os.getpid()), 'SLURM_STEP_ID': '0', 'SLURM_NTASKS': '2'}
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', code, *flags],
            env=os.environ
            | slurm
            | {'SLURM_STEP_NODELIST': 'localhost'}
            | {'SLURM_PROCID': str(i), 'SLURM_LOCALID': str(i)}
            | {'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}'},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]
    outs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outs
    for out, own, other in zip(outs, 'ab', 'ba', strict=True):
        assert f'{tmp_path / own}: ' in out
        assert f'{tmp_path / other}: ' not in out
    assert {p.name for p in tmp_path.iterdir()} == {'a', 'b'}


def test_two_slides_of_one_name(run, slides, tmp_path):
    shutil.copy(slides / 'a.tif', tmp_path / 'a.tif')
    shutil.copy(slides / 'a.tif', tmp_path / 'a.tiff')
    with pytest.raises(ValueError, match=r'a\.tiff: its results would take the place of'):
        predictor.predict([run], tmp_path, tmp_path / 'out')


def test_an_empty_directory(run, tmp_path):
    (tmp_path / 'in').mkdir()
    with pytest.raises(ValueError, match='in: holds no slide; want files of'):
        predictor.predict([run], tmp_path / 'in', tmp_path / 'out')


def test_a_dry_run_tells_and_writes_nothing(run, slides, tmp_path, capsys):
    predictor.predict([run], slides, tmp_path / 'out', Options(dry_run=True))
    told = capsys.readouterr().out
    assert re.search(r'a\.tif: 240 x 200 px at 0\.5 um/px, .* of \d+ cell windows in', told)
    assert 'nothing was written' in told
    assert not (tmp_path / 'out').exists()


def test_a_dry_run_of_pairs(run, release_folder, tmp_path, capsys):
    predictor.predict(
        [run], release_folder, tmp_path / 'out', Options(dry_run=True, split='train')
    )
    assert re.search(r'train: 2 pairs, \d+\.\d\d s each', capsys.readouterr().out)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('kind', ['slide', 'pairs'])
def test_a_folder_that_cannot_be_written(run, slides, release_folder, tmp_path, monkeypatch, kind):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr('tempfile.TemporaryFile', refuse)
    source = slides / 'a.tif' if kind == 'slide' else release_folder
    with pytest.raises(OSError, match=r'out: cannot be written \(Permission denied\)'):
        predictor.predict([run], source, tmp_path / 'out')
    assert list((tmp_path / 'out').iterdir()) == []


@pytest.mark.parametrize('limit', [200, 3000, 20000])
def test_a_disk_that_is_full(run, slides, tmp_path, limit):
    """Files end at `limit` bytes, as they would where the disk ends; then there is room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError) as error:
            predictor.predict([run], slides / 'a.tif', tmp_path / 'out')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert '\n' not in str(error.value)
    assert str(tmp_path / 'out') in str(error.value)
    assert not (tmp_path / 'out/a').exists()
    predictor.predict([run], slides / 'a.tif', tmp_path / 'out')
    assert {p.name for p in (tmp_path / 'out/a').iterdir()} >= WRITTEN


def test_results_that_cannot_be_written_take_no_place(run, slides, tmp_path, engine, monkeypatch):
    def fail(result, folder):
        (folder / 'cells.csv').write_text('half')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(outputs, 'write_outputs', fail)
        with pytest.raises(OSError, match=r'the disk is full \(No space left on device\)'):
            predictor.predict([run], slides / 'a.tif', tmp_path)
    assert not (tmp_path / 'a').exists()
    before = engine.batches
    predictor.predict([run], slides / 'a.tif', tmp_path)
    assert engine.batches == before  # all windows were done
    assert (tmp_path / 'a/summary.json').exists()


def test_what_is_missing_is_named(run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.svs: no such file or directory'):
        predictor.predict([run], tmp_path / 'nowhere.svs', tmp_path)
    with pytest.raises(FileNotFoundError, match='is no run; --workdir'):
        predictor.predict([tmp_path], tmp_path, tmp_path)


def test_a_run_that_is_told_the_tissue(release_folder, tmp_path):
    config = small_config(model__context='label', model__seam='input')
    told = make_run(tmp_path / 'told', config)
    with pytest.raises(ValueError, match='is told the true tissue'):
        predictor.predict([told], release_folder, tmp_path / 'out')


@pytest.mark.parametrize(
    ('text', 'flag'), [('0.5', 'center'), ('a,b', 'center'), ('1,2', 'patches')]
)
def test_bad_numbers(text, flag):
    names = {'center': 'x,y', 'patches': 'SIDE,UM,SIDE,UM'}[flag]
    with pytest.raises(ValueError, match=f'--{flag}: .*want {names} as numbers'):
        predictor._parse_numbers(flag, text, names)
