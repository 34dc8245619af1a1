"""Training as users start it: killed, stopped, restarted, on one device and on eight."""

import csv
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import types

import jax
import jax.numpy as jnp
import narrow
import numpy as np
import orbax.checkpoint as ocp
import pytest
from conftest import ROOT, make_release
from PIL import Image

from ocelot_jax.models import factory
from ocelot_jax.training import state as train_state
from ocelot_jax.training.loop import NonFiniteLossError, train_and_evaluate
from ocelot_jax.training.loop import start as start_training
from ocelot_jax.training.step import create_optimizer

EPOCHS = 4
STEPS = 4


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A data set of patches just large enough for the network."""
    path = tmp_path_factory.mktemp('pairs')
    return make_release(path, {'train': 2 * STEPS, 'val': 3, 'test': 1}, size=32)


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    """Compiled programs, shared by the processes that run the same ones."""
    return tmp_path_factory.mktemp('compiled')


def command(folder, workdir, **overrides):
    values = {
        'model.context': 'none',
        'data.source': folder,
        'data.batch_size': 2,
        'data.max_cells': 16,
        'num_epochs': EPOCHS,
        'detection.max_cells': 64,
        'optimizer.average_decay': 0.9,
        **overrides,
    }
    return [
        sys.executable,
        '-m',
        'ocelot_jax.main',
        '--config=tests/narrow.py',
        f'--workdir={workdir}',
        *(f'--config.{name}={value}' for name, value in values.items()),
    ]


def environment(cache, devices=1):
    return os.environ | {
        'JAX_COMPILATION_CACHE_DIR': str(cache),
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
        'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices} {narrow.XLA_FLAGS}',
    }


def run(arguments, cache):
    return subprocess.run(
        arguments, cwd=ROOT, env=environment(cache), capture_output=True, text=True
    )


def final_arrays(workdir):
    """Every array of the last checkpoint, by name."""
    manager = ocp.CheckpointManager(workdir / 'checkpoints')
    step = manager.latest_step()
    names = ('variables', 'training')
    restored = manager.restore(
        step, args=ocp.args.Composite(**{name: ocp.args.StandardRestore() for name in names})
    )
    leaves, _ = jax.tree.flatten_with_path({name: restored[name] for name in names})
    return step, {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_run(workdir, reference):
    step, arrays = final_arrays(workdir)
    wanted_step, wanted = final_arrays(reference)
    assert step == wanted_step == EPOCHS * STEPS
    assert arrays.keys() == wanted.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)


def rows(workdir):
    with (workdir / 'metrics.csv').open(newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope='module')
def reference(folder, cache, tmp_path_factory):
    """A run that nobody disturbed."""
    workdir = tmp_path_factory.mktemp('reference') / 'run'
    done = run(command(folder, workdir), cache)
    assert done.returncode == 0, done.stderr
    return workdir


def start(arguments, cache, log):
    return subprocess.Popen(
        arguments, cwd=ROOT, env=environment(cache), stdout=log, stderr=subprocess.STDOUT
    )


def wait_for_epochs(count, workdir, process):
    """Waits until a run in progress has logged so many epochs."""
    deadline = time.monotonic() + 300
    while not (workdir / 'metrics.csv').exists() or len(rows(workdir)) < count:
        assert process.poll() is None, 'the run ended before it could be disturbed'
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_leaves_metrics_the_best_epoch_and_its_evaluation(folder, reference):
    logged = rows(reference)
    assert [(int(r['epoch']), int(r['step'])) for r in logged] == [
        (epoch, epoch * STEPS) for epoch in range(1, EPOCHS + 1)
    ]
    assert all(0 < float(r['loss']) < 1 and 0 <= float(r['mF1']) <= 1 for r in logged)
    best = max(logged, key=lambda row: (float(row['mF1']), int(row['step'])))
    steps = ocp.CheckpointManager(reference / 'checkpoints').all_steps()
    assert set(steps) == {int(best['step']), EPOCHS * STEPS}
    assert list((reference / 'tensorboard').glob('events*'))
    evaluation = reference / 'evaluation' / 'test'
    table = json.loads((evaluation / 'scores.json').read_text())
    assert table['population']['pairs'] == 1
    # the file of cells, scored by the command for anybody's cells, gives the same
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'ocelot_jax.score', f'--data={folder}', '--split=test'),
            f'--predictions={evaluation / "predictions.json"}',
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    for name, value in json.loads(done.stdout).items():
        assert table['population'][name] == pytest.approx(value), name
    assert Image.open(evaluation / 'overlays.png').size[0] > 500


def test_a_run_of_another_configuration_is_left_alone(folder, cache, reference):
    before = sorted((reference / 'checkpoints').iterdir())
    done = run(command(folder, reference, num_epochs=EPOCHS + 1), cache)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith('error:')]
    assert line == (
        f'error: {reference}/config.json: holds a run of another configuration: '
        f'config.num_epochs is {EPOCHS} there and {EPOCHS + 1} here; '
        'choose another --workdir or the same values'
    )
    assert sorted((reference / 'checkpoints').iterdir()) == before


def test_killed_run_ends_with_the_same_bits(folder, cache, reference, tmp_path):
    workdir = tmp_path / 'run'
    moments = random.Random(0)
    for kill in range(3):
        with (tmp_path / 'log').open('w') as log:
            process = start(command(folder, workdir), cache, log)
            wait_for_epochs(kill + 1, workdir, process)
            time.sleep(moments.uniform(0, 0.5))
            process.kill()
            assert process.wait() == -signal.SIGKILL
    done = run(command(folder, workdir), cache)
    assert done.returncode == 0, done.stderr
    assert_same_run(workdir, reference)
    assert rows(workdir) == rows(reference)


def test_sigterm_saves_within_the_epoch_and_the_run_goes_on(folder, cache, reference, tmp_path):
    workdir = tmp_path / 'run'
    with (tmp_path / 'log').open('w') as log:
        process = start(command(folder, workdir), cache, log)
        wait_for_epochs(1, workdir, process)
        process.terminate()
        assert process.wait() == 0, (tmp_path / 'log').read_text()
    stopped_at, _ = final_arrays(workdir)
    assert STEPS <= stopped_at < EPOCHS * STEPS
    done = run(command(folder, workdir), cache)
    assert done.returncode == 0, done.stderr
    assert_same_run(workdir, reference)


@pytest.fixture(scope='module')
def together(folder, cache, tmp_path_factory):
    """Two seeds trained as one program, the first one that of `reference`."""
    workdir = tmp_path_factory.mktemp('together') / 'runs'
    done = run(command(folder, workdir, seeds=2), cache)
    assert done.returncode == 0, done.stderr
    return workdir


def test_a_seed_learns_beside_others_what_it_learns_alone(reference, together):
    first, second = (rows(together / name) for name in ('seed0', 'seed1'))
    alone = rows(reference)
    assert [row['step'] for row in first] == [row['step'] for row in alone]
    losses = [[float(row['loss']) for row in logged] for logged in (first, second, alone)]
    # the same weights, pairs, augmentation and dropout, but sums of another order, which Adam's
    # first updates blow up
    np.testing.assert_allclose(losses[0][0], losses[2][0], rtol=5e-3)
    np.testing.assert_allclose(losses[0], losses[2], rtol=0.03)
    assert abs(losses[1][0] - losses[2][0]) > 0.01
    configs = [
        json.loads((path / 'config.json').read_text())
        for path in (reference, together / 'seed0', together / 'seed1')
    ]
    assert configs[1] == configs[0]
    assert configs[2] == configs[0] | {'seed': 1}
    for path in (together / 'seed0', together / 'seed1'):
        assert (path / 'evaluation' / 'test' / 'scores.json').exists()


def test_seeds_go_on_where_all_of_them_were(folder, cache, together, tmp_path):
    """As after a kill between two runs' saves: one is an epoch behind."""
    workdir = tmp_path / 'runs'
    shutil.copytree(together, workdir)
    with ocp.CheckpointManager(workdir / 'seed1' / 'checkpoints') as behind:
        behind.delete(EPOCHS * STEPS)
    done = run(command(folder, workdir, seeds=2), cache)
    assert done.returncode == 0, done.stderr
    for name in ('seed0', 'seed1'):
        assert_same_run(workdir / name, together / name)
        assert rows(workdir / name) == rows(together / name)


