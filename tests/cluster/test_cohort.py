"""A directory of slides on a cluster of two processes, one of which is killed at work."""

import collections
import functools
import itertools

import dask
import numpy as np
import psutil
import pytest
import stub_workers
from distributed.utils import get_mp_context
from drawn_slides import draw_slide, spread_cells, write_pyramid

from ocelot_jax.cluster import pool as pool_lib
from ocelot_jax.io import csv_files
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import collection, finding, outputs, pipeline

NAMES = ('a', 'b', 'c', 'd', 'e', 'f')
TRUNCATED, DEADLY = 'b', 'd'


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / 'slides'
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        points, labels = spread_cells(100, 90, 12.0, np.random.default_rng(seed))
        image = draw_slide(200, 180, 0.5, points, labels, seed)
        path = write_pyramid(folder / f'{name}.tif', image, 0.5)
        if name == TRUNCATED:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return folder


@pytest.fixture
def unchanged(monkeypatch):
    """Takes back what `stub_workers.prepare` changes here."""
    monkeypatch.setattr(outputs, 'write', outputs.write)
    monkeypatch.setattr(pipeline, '_SAVE_SECONDS', pipeline._SAVE_SECONDS)


@pytest.fixture
def quick_start():
    """Lets Dask fork its workers from a process that has imported what they need."""
    with dask.config.set({'distributed.worker.multiprocessing-method': 'forkserver'}):
        context = get_mp_context()  # the first time it sets a list of its own
        context.set_forkserver_preload(['distributed.nanny', 'ocelot_jax.slides.prediction'])
        yield


def predict(source, output, workers, prepare):
    """The lines that users see, the error at the end, and the addresses listened at."""
    output.mkdir()
    slides, lines = finding.find_slides(source), []
    with pool_lib.open_pool(workers, prepare, 'predict') as pool:
        listening = listened_at()
        outcomes = collection.predict_slides(slides, pool, output)
        for outcome in itertools.islice(outcomes, len(slides)):
            lines.append(outcome.text)
        with pytest.raises(InputError) as caught:
            next(outcomes)
        assert (pool.about is None) == workers.here
    return lines, str(caught.value), listening


def listened_at():
    """The addresses at which this process and those below it may be reached."""
    here = psutil.Process()
    return {
        connection.laddr.ip
        for process in (here, *here.children(recursive=True))
        for connection in process.net_connections('inet')
        if connection.status == psutil.CONN_LISTEN
    }


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in NAMES
        for path in (folder / name).rglob('*')
    }


def test_five_slides_are_done_once_each_and_the_sixth_is_named(
    source, tmp_path, quick_start, unchanged
):
    prepare = functools.partial(stub_workers.prepare, tmp_path / 'here', tmp_path / 'log-here')
    expected, failure, _ = predict(source, tmp_path / 'here', pool_lib.HERE, prepare)
    (tmp_path / 'there').mkdir()
    log = tmp_path / 'there/log'
    output = tmp_path / 'there/found'
    prepare = functools.partial(stub_workers.prepare, output, log, DEADLY)
    lines, error, listening = predict(source, output, pool_lib.Workers(count=2), prepare)

    assert (log.with_name(f'killed-{DEADLY}')).exists()
    assert listening == {'127.0.0.1'}
    # what was done, and its worker died before it told, is found done, and nothing is computed
    batches = collections.defaultdict(list)
    for line in log.read_text().splitlines():
        name, count = line.split()
        batches[name] += [int(count)] * (count != '0')
    assert sorted(batches) == list('acdef'), (lines, error)
    assert all(len(counts) == 1 for counts in batches.values())
    # the one that was killed went on where it was
    assert batches[DEADLY] < batches['e']
    told = {line.replace('there/found', 'here') for line in lines}
    assert {line for line in told if 'done already' not in line} <= set(expected)
    assert len(lines) == len(expected) == 6
    assert contents(output) == contents(tmp_path / 'here')
    assert {path.split('/')[0] for path in contents(output)} == set('acdef')
    assert sorted(path.name for path in output.iterdir()) == [*'acdef', 'index.html', 'slides.csv']
    for text, folder in ((error, output), (failure, tmp_path / 'here')):
        wanted = f'1 of 6 slides failed: {TRUNCATED}; the others are in {folder}'
        assert text.startswith(wanted)
    rows, other = (csv_files.read_rows(f / 'slides.csv') for f in (output, tmp_path / 'here'))
    for row in rows + other:
        row.pop('seconds')
        row['status'] = row['status'].removesuffix(' already')
    assert rows == other
    assert [row['status'] for row in rows] == ['done', 'failed', *['done'] * 4]


def test_what_kills_every_worker_costs_itself_alone(quick_start):
    workers, tasks = pool_lib.Workers(count=1), {'a': 1, 'deadly': 2, 'b': 3}
    with pool_lib.open_pool(workers, stub_workers.prepare_deadly, 'test') as pool:
        ended = {task.name: task for task in pool.run(tasks)}
    assert (ended['a'].value, ended['b'].value) == (1, 3)
    assert ended['deadly'].error == 'killed its worker, when done again alone, too'
