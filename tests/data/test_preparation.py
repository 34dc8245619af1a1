import functools
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from concurrent import futures

import ml_collections
import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import make_release

from ocelot_jax.data import preparation, sources
from ocelot_jax.io import locks
from ocelot_jax.io.errors import InputError

# A finder of modules to which TensorFlow is not installed.
NO_TENSORFLOW = """
import importlib.machinery, sys

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition('.')[0] == 'tensorflow':
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Finder
try:
    import tensorflow
except ImportError:
    tensorflow = None
assert tensorflow is None
"""


def run(code, cwd, **environment):
    """Runs Python code in a process of its own, from another directory than the project's."""
    quiet = {'TF_CPP_MIN_LOG_LEVEL': '3', 'TF_ENABLE_ONEDNN_OPTS': '0'}
    return subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)],
        cwd=cwd,
        env=os.environ | quiet | environment,
        capture_output=True,
        text=True,
    )


def succeed(code, cwd, **environment):
    done = run(code, cwd, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def prepared(tmp_path_factory, commands):
    """A data directory in which the command prepared the small release."""
    path = tmp_path_factory.mktemp('prepared')
    make_release(path / 'manual/ocelot2023')
    directories = ['--data_dir=data', '--manual_dir=manual']
    done = commands.run('ocelot_jax.prepare', 'ocelot', *directories, cwd=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f'ocelot is prepared in {path}/data/ocelot/1.0.0\n')
    assert 'oneDNN' not in done.stderr
    return path / 'data'


def shards(directory, suffix):
    return sorted(path.name.split('.')[0] for path in directory.glob(f'*.{suffix}-*'))


def assert_whole(data_dir):
    """Both formats are there and told of, and nothing else lies about."""
    directory = data_dir / 'ocelot/1.0.0'
    info = json.loads((directory / 'dataset_info.json').read_text())
    assert (info['fileFormat'], info['alternativeFileFormats']) == ('tfrecord', ['array_record'])
    wanted = ['ocelot-test', 'ocelot-train', 'ocelot-validation']
    assert shards(directory, 'tfrecord') == shards(directory, 'array_record') == wanted
    assert {path.name for path in directory.parent.iterdir()} == {'1.0.0'}
    assert not [path for path in directory.iterdir() if 'incomplete' in path.name]


def assert_same(source, loaded, count):
    """Both ways of reading a split give the same records."""
    loaded = list(tfds.as_numpy(loaded))
    assert len(source) == len(loaded) == count
    for one, other in zip(source, loaded, strict=True):
        assert one['pair_id'] == other['pair_id']
        np.testing.assert_array_equal(one['tissue_mask'], other['tissue_mask'])
        np.testing.assert_array_equal(one['cells']['x'], other['cells']['x'])


def test_read_by_name_with_no_import_of_ours(prepared, tmp_path):
    assert_whole(prepared)
    # TFDS 4.9.10 asks a prepared data set for ArrayRecord as its first format where
    # `tfds.data_source` gets neither a data directory nor arguments for the builder.
    code = """
        import os, sys
        import tensorflow_datasets as tfds
        def count():
            here = os.environ['TFDS_DATA_DIR']
            yield len(tfds.data_source('ocelot', split='train', data_dir=here))
            yield len(tfds.builder('ocelot').as_data_source('train'))
            yield len(list(tfds.load('ocelot', split='train')))
            assert not [name for name in sys.modules if name.startswith('ocelot_jax')]
            from ocelot_jax.datasets.ocelot import ocelot_dataset_builder
            yield len(tfds.data_source('ocelot', split='train'))
            yield len(list(tfds.load('ocelot', split='train')))
        print(list(count()))
        """
    assert succeed(code, tmp_path, TFDS_DATA_DIR=str(prepared)) == '[2, 2, 2, 2, 2]\n'


def test_both_formats_hold_the_same(prepared):
    for split, count in (('train', 2), ('validation', 2), ('test', 1)):
        builder = tfds.builder_from_directory(prepared / 'ocelot/1.0.0')
        assert_same(*read_both(builder, split), count)


def read_both(builder, split):
    loaded = builder.as_dataset(split)  # first: a data source turns the builder's format over
    return builder.as_data_source(split), loaded


def test_data_source_without_tensorflow(prepared, tmp_path):
    code = NO_TENSORFLOW + textwrap.dedent("""
        import tensorflow_datasets as tfds
        from ocelot_jax.data import preparation, sources
        print(preparation.prepare('ocelot'))
        source = tfds.builder('ocelot').as_data_source('train')
        print(sorted(source[i]['pair_id'].decode() for i in range(len(source))))
        print([name for name in sys.modules if name.split('.')[0] == 'tensorflow'])
        """)
    lines = succeed(code, tmp_path, TFDS_DATA_DIR=str(prepared)).split('\n')
    assert lines[0] == str(prepared / 'ocelot/1.0.0')
    assert lines[1:3] == ["['001', '002']", '[]']


def test_without_tensorflow_one_line_tells_how_to_prepare(tmp_path):
    code = NO_TENSORFLOW + textwrap.dedent("""
        import runpy
        sys.argv = ['prepare', 'ocelot', '--data_dir=data']
        runpy.run_module('ocelot_jax.prepare', run_name='__main__')
        """)
    done = run(code, tmp_path)
    assert done.returncode == 1
    assert "pip install 'ocelot_jax[datasets]'" in done.stderr
    assert done.stderr.count('\n') == 1
    assert not list(tmp_path.rglob('*record*'))


def test_what_must_be_downloaded_first_is_told_before_tensorflow_is_loaded(tmp_path, monkeypatch):
    make_release(tmp_path / 'manual/ocelot2023', {'train': 1})
    (tmp_path / 'data').mkdir()
    monkeypatch.setattr(preparation, '_load_tensorflow', lambda: pytest.fail('loaded'))
    with pytest.raises(FileNotFoundError, match='get ocelot2023_v1'):
        preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'elsewhere')
    # where it is there, all that is left is to load TensorFlow
    with pytest.raises(pytest.fail.Exception, match='loaded'):
        preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'manual')


