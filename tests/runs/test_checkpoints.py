"""Which checkpoints are kept, and that they come back bit by bit."""

import asyncio
import gc
import resource
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ocelot_jax.io import disk
from ocelot_jax.io.errors import InputError, OutputError
from ocelot_jax.runs import checkpoints, unheard


def tree(seed):
    """Small, with the dtypes that a train state has, and numbers that no text would keep."""
    rng = np.random.default_rng(seed)
    return {
        'params': {'kernel': jnp.asarray(rng.standard_normal((3, 2)), jnp.float32)},
        'half': jnp.asarray(rng.standard_normal(3), jnp.bfloat16),
        'count': jnp.asarray(seed, jnp.int32),
        'key': jnp.asarray(rng.integers(0, 2**32, 2, np.uint32)),
        'special': jnp.asarray([np.nan, np.inf, -0.0, 1e-40], jnp.float32),
    }


def save(manager, step, score):
    metrics = None if score is None else {'mF1': score, 'loss': 1 - score}
    checkpoints.save(
        manager,
        step,
        variables=tree(step),
        training={'step': jnp.asarray(step)},
        data={'position': step, 'text': 'é'},
        metrics=metrics,
    )
    manager.wait_until_finished()


@pytest.mark.parametrize(
    ('scores', 'kept', 'best'),
    [
        ([0.3], {1}, 1),
        ([0.3, 0.5, 0.4, 0.2], {2, 4}, 2),
        ([0.3, 0.4, 0.5], {3}, 3),
        ([0.5, 0.4, 0.3], {1, 3}, 1),
        # of equals the latest
        ([0.5, 0.5, 0.1], {2, 3}, 2),
        ([0.5, 0.5], {2}, 2),
        ([0.0, 0.0, 0.0], {3}, 3),
        # not validated: never the best, kept only as the latest
        ([None], {1}, None),
        ([0.2, None], {1, 2}, 1),
        ([0.2, None, 0.1], {1, 3}, 1),
        ([None, 0.1], {2}, 2),
    ],
)
@pytest.mark.parametrize('reopened', [False, True])
def test_keeps_the_best_and_the_latest(tmp_path, scores, kept, best, reopened):
    """Whether one process made them or each its own, as after a kill."""
    manager = checkpoints.open_manager(tmp_path)
    assert checkpoints.best_step(manager) is None
    for step, score in enumerate(scores, start=1):
        save(manager, step, score)
        if reopened:
            manager.close()
            manager = checkpoints.open_manager(tmp_path)
    assert set(manager.all_steps()) == kept
    assert manager.latest_step() == len(scores)
    assert checkpoints.best_step(manager) == best
    manager.close()
    folders = {path.name for path in (tmp_path / 'checkpoints').iterdir()}
    assert folders == {str(step) for step in kept}


def test_restores_the_same_bits(tmp_path):
    with checkpoints.open_manager(tmp_path) as manager:
        save(manager, 7, 0.25)
    with checkpoints.open_manager(tmp_path) as manager:
        like = jax.tree.map(jnp.zeros_like, tree(0))
        got = checkpoints.restore(manager, 7, 'variables', like)
        step = checkpoints.restore(manager, 7, 'training', {'step': jnp.asarray(0)})['step']
        data = checkpoints.restore_data(manager, 7)
        assert manager.metrics(7) == {'mF1': 0.25, 'loss': 0.75}
    wanted = tree(7)
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert ours.dtype == theirs.dtype
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
        assert ours.sharding.device_set == theirs.sharding.device_set
    assert step == 7
    assert data == {'position': 7, 'text': 'é'}


def test_a_killed_save_leaves_nothing(tmp_path):
    """What Orbax had begun to write is swept away, and does not count as a step."""
    with checkpoints.open_manager(tmp_path) as manager:
        save(manager, 1, 0.5)
    begun = tmp_path / 'checkpoints' / '2.orbax-checkpoint-tmp-123'
    begun.mkdir()
    (begun / 'half').write_text('x')
    with checkpoints.open_manager(tmp_path) as manager:
        assert list(manager.all_steps()) == [1]
        # the sweep goes on in the background until the next save
        save(manager, 2, 0.4)
    assert {path.name for path in begun.parent.iterdir()} == {'1', '2'}


def test_reader_finds_the_best_and_writes_nothing(tmp_path):
    with checkpoints.open_manager(tmp_path) as manager:
        save(manager, 1, 0.4)
        save(manager, 2, 0.3)
    before = sorted(tmp_path.rglob('*'))
    with checkpoints.open_manager(tmp_path, read_only=True) as manager:
        assert checkpoints.best_step(manager) == 1
        assert checkpoints.restore(manager, 1, 'variables', tree(0))['count'] == 1
    assert sorted(tmp_path.rglob('*')) == before


def test_reader_makes_no_folder(tmp_path):
    with checkpoints.open_manager(tmp_path, read_only=True) as manager:
        assert checkpoints.best_step(manager) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name', ['metrics/metrics', 'variables/_METADATA', 'variables/manifest'])
def test_a_damaged_file_is_one_line(name, tmp_path):
    variables = {'a': np.ones(3, np.float32)}
    with checkpoints.open_manager(tmp_path) as manager:
        settings = {'training': {'step': np.int32(1)}, 'data': {}, 'metrics': {'mF1': 0.5}}
        checkpoints.save(manager, 1, variables=variables, **settings)
    [file] = (tmp_path / 'checkpoints/1').glob(f'{name}*')
    file.write_bytes(file.read_bytes()[:-9] + bytes([200]))
    with pytest.raises(InputError, match=r'checkpoints: cannot be read \(.*want a whole') as error:
        checkpoints.restore_best(tmp_path, variables)
    assert '\n' not in str(error.value)


def test_reads_that_end_in_a_closed_loop_are_not_told_of_and_bugs_are(monkeypatch):
    """As those of Orbax do which go on after one that failed."""
    told = []
    monkeypatch.setattr(sys, 'unraisablehook', lambda one: told.append(str(one.exc_value)))
    unheard.leave_out.cache_clear()
    unheard.leave_out()
    loop = asyncio.new_event_loop()
    loop.close()

    class Ends:
        def __init__(self, call):
            self.call = call

        def __del__(self):
            self.call()

    def bug():
        raise RuntimeError('a bug')

    for call in (lambda: loop.call_soon_threadsafe(print), bug):
        Ends(call)
        gc.collect()
    assert told == ['a bug']


@pytest.mark.parametrize('limit', [0, 1000, 100_000])
def test_a_full_disk_is_told_in_few_lines_and_what_was_saved_stays(limit, tmp_path, caplog, capfd):
    """Files end at a limit, as they would where the disk ends."""
    variables = {'a': np.random.default_rng(0).normal(size=100_000)}
    settings = {'training': {'step': np.int32(1)}, 'data': {}, 'metrics': {'mF1': 0.5}}
    with checkpoints.open_manager(tmp_path) as manager:
        checkpoints.save(manager, 1, variables=variables, **settings)

    def save():
        with disk.full_as_error(tmp_path), checkpoints.open_manager(tmp_path) as manager:
            checkpoints.save(manager, 2, variables=variables, **settings)
            manager.wait_until_finished()

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OutputError, match='the disk is full') as error:
            save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert '\n' not in str(error.value)
    told = caplog.text + ''.join(capfd.readouterr())
    assert len(told.splitlines()) < 3, told
    assert checkpoints.restore_best(tmp_path, variables)[0] == 1
    save()
    assert checkpoints.restore_best(tmp_path, variables)[0] == 2
