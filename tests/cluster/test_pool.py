"""Tasks, each run once: here, and on workers that are there."""

import pytest
from distributed import LocalCluster

from ocelot_jax.cluster import pool as pool_lib
from ocelot_jax.cluster.pool import Workers
from ocelot_jax.io.errors import InputError, MissingFileError, MissingPackageError, OutputError


def prepare():
    def perform(name, payload):
        if payload == 'bad':
            raise OutputError(f'{name} is bad') from KeyError(name)
        if payload == 'bug':
            raise ZeroDivisionError('a\nbug')
        return name, payload, made

    made = object()
    made = id(made)
    return perform


@pytest.fixture(scope='module')
def scheduler():
    """A cluster in this process; its scheduler's address."""
    options = {'processes': False, 'protocol': 'tcp://', 'dashboard_address': '127.0.0.1:0'}
    with LocalCluster(n_workers=2, threads_per_worker=1, host='127.0.0.1', **options) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(params=['here', 'dask'])
def workers(request):
    if request.param == 'here':
        return Workers()
    return Workers(scheduler=request.getfixturevalue('scheduler'))


def run(workers, tasks, begin=lambda name: None, prepare=prepare):
    with pool_lib.open_pool(workers, prepare, 'test') as pool:
        return sorted(pool.run(tasks, begin), key=lambda ended: ended.name)


def test_tasks_end_each_once_whatever_fails(workers, caplog):
    tasks = {'a': 1, 'b': 'bad', 'c': 'bug', 'd': 2}
    begun = []
    ended = run(workers, tasks, begun.append)
    assert sorted(begun) == list('abcd')
    assert [(e.name, e.value and e.value[:2], e.error) for e in ended] == [
        ('a', ('a', 1), None),
        ('b', None, 'b is bad'),
        ('c', None, 'ZeroDivisionError: a bug'),
        ('d', ('d', 2), None),
    ]
    assert [e.seconds is None for e in ended] == [False, True, True, False]
    [logged] = [record for record in caplog.records if record.name == 'absl']
    assert logged.getMessage().startswith('c failed\nTraceback')
    assert 'in perform\n' in logged.getMessage()


def test_more_tasks_than_the_scheduler_is_told_of_at_a_time(workers, monkeypatch):
    from ocelot_jax.cluster import on_dask

    monkeypatch.setattr(on_dask, '_AHEAD', 3)
    tasks = {str(number): number for number in range(20)}
    ended = run(workers, tasks)
    assert {e.name: e.value[1] for e in ended} == tasks


def test_every_worker_is_prepared_once(workers):
    with pool_lib.open_pool(workers, prepare, 'test') as pool:
        first = list(pool.run({str(number): number for number in range(10)}))
        second = list(pool.run({str(number): number for number in range(10)}))
    made = {ended.value[2] for ended in first + second}
    assert len(made) <= (1 if workers.here else 2)


def test_what_cannot_be_prepared_ends_all(workers):
    def unprepared():
        # of two bases, unlike a plain InputError, and with a cause
        raise MissingFileError('RUN: is no run') from KeyError('RUN')

    with pytest.raises(InputError, match='RUN: is no run'):
        run(workers, {'a': 1, 'b': 2}, prepare=unprepared)

    def broken():
        raise ZeroDivisionError('a bug')

    with pytest.raises((ZeroDivisionError, RuntimeError), match='a bug'):
        run(workers, {'a': 1, 'b': 2}, prepare=broken)


def test_two_commands_at_one_scheduler_do_not_mix(scheduler):
    workers = Workers(scheduler=scheduler)
    with (
        pool_lib.open_pool(workers, lambda: lambda name, payload: 'one', 'test') as one,
        pool_lib.open_pool(workers, lambda: lambda name, payload: 'other', 'test') as other,
    ):
        assert [ended.value for ended in one.run({'a': 1})] == ['one']
        assert [ended.value for ended in other.run({'a': 1})] == ['other']


def test_workers_of_several_threads_are_refused():
    options = {'processes': False, 'protocol': 'tcp://', 'dashboard_address': '127.0.0.1:0'}
    with LocalCluster(n_workers=1, threads_per_worker=2, host='127.0.0.1', **options) as cluster:
        workers = Workers(scheduler=cluster.scheduler_address)
        with pytest.raises(InputError, match='runs 2 tasks at a time; want one, as of `dask wor'):
            run(workers, {'a': 1})


def test_no_scheduler(monkeypatch):
    from ocelot_jax.cluster import on_dask

    monkeypatch.setattr(on_dask, '_CONNECT_SECONDS', 0.2)
    with pytest.raises(
        InputError, match=r'^--scheduler: tcp://127\.0\.0\.1:1: no Dask scheduler is'
    ):
        run(Workers(scheduler='tcp://127.0.0.1:1'), {'a': 1})
    with pytest.raises(InputError, match=r'^--scheduler: nonsense: no'):
        run(Workers(scheduler='nonsense'), {'a': 1})


def test_no_dask(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'ocelot_jax\[cluster\]'"):
        run(Workers(count=2), {'a': 1})
    assert run(Workers(), {}) == []


def test_workers_that_are_none():
    with pytest.raises(InputError, match='--workers starts a cluster, --scheduler uses one'):
        Workers(2, 'tcp://127.0.0.1:1')
    with pytest.raises(InputError, match='--workers: 0; want 1 or more'):
        Workers(0)
