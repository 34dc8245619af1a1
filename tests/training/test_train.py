"""Training as users start it: killed, stopped and started again, on two devices."""

import csv
import errno
import json
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import quick_xla
import tiny
from conftest import ROOT, make_release, set_mpps
from PIL import Image

from ocelot_jax.data import targets
from ocelot_jax.data.pair_folder import PairFolder
from ocelot_jax.evaluation import official
from ocelot_jax.io.errors import InputError, OutputError
from ocelot_jax.models import factory
from ocelot_jax.runs import checkpoints, configuration
from ocelot_jax.training import loop
from ocelot_jax.training import state as train_state
from ocelot_jax.training.step import max_radius, memory_as_error
from ocelot_jax.training.stopping import Stopped

EPOCHS = 8
STEPS = 4


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A small data set."""
    path = tmp_path_factory.mktemp('pairs')
    return make_release(path, {'train': 2 * STEPS, 'val': 3, 'test': 1}, size=32)


@pytest.fixture(scope='module')
def train(folder, tmp_path_factory):
    """Starts the command on two devices, of one host or of two, and gives its processes."""
    cache = tmp_path_factory.mktemp('compiled')

    def start(workdir, hosts=1, pause=0.0):
        environment = os.environ | {
            # devices, simulated
            'JAX_PLATFORMS': 'cpu',
            'JAX_COMPILATION_CACHE_DIR': str(cache),
            'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
            'XLA_FLAGS': f'--xla_force_host_platform_device_count={2 // hosts} '
            f'{quick_xla.XLA_FLAGS}',
            # what a mapped function is given must lie where it wants it
            'JAX_TRANSFER_GUARD_DEVICE_TO_DEVICE': 'disallow',
            # of JAX and of ours a warning ends the run; this one is ml_collections'
            'PAUSE': str(pause),
            'PYTHONWARNINGS': 'error,ignore:the load_module() method is deprecated',
        }
        command = [
            *(sys.executable, '-m', 'ocelot_jax.main'),
            f'--config=tests/{"tiny" if hosts == 1 else "tiny_later"}.py',
            f'--workdir={workdir}',
            f'--config.data.source={folder}',
            f'--config.num_epochs={EPOCHS}',
        ]
        if hosts > 1:
            address = f'127.0.0.1:{free_port()}'
            command += ['--distributed', f'--coordinator_address={address}']
            command += [f'--num_processes={hosts}']
        return [
            subprocess.Popen(
                [*command, *([f'--process_id={index}'] if hosts > 1 else [])],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for index in range(hosts)
        ]

    return start


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def finish(processes):
    """Waits for the end, which must be a good one."""
    for process in processes:
        told, _ = process.communicate()
        assert process.returncode == 0, told


def kill(processes):
    for process in processes:
        process.kill()
    for process in processes:
        process.communicate()
        assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope='module')
def reference(train, tmp_path_factory):
    """A run that nobody disturbed."""
    workdir = tmp_path_factory.mktemp('reference') / 'run'
    finish(train(workdir))
    return workdir


def final_arrays(workdir):
    """The last checkpoint's step and every array in it, by name."""
    with ocp.CheckpointManager(workdir / 'checkpoints') as manager:
        step = manager.latest_step()
        names = ('variables', 'training')
        # saved by two hosts, read by this one
        here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        read = ocp.args.StandardRestore(fallback_sharding=here)
        restored = manager.restore(step, args=ocp.args.Composite(**dict.fromkeys(names, read)))
    leaves, _ = jax.tree.flatten_with_path({name: restored[name] for name in names})
    return step, {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def rows(workdir):
    """What an epoch gave, without how long it took."""
    with (workdir / 'metrics.csv').open(newline='') as file:
        lines = list(csv.DictReader(file))
    return [{name: line[name] for name in line if name != 'step_seconds'} for line in lines]


def wait_for_epochs(count, workdir, processes):
    """Waits until a run in progress has logged so many epochs."""
    deadline = time.monotonic() + 300
    while not (workdir / 'metrics.csv').exists() or len(rows(workdir)) < count:
        for process in processes:
            assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_leaves_metrics_the_best_epoch_and_its_evaluation(folder, reference):
    logged = rows(reference)
    assert [(int(r['epoch']), int(r['step'])) for r in logged] == [
        (epoch, epoch * STEPS) for epoch in range(1, EPOCHS + 1)
    ]
    assert all(0 < float(r['loss']) < 2 and 0 <= float(r['mF1']) <= 1 for r in logged)
    best = max(logged, key=lambda row: (float(row['mF1']), int(row['step'])))
    saved = {int(path.name) for path in (reference / 'checkpoints').iterdir()}
    assert saved == {int(best['step']), EPOCHS * STEPS}
    assert list((reference / 'tensorboard').glob('events*'))
    evaluation = reference / 'evaluation' / 'test'
    table = json.loads((evaluation / 'scores.json').read_text())
    assert table['population']['pairs'] == 1
    # the file of cells, scored as anybody's cells are, gives the same
    scores = official.score_file(evaluation / 'predictions.json', PairFolder(folder), 'test', 3.0)
    assert scores
    for name, value in scores.items():
        assert table['population'][name] == pytest.approx(value), name
    with Image.open(evaluation / 'overlays.png') as picture:
        assert picture.size[0] > 500


def test_a_run_that_is_stopped_ends_with_the_same_bits(train, reference, tmp_path):
    workdir = tmp_path / 'run'
    [process] = train(workdir)
    wait_for_epochs(1, workdir, [process])
    # amid a save, or an epoch
    time.sleep(random.Random(0).uniform(0, 0.1))
    process.terminate()
    told, _ = process.communicate()
    assert process.returncode == 0, told
    stopped_at, _ = final_arrays(workdir)
    assert f'stopped at step {stopped_at} of {EPOCHS * STEPS}' in told
    assert STEPS <= stopped_at < EPOCHS * STEPS

    # as runs wrote it before losses and optimizers had names
    config = json.loads((workdir / 'config.json').read_text())
    del config['loss'], config['optimizer']['name']
    (workdir / 'config.json').write_text(json.dumps(config | {'seeds': 1}))
    finish(train(workdir))
    assert_same_end(workdir, reference)


def assert_same_end(workdir, reference):
    """Two runs ended with the same bits, and told the same on the way there."""
    step, arrays = final_arrays(workdir)
    wanted_step, wanted = final_arrays(reference)
    assert step == wanted_step == EPOCHS * STEPS
    assert arrays.keys() == wanted.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)
    assert rows(workdir) == rows(reference)


