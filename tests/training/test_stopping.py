"""SIGTERM and Ctrl-C stop a training within a step, with a whole checkpoint, and it goes on."""

import os
import signal

import numpy as np
import pytest
import tiny
from conftest import make_release
from drawn_slides import darkness

from ocelot_jax.inference import engines
from ocelot_jax.models import factory
from ocelot_jax.runs import checkpoints
from ocelot_jax.training import loop
from ocelot_jax.training.stopping import Stopped, StopSignal

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stepper(at, number):
    """A training step; a signal comes in that of number `at`."""

    def step(state, batch):
        state = state.replace(step=state.step + 1)
        if int(state.step[0]) == at:
            os.kill(os.getpid(), number)
        return state, {'loss': np.float32(0.5)}

    return step


class Counter:
    """A state of no weights."""

    step, variables = (0,), ()

    def replace(self, step):
        self.step = step
        return self


@pytest.mark.parametrize('number', SIGNALS)
@pytest.mark.parametrize('at', [1, 2, 7])
def test_an_epoch_ends_with_the_step_in_which_the_signal_comes(at, number):
    state, batches = Counter(), iter([{}] * 1000)
    state.step = np.zeros(1, int)
    with StopSignal() as stop:
        step = stepper(at, number)
        _, losses = loop.train_epoch(step, state, batches, range(1000), lambda *_: None, stop)
        assert len(losses) == at
        assert stop.requested()


@pytest.mark.parametrize('number', SIGNALS)
def test_a_validation_ends_with_the_batch_in_which_the_signal_comes(number):
    done = []

    def engine(batch):
        done.append(batch)
        if len(done) == 2:
            os.kill(os.getpid(), number)

    with StopSignal() as stop:
        watched = stop.watch(engine)
        watched(1)
        watched(2)
        with pytest.raises(Stopped):
            watched(3)
    assert done == [1, 2]


def test_the_second_ctrl_c_ends_as_ever():
    before = [signal.getsignal(number) for number in SIGNALS]
    with StopSignal():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize(
    ('number', 'pairs', 'at'), [(signal.SIGTERM, 2, 3), (signal.SIGINT, 6, 4)]
)
def test_a_run_of_short_epochs_stops_and_goes_on(number, pairs, at, tmp_path, monkeypatch, capsys):
    """Of epochs of one step, and of three."""
    source = make_release(tmp_path / 'pairs', {'train': pairs, 'val': 2}, size=32)
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    monkeypatch.setattr(engines, 'prepare', lambda *_: lambda variables: darkness)
    changes = {'num_epochs': 4, 'detection__backend': 'skimage', 'data__source': str(source)}
    config = tiny.create_config(**changes)
    last = 2 * pairs  # steps of two pairs, in four epochs
    with monkeypatch.context() as patch:
        patch.setattr(loop, 'create_train_step', lambda *_: stepper(at, number))
        with pytest.raises(SystemExit) as end:
            loop.train_and_evaluate(config, tmp_path / 'run')
    assert end.value.code == 0
    told = [line for line in capsys.readouterr().out.splitlines() if 'stopped' in line]
    assert len(told) == 1
    assert f'stopped at step {at} of {last}' in told[0]
    steps = lambda: {int(path.name) for path in (tmp_path / 'run/checkpoints').iterdir()}
    assert max(steps()) == at
    monkeypatch.setattr(loop, 'create_train_step', lambda *_: stepper(None, number))
    loop.train_and_evaluate(config, tmp_path / 'run')
    assert max(steps()) == last
    with checkpoints.open_manager(tmp_path / 'run', read_only=True) as manager:
        assert checkpoints.best_step(manager) == last