def test_again_writes_nothing_and_needs_no_tensorflow(prepared, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob('*')}
    monkeypatch.setattr(preparation, '_load_tensorflow', None)
    preparation.prepare('ocelot', prepared, prepared / 'no manual directory')
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob('*')} == before


def test_while_another_process_prepares_it_is_waited_for(prepared, tmp_path, monkeypatch):
    """The other one is a lock here, and a folder that appears in the end."""
    monkeypatch.setattr(preparation, '_load_tensorflow', lambda: pytest.fail('prepared twice'))
    waits = threading.Event()
    monkeypatch.setattr(preparation.logging, 'warning', lambda *told: waits.set())
    with (
        futures.ThreadPoolExecutor() as pool,
        locks.exclusive(tmp_path / 'data/.ocelot.lock', waiting=pytest.fail),
    ):
        later = pool.submit(preparation.prepare, 'ocelot', tmp_path / 'data')
        assert waits.wait(60)
        assert not later.done()
        shutil.copytree(prepared / 'ocelot', tmp_path / 'data/ocelot')
    assert later.result().is_relative_to(tmp_path / 'data/ocelot')


@pytest.mark.parametrize('only', ['tfrecord', 'array_record'])
def test_adds_the_format_that_another_build_left_out(only, tmp_path, monkeypatch):
    make_release(tmp_path / 'manual/ocelot2023')
    with monkeypatch.context() as patch:
        patch.setattr(preparation, 'FORMATS', (only,))
        directory = preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'manual')
        suffixes = {path.suffix.split('-')[0] for path in directory.glob('*.*record-*')}
        assert suffixes == {f'.{only}'}
    preparation.prepare('ocelot', tmp_path / 'data')
    assert_whole(tmp_path / 'data')
    assert_same(*read_both(tfds.builder_from_directory(directory), 'train'), 2)