def test_hosts_that_are_killed_lost_and_stopped_end_with_the_same_bits(train, reference, tmp_path):
    undisturbed, workdir, alone = tmp_path / 'undisturbed', tmp_path / 'run', tmp_path / 'alone'
    finish(train(undisturbed, hosts=2))

    # slow enough for hosts that learn of each other within seconds
    processes = train(workdir, hosts=2, pause=0.25)
    wait_for_epochs(1, workdir, processes)
    kill(processes)

    before = len(rows(workdir))
    first, second = processes = train(workdir, hosts=2, pause=0.25)
    wait_for_epochs(before + 1, workdir, processes)
    kill([second])
    told, _ = first.communicate(timeout=120)
    assert first.returncode == 1
    assert told.splitlines()[-1].startswith('error: another host of this run is gone')
    assert 'Traceback' not in told

    before = len(rows(workdir))
    first, second = processes = train(workdir, hosts=2, pause=0.5)
    wait_for_epochs(before + 1, workdir, processes)
    second.terminate()
    told, _ = first.communicate()
    finish([second])
    assert first.returncode == 0, told
    stopped_at, _ = final_arrays(workdir)
    assert f'stopped at step {stopped_at} of {EPOCHS * STEPS}' in told
    assert stopped_at < EPOCHS * STEPS
    shutil.copytree(workdir, alone)

    finish(train(workdir, hosts=2))
    assert_same_end(workdir, undisturbed)
    # one host with as many devices: from the start, and from where two were stopped
    assert_same_course(undisturbed, reference)
    finish(train(alone))
    assert_same_course(alone, reference)


def assert_same_course(workdir, reference):
    """Losses and scores of two runs agree but for rounding, and so do their evaluations."""
    for row, wanted in zip(rows(workdir), rows(reference), strict=True):
        assert row.keys() == wanted.keys()
        for name in row:
            assert float(row[name]) == pytest.approx(float(wanted[name]), rel=1e-3, abs=1e-3), name
    names, wanted = (
        sorted(path.name for path in (run / 'evaluation/test').iterdir())
        for run in (workdir, reference)
    )
    assert names == wanted