def test_less_than_one_seed(tmp_path):
    config = narrow.get_config('cell_only')
    config.data.source = str(make_release(tmp_path / 'pairs', size=32))
    config.data.batch_size = 2
    config.seeds = 0
    with pytest.raises(ValueError, match=r'config\.seeds: 0; want 1 or more'):
        train_and_evaluate(config, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_eight_devices_give_the_losses_of_one(folder, cache, tmp_path):
    """Same global batch, dropout off; batch statistics and Dice sums span the devices."""
    overrides = {
        'model.context': 'prediction',
        'data.batch_size': 8,
        'num_epochs': 3,
        'model.cell_dropout': 0.0,
        'model.tissue_dropout': 0.0,
        'model.aspp_dropout': 0.0,
        'optimizer.learning_rate': 1e-4,
    }
    processes = {
        devices: subprocess.Popen(
            command(folder, tmp_path / str(devices), **overrides),
            cwd=ROOT,
            env=environment(cache, devices),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for devices in (1, 8)
    }
    losses = []
    for devices, process in processes.items():
        assert process.wait() == 0
        logged = rows(tmp_path / str(devices))
        losses.append([[float(r[k]) for k in ('cell_loss', 'tissue_loss')] for r in logged])
    assert np.ptp(losses[0], axis=0).min() > 1e-3, 'the losses must move for this to mean anything'
    # the learning rate begins at 0, so two steps see the same weights; then Adam, whose first
    # updates are signs of gradients, blows up rounding (gradients that are not averaged over the
    # devices move the third loss by more than 1e-2)
    np.testing.assert_allclose(losses[1][:2], losses[0][:2], rtol=1e-5)
    np.testing.assert_allclose(losses[1][2], losses[0][2], rtol=5e-3)


def test_non_finite_loss_stops_the_run_and_keeps_the_last_checkpoint(
    folder, tmp_path, monkeypatch
):
    bad = STEPS + 2

    def step(state, batch):
        done = int(state.step[0]) + 1
        loss = math.nan if done == bad else 0.5
        return state.replace(step=state.step + 1), {'loss': jnp.array([loss])}

    monkeypatch.setattr(step, 'create_train_step', lambda *arguments: step)
    config = narrow.get_config('cell_only')
    config.data.source = str(folder)
    config.data.batch_size = 2
    config.data.max_cells = 16
    with pytest.raises(NonFiniteLossError, match=f'step {bad}: loss nan'):
        train_and_evaluate(config, tmp_path)
    assert ocp.CheckpointManager(tmp_path / 'checkpoints').all_steps() == [STEPS]
    assert [row['step'] for row in rows(tmp_path)] == [str(STEPS)]


def test_a_run_that_goes_on_needs_no_pretrained_file():
    config = narrow.get_config('cell_only')
    config.model.pretrained = 'gone.safetensors'
    manager = types.SimpleNamespace(latest_step=lambda: 3, all_steps=lambda: [3])
    run = types.SimpleNamespace(
        config=config,
        manager=manager,
        restore=lambda step, like: jax.tree.map(lambda x: x + step, like),
    )
    model = factory.create_model(config, train_state.AXIS)
    step, state = start_training([run], model, create_optimizer(config, 1), example={})
    assert step == 3
    assert all((leaf == 3).all() for leaf in jax.tree.leaves(state.variables))
