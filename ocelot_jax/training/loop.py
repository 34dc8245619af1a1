"""Training: the step on every device, the loop over epochs."""

import contextlib
import functools
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import flax.jax_utils
import jax
import ml_collections
import numpy as np
import optax
from jax.experimental import multihost_utils

from ocelot_jax.data.batches import device_batches, steps_per_epoch
from ocelot_jax.data.sources import Record, Source, open_source
from ocelot_jax.evaluation import scoring
from ocelot_jax.inference import engines
from ocelot_jax.inference.engine import Engine
from ocelot_jax.interop import pretrained
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory
from ocelot_jax.runs import checkpoints
from ocelot_jax.training import progress, seeds
from ocelot_jax.training import state as train_state
from ocelot_jax.training.state import AXIS, TrainState
from ocelot_jax.training.step import create_optimizer, create_train_step

Batch = dict[str, Any]
Metrics = dict[str, float]


class NonFiniteLossError(InputError):
    """The loss became NaN or infinite."""


def train_and_evaluate(config: ml_collections.ConfigDict, workdir: Path) -> list[Path]:
    """Trains to the last epoch, from the latest checkpoint or from the start.

    SIGTERM saves a checkpoint and ends the process with status 0; the same call goes on there.

    Args:
        config: as `configs/default.py`.
        workdir: the run's directory, where checkpoints and metrics are kept; where
            `config.seeds` wants several runs, that of their directories `seed0`, `seed1`, ...

    Returns:
        The directory of each run.

    Raises:
        NonFiniteLossError: the loss is no number; the last good checkpoint is kept.
        InputError: the data does not fit the configuration, or `workdir` holds another run.
    """
    source = open_source(config.data, 'train')
    validation = open_source(config.data, 'validation')
    example = source[0]
    cell_mpp = float(example['cell_mpp'])
    epoch_steps = steps_per_epoch(source, config.data.batch_size)
    total_steps = config.num_epochs * epoch_steps

    model = factory.create_model(config, AXIS)
    tx = create_optimizer(config, epoch_steps)
    train_step = create_train_step(config, model, tx, cell_mpp)
    prepare = engines.prepare('xla', factory.create_model(config), config.test_time_augmentation)

    with contextlib.ExitStack() as stack:
        group = stack.enter_context(seeds.open_runs(config, workdir, source))
        step, state = start(group, model, tx, example)
        workdirs = [run.workdir for run in group]
        reporter = stack.enter_context(
            progress.Reporter(
                workdirs,
                step=step,
                total_steps=total_steps,
                batch_size=config.data.batch_size,
                quiet=jax.process_index() > 0,
            )
        )
        interrupted = stack.enter_context(sigterm_flag())
        streams = [run.batches for run in group]
        batches = device_batches(streams, jax.local_device_count())

        while step < total_steps:
            epoch = step // epoch_steps + 1
            steps = range(step, epoch * epoch_steps)
            state, history = train_epoch(
                train_step, state, batches, steps, reporter.step, interrupted
            )
            step += len(history)
            if len(history) < len(steps):
                seeds.save(group, step, state, [None] * len(group))
                raise SystemExit(0)
            scores = [
                validate(prepare, single, validation, config)
                for single in train_state.split(state, len(group))
            ]
            # told before it is saved: a run killed between the two tells it once more
            losses = mean_losses(history)
            reporter.epoch(epoch, step, [a | b for a, b in zip(losses, scores, strict=True)])
            seeds.save(group, step, state, scores)
        return workdirs


def start(
    group: Sequence[seeds.Run],
    model: factory.Model,
    tx: optax.GradientTransformation,
    example: Record,
) -> tuple[int, TrainState]:
    """The step where runs begin or go on, and their joint, replicated state there."""
    step = checkpoints.common_step([run.manager for run in group])
    averaged = group[0].config.optimizer.average_decay > 0
    create = functools.partial(train_state.create, tx=tx, averaged=averaged)
    if step == 0:
        states = [create(first_variables(run.config, model, example)) for run in group]
    else:
        empty = create(factory.empty_variables(model))
        states = [run.restore(step, empty) for run in group]
    return step, train_state.replicate(train_state.join(states))