def test_a_run_of_another_configuration_is_left_alone(reference, monkeypatch):
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    before = sorted(reference.rglob('*'))
    config = configuration.load_config(reference)
    config.num_epochs += 1
    with pytest.raises(InputError, match=f'config.num_epochs is {EPOCHS} there and {EPOCHS + 1}'):
        loop.train_and_evaluate(config, reference)
    assert sorted(reference.rglob('*')) == before


def test_a_run_of_corrected_annotations_is_another(folder, reference, monkeypatch, tmp_path):
    """Data that have only moved go on."""
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    run, moved = shutil.copytree(reference, tmp_path / 'run'), tmp_path / 'moved'
    shutil.copytree(folder, moved)
    config = configuration.load_config(run)
    config.data.source = str(moved)
    loop.train_and_evaluate(config, str(run))
    assert configuration.load_config(run).data.source == str(moved)
    cells = moved / 'annotations/train/cell/001.csv'
    cells.write_text('3,3,1\n')
    with pytest.raises(InputError, match=r'holds a run of other data: train is .*; choose'):
        loop.train_and_evaluate(config, run)


def test_non_finite_loss_stops_the_run_and_keeps_the_last_checkpoint(
    folder, tmp_path, monkeypatch
):
    bad = STEPS + 2

    def step(state, batch):
        done = int(state.step[0]) + 1
        loss = math.nan if done == bad else 0.5
        return state.replace(step=state.step + 1), {'loss': np.float32(loss)}

    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    monkeypatch.setattr(loop, 'create_train_step', lambda *arguments: step)
    config = tiny.create_config(data__source=str(folder))
    with pytest.raises(loop.NonFiniteLossError, match=f'step {bad}: loss nan'):
        loop.train_and_evaluate(config, tmp_path)
    assert [path.name for path in (tmp_path / 'checkpoints').iterdir()] == [str(STEPS)]
    assert [row['step'] for row in rows(tmp_path)] == [str(STEPS)]


def test_weights_that_are_no_numbers_are_not_saved(folder, tmp_path, monkeypatch):
    """The loss of an epoch's last step is that of the weights before it."""

    def step(state, batch):
        worth = math.nan if int(state.step[0]) + 1 == 2 * STEPS else 1.0
        variables = jax.tree.map(lambda leaf: leaf * worth, state.variables)
        changed = state.replace(step=state.step + 1, variables=variables)
        return changed, {'loss': np.float32(0.5)}

    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    monkeypatch.setattr(loop, 'create_train_step', lambda *arguments: step)
    config = tiny.create_config(data__source=str(folder))
    with pytest.raises(loop.NonFiniteLossError, match=f'step {2 * STEPS}: weights are no numbers'):
        loop.train_and_evaluate(config, tmp_path)
    assert [path.name for path in (tmp_path / 'checkpoints').iterdir()] == [str(STEPS)]
    assert [row['step'] for row in rows(tmp_path)] == [str(STEPS)]


class Late:
    """A loss that is not there: what a device does shows when it is asked for."""

    def __float__(self):
        raise_no_memory()


def raise_no_memory(*arguments):
    raise jax.errors.JaxRuntimeError(
        'RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12.5GiB.\nPeak buffers:\n'
    )


@pytest.mark.parametrize('step', [raise_no_memory, lambda state, batch: (state, {'loss': Late()})])
def test_a_step_beyond_the_memory_is_one_line(folder, tmp_path, monkeypatch, step):
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    monkeypatch.setattr(loop, 'create_train_step', lambda *arguments: step)
    config = tiny.create_config(data__source=str(folder), model__remat=True)
    with pytest.raises(InputError) as caught:
        loop.train_and_evaluate(config, tmp_path)
    [line] = str(caught.value).splitlines()
    assert '12.5GiB more were wanted' in line
    assert 'want a config.data.batch_size below 2 or more devices' in line