@pytest.mark.parametrize('step', range(5))
def test_killed_anywhere_a_rerun_completes(step, prepared, tmp_path, monkeypatch):
    make_release(tmp_path / 'manual/ocelot2023')
    replaced = []

    def replace(source, target):
        if len(replaced) == step:
            raise KeyboardInterrupt
        replaced.append(target)
        rename(source, target)

    rename = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(preparation.os, 'replace', replace)
        if step < 4:  # three shards and `dataset_info.json`
            with pytest.raises(KeyboardInterrupt):
                preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'manual')
            info = json.loads((tmp_path / 'data/ocelot/1.0.0/dataset_info.json').read_text())
            assert 'alternativeFileFormats' not in info
        else:
            preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'manual')
            assert len(replaced) == 4
    preparation.prepare('ocelot', tmp_path / 'data')
    assert_whole(tmp_path / 'data')
    for path in (tmp_path / 'data/ocelot/1.0.0').glob('*.tfrecord-*'):
        assert path.stat().st_size == (prepared / 'ocelot/1.0.0' / path.name).stat().st_size


def test_a_lost_shard_is_made_again_or_told(tmp_path):
    make_release(tmp_path / 'manual/ocelot2023')
    directory = preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'manual')
    next(directory.glob('*train.array_record-*')).unlink()
    preparation.prepare('ocelot', tmp_path / 'data')
    assert_whole(tmp_path / 'data')
    next(directory.glob('*train.tfrecord-*')).unlink()
    with pytest.raises(ValueError, match='tfrecord files are not whole'):
        preparation.prepare('ocelot', tmp_path / 'data')


def test_builder_names():
    assert {'ocelot', 'ocelot_synthetic'} <= set(preparation.builder_names())
    assert all('/' not in name and name.isidentifier() for name in preparation.builder_names())


@pytest.mark.parametrize(
    ('name', 'manual_dir', 'fragments'),
    [
        ('mnist', None, ["'mnist'", 'want one of carp, ocelot']),
        ('../ocelot', None, ["'../ocelot'"]),
        ('ocelot/large', None, ["'ocelot/large'", 'want one of ocelot']),
        ('ocelot_synthetic/huge', None, ["'ocelot_synthetic/huge'", 'ocelot_synthetic/small']),
        ('ocelot', 'nowhere', ['nowhere', 'zenodo.org/records/8417503']),
        ('ocelot', 'broken', ['001.jpg', 'truncated']),
    ],
)
def test_errors_are_one_line(name, manual_dir, fragments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = make_release(tmp_path / 'broken') / 'images/train/cell/001.jpg'
    image.write_bytes(image.read_bytes()[:900])
    with pytest.raises(InputError) as error:
        preparation.prepare(name, 'data', manual_dir)
    message = str(error.value)
    assert '\n' not in message
    for fragment in fragments:
        assert fragment in message
    assert not list((tmp_path / 'data').rglob('*record*'))


def test_other_files_are_not_done_already(tmp_path):
    """Nor is the same release, zipped, another one."""
    release = make_release(tmp_path / 'manual/ocelot2023')
    directory = preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'manual')
    config = ml_collections.ConfigDict({'source': 'ocelot', 'folds': 0})
    before = {split: made_of(config, split, tmp_path) for split in ('train', 'test')}
    (tmp_path / 'zipped').mkdir()
    shutil.make_archive(tmp_path / 'zipped/ocelot2023', 'zip', release)
    preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'zipped')
    cells = release / 'annotations/val/cell/003.csv'
    cells.write_text(cells.read_text().replace(',1\n', ',2\n', 1))
    wanted = rf'{directory}: was prepared from other files .*; remove this folder'
    with pytest.raises(InputError, match=wanted):
        preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'manual')
    preparation.prepare('ocelot', tmp_path / 'data')  # where no files are to compare with
    shutil.rmtree(directory)
    preparation.prepare('ocelot', tmp_path / 'data', tmp_path / 'manual')
    assert made_of(config, 'train', tmp_path) != before['train']


def made_of(config, split, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds, 'builder', functools.partial(tfds.builder, data_dir=folder / 'data'))
        return sources.identify(config, split)


def test_a_set_without_a_record_is_taken_with_a_warning(prepared, tmp_path, caplog):
    release = make_release(tmp_path / 'manual/ocelot2023', seed=1)
    shutil.copytree(prepared, tmp_path / 'data')
    (tmp_path / 'data/ocelot/1.0.0/made_from.json').unlink()
    preparation.prepare('ocelot', tmp_path / 'data', release.parent)
    assert 'nothing there tells what it was prepared from' in caplog.text