def first_variables(
    config: ml_collections.ConfigDict, model: factory.Model, example: Record
) -> dict[str, Any]:
    """The variables of a run before its first step, drawn or pretrained."""
    variables = factory.init_variables(model, config.seed, example)
    if config.model.pretrained:
        branches = config.model.pretrained_branches
        variables = pretrained.initialise(variables, Path(config.model.pretrained), branches)
    return variables


def validate(
    prepare: Callable[[Sequence[Any]], Engine],
    state: TrainState,
    pairs: Source,
    config: ml_collections.ConfigDict,
) -> Metrics:
    """Scores of a replicated state on the validation split.

    Args:
        prepare: from `engines.prepare`.
        state: the replicated state.
        pairs: the validation split.
        config: as `configs/default.py`.
    """
    engine = prepare([flax.jax_utils.unreplicate(state.evaluated)])
    return scoring.score_pairs(engine, pairs, config)


def train_epoch(
    train_step: Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]],
    state: TrainState,
    batches: Iterator[Batch],
    steps: range,
    report: Callable[[int, list[Metrics]], None],
    interrupted: Callable[[int], bool],
) -> tuple[TrainState, list[list[Metrics]]]:
    """Trains for `steps`, or fewer if interrupted.

    Args:
        train_step: from `create_train_step`.
        state: replicated over the local devices; consumed.
        batches: this process's part of each batch, for its devices.
        steps: numbers of the steps to do.
        report: called with the number of steps done and the step's losses of each run.
        interrupted: called with the number of steps done; true ends the epoch.

    Returns:
        The new state and the losses of each step, of each run.

    Raises:
        NonFiniteLossError: at the first step with a loss that is no number.
    """
    history = []
    pending = None
    for step in steps:
        state, metrics = train_step(state, next(batches))
        # reading the previous step's losses keeps the device busy with this one
        if pending is not None:
            history.append(read_losses(pending, step, report))
        pending = metrics
        if interrupted(step + 1):
            break
    history.append(read_losses(pending, steps.start + len(history) + 1, report))
    return state, history


def read_losses(
    metrics: dict[str, jax.Array], step: int, report: Callable[[int, list[Metrics]], None]
) -> list[Metrics]:
    """Brings a step's losses to the host, reports them, and stops the runs if they are none.

    Args:
        metrics: [D] or, of several runs, [D,N]; alike on all devices.
        step: number of steps done.
        report: as of `train_epoch`.

    Returns:
        The losses of each run.
    """
    on_host = {name: np.atleast_1d(value[0]).tolist() for name, value in metrics.items()}
    losses = [
        dict(zip(on_host, values, strict=True)) for values in zip(*on_host.values(), strict=True)
    ]
    for values in losses:
        if not all(map(math.isfinite, values.values())):
            raise NonFiniteLossError(
                f'step {step}: {progress.describe(values)}; the last good checkpoint is kept, '
                'a lower config.optimizer.learning_rate may help'
            )
    report(step, losses)
    return losses


def mean_losses(history: list[list[Metrics]]) -> list[Metrics]:
    """Means over steps, of each run."""
    return [
        {name: np.mean([losses[name] for losses in steps]) for name in steps[0]}
        for steps in zip(*history, strict=True)
    ]


@contextlib.contextmanager
def sigterm_flag() -> Iterator[Callable[[int], bool]]:
    """Within the context SIGTERM kills no more; the yielded function tells if it came.

    On several hosts the function, called with the step, lets all agree on where to stop.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    received = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield lambda step: bool(received)
    finally:
        signal.signal(signal.SIGTERM, previous)