@pytest.mark.parametrize('backend', ['cpu', 'gpu'])
def test_memory_is_saved_by_what_is_not_done_yet_and_not_refused(monkeypatch, backend):
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    config = tiny.create_config(model__remat=True)
    with pytest.raises(InputError) as caught, memory_as_error(config):
        raise_no_memory()
    assert ('dtype=bfloat16' in str(caught.value)) == (backend == 'gpu')
    assert 'remat' not in str(caught.value)


def test_bfloat16_is_refused_on_cpus(folder, tmp_path):
    config = tiny.create_config(data__source=str(folder), model__dtype='bfloat16')
    with pytest.raises(InputError, match=r'config\.model\.dtype: bfloat16 takes CPUs'):
        loop.train_and_evaluate(config, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_unlike_devices_leave_nothing_behind(folder, tmp_path, monkeypatch):
    mixed = [
        types.SimpleNamespace(device_kind=kind, local_hardware_id=number, process_index=0)
        for number, kind in enumerate(('NVIDIA A100', 'NVIDIA T4'))
    ]
    monkeypatch.setattr(jax, 'devices', lambda: mixed)
    with pytest.raises(InputError, match='NVIDIA A100: 0 of host 0; NVIDIA T4: 1 of host 0'):
        loop.train_and_evaluate(tiny.create_config(data__source=str(folder)), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def fill(patch):
    patch.setattr(shutil, 'disk_usage', lambda folder: types.SimpleNamespace(free=0))


def break_save(error):
    def save(manager, *arguments, **settings):
        raise error

    return lambda patch: patch.setattr(ocp.CheckpointManager, 'save', save)


@pytest.mark.parametrize(
    'fill',
    [
        fill,
        break_save(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))),
        break_save(ValueError('RESOURCE_EXHAUSTED: Failed to write: No space left on device')),
    ],
)
def test_a_full_disk_keeps_the_last_checkpoint_and_the_run_goes_on(
    fill, folder, tmp_path, monkeypatch
):
    def step(state, batch):
        if int(state.step[0]) == STEPS:
            in_second_epoch()
        return state.replace(step=state.step + 1), {'loss': np.float32(0.5)}

    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    monkeypatch.setattr(loop, 'create_train_step', lambda *arguments: step)
    config = tiny.create_config(data__source=str(folder), num_epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        in_second_epoch = lambda: fill(patch)
        with pytest.raises(OutputError, match=r'the disk is full .* goes on there'):
            loop.train_and_evaluate(config, tmp_path)
    assert [path.name for path in (tmp_path / 'checkpoints').iterdir()] == [str(STEPS)]
    in_second_epoch = lambda: None
    loop.train_and_evaluate(config, tmp_path)
    assert [row['step'] for row in rows(tmp_path)] == [str(STEPS), str(2 * STEPS)]
    assert str(2 * STEPS) in {path.name for path in (tmp_path / 'checkpoints').iterdir()}


def test_a_new_run_without_room_for_its_first_checkpoint_is_not_trained(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    never = lambda state, batch: pytest.fail('trains')
    monkeypatch.setattr(loop, 'create_train_step', lambda *arguments: never)
    fill(monkeypatch)
    config = tiny.create_config(data__source=str(folder), num_epochs=2)
    with pytest.raises(OutputError, match=r'the disk is full .* goes on there'):
        loop.train_and_evaluate(config, tmp_path)


def test_a_run_that_goes_on_needs_no_pretrained_file(monkeypatch):
    config = tiny.create_config(model__pretrained='gone.safetensors')
    manager = types.SimpleNamespace(latest_step=lambda: 3)
    restored = lambda manager, step, like, stream: ([], jax.tree.map(lambda x: x + step, like))
    monkeypatch.setattr(loop, 'restore', restored)
    model = tiny.create_model(config, train_state.AXIS)
    tx = loop.create_optimizer(config, 1)
    step, losses, state = loop.start(config, manager, None, model, tx, example={})
    assert (step, losses) == (3, [])
    assert all((leaf == 3).all() for leaf in jax.tree.leaves(state.variables))


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('loss', 'dise', r"config\.loss: 'dise'; want one of dice"),
        ('optimizer__name', 'sgd', r"config\.optimizer\.name: 'sgd'; want one of adam"),
        ('optimizer__learning_rate', -1.0, r'learning_rate: -1\.0; want more than 0'),
        ('seed', -1, r'config\.seed: -1; want 0 or more'),
        ('detection__backend', 'skimge', r"config\.detection\.backend: 'skimge'; want one of"),
    ],
)
def test_unknown_names_leave_nothing_behind(folder, tmp_path, monkeypatch, field, value, message):
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    config = tiny.create_config(data__source=str(folder), **{field: value})
    with pytest.raises(InputError, match=message):
        loop.train_and_evaluate(config, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('dies', [False, True])
def test_a_run_that_is_stopped_amid_a_validation_goes_on(dies, folder, tmp_path, monkeypatch):
    """Also where the first attempt to save the step once more dies: nothing of it is lost."""
    step = lambda state, batch: (state.replace(step=state.step + 1), {'loss': np.float32(0.5)})
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    monkeypatch.setattr(loop, 'create_train_step', lambda *arguments: step)
    config = tiny.create_config(data__source=str(folder), num_epochs=2)

    def stop_in_second_epoch(prepare, state, *rest):
        if int(state.step[0]) > STEPS:
            raise Stopped
        return {'mF1': 0.5}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, 'validate', stop_in_second_epoch)
        with pytest.raises(SystemExit):
            loop.train_and_evaluate(config, tmp_path)
    monkeypatch.setattr(loop, 'validate', lambda *arguments: {'mF1': 0.75})
    if dies:
        with pytest.MonkeyPatch.context() as patch:
            break_save(InterruptedError)(patch)
            with pytest.raises(InterruptedError):
                loop.train_and_evaluate(config, tmp_path)
    monkeypatch.setattr(loop, 'create_train_step', lambda *arguments: stop)  # all steps are done
    loop.train_and_evaluate(config, tmp_path)
    assert [row['mF1'] for row in rows(tmp_path)] == ['0.5', '0.75']
    with checkpoints.open_manager(tmp_path, read_only=True) as manager:
        assert checkpoints.best_step(manager) == 2 * STEPS
        assert manager.metrics(2 * STEPS) == {'mF1': 0.75}
    loop.train_and_evaluate(config, tmp_path)
    assert not list(tmp_path.glob('.checkpoints-*'))


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_pairs_with_too_many_cells_are_told_of_before_the_training(split, tmp_path, monkeypatch):
    """Of the test pairs, too: the limit cannot be changed after the training."""
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    source = make_release(tmp_path / 'pairs', {'train': 4, 'val': 2, 'test': 2}, size=32)
    file = min((source / f'annotations/{split}/cell').iterdir())
    file.write_text(''.join(f'{x},{y},1\n' for x in range(5) for y in range(4)))
    config = tiny.create_config(data__source=str(source), data__max_cells=19)
    wanted = (
        rf'config\.data\.max_cells: pair {file.stem} has 20 cells, more than 19; want at least'
    )
    with pytest.raises(InputError, match=wanted):
        loop.train_and_evaluate(config, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('first', [0.2, 0.3, 0.5])
def test_disks_are_of_each_pairs_own_radius_whichever_is_first(first, tmp_path, monkeypatch):
    """A disk of 1.4 um at 0.2 um/px has 149 pixels, whatever the other pairs are."""
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    source = make_release(tmp_path / 'pairs', {'train': 4, 'val': 1}, size=32)
    set_mpps(source, {'001': first})
    finest = []
    monkeypatch.setattr(loop, 'create_train_step', lambda *arguments: finest.append(arguments[3]))
    monkeypatch.setattr(loop, 'open_stream', stop)
    with pytest.raises(InterruptedError):
        loop.train_and_evaluate(tiny.create_config(data__source=str(source)), tmp_path / 'run')
    mpps = jnp.array([0.2, first], jnp.float32)
    target, _ = targets.nearest_cells(
        jnp.full((2, 1, 2), 16.0),
        jnp.ones((2, 1), int),
        1.4 / mpps,
        (32, 32),
        max_radius=max_radius(1.4, finest[0]),
    )
    rows, columns = np.mgrid[:32, :32] - 16
    for disk, mpp in zip(target, (0.2, first), strict=True):
        wanted = np.hypot(rows, columns) <= 1.4 / mpp + 1e-6
        np.testing.assert_array_equal(disk > 0, wanted)
    assert (target[0] > 0).sum() == 149


def stop(*arguments):
    raise InterruptedError
