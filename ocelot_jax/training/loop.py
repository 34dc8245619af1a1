"""Training: set-up, epochs, validation, checkpoints."""

import contextlib
import functools
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import ml_collections
import numpy as np
import optax
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from ocelot_jax.data.batches import shard, steps_per_epoch, train_batches
from ocelot_jax.data.sources import Record, Source, open_source
from ocelot_jax.evaluation import scoring
from ocelot_jax.inference import devices, engines
from ocelot_jax.inference.engine import Engine
from ocelot_jax.interop import pretrained
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory
from ocelot_jax.runs import checkpoints, configuration
from ocelot_jax.training import progress
from ocelot_jax.training import state as train_state
from ocelot_jax.training.optimizer import create_optimizer
from ocelot_jax.training.state import AXIS, TrainState
from ocelot_jax.training.step import create_train_step, memory_as_error

Batch = dict[str, Any]
Metrics = dict[str, float]


class NonFiniteLossError(InputError):
    """The loss became NaN or infinite."""


def train_and_evaluate(config: ml_collections.ConfigDict, workdir: Path) -> None:
    """Trains to the last epoch, from the latest checkpoint or from the start.

    SIGTERM saves a checkpoint and ends the process with status 0; the same call goes on there.

    Args:
        config: as `configs/default.py`.
        workdir: the run's directory, where checkpoints and metrics are kept.

    Raises:
        NonFiniteLossError: the loss is no number; the last good checkpoint is kept.
        InputError: the data do not fit the configuration, `workdir` holds another run, or the
            devices are not alike.
        OutOfMemoryError: a step does not fit into the devices' memory.
    """
    devices.check_alike(jax.devices())
    pairs, validation = (open_source(config.data, split) for split in ('train', 'validation'))
    example = pairs[0]
    cell_mpp = float(example['cell_mpp'])
    epoch_steps = steps_per_epoch(pairs, config.data.batch_size)
    total_steps = config.num_epochs * epoch_steps
    model = factory.create_model(config, AXIS)
    tx = create_optimizer(config, epoch_steps)
    train_step = create_train_step(config, model, tx, cell_mpp)
    prepare = engines.prepare('xla', factory.create_model(config), config.test_time_augmentation)
    stream = open_stream(config, pairs)

    batches = map(functools.partial(shard, num_local_devices=jax.local_device_count()), stream)

    with contextlib.ExitStack() as stack:
        manager = stack.enter_context(checkpoints.open_manager(workdir))
        open_directory(workdir, config, manager, example)
        step, state = start(config, manager, stream, model, tx, example)
        reporter = progress.Reporter(workdir, step, total_steps, config.data.batch_size)
        stack.enter_context(reporter)
        interrupted = stack.enter_context(sigterm_flag())
        stack.enter_context(memory_as_error(config))

        while step < total_steps:
            epoch = step // epoch_steps + 1
            steps = range(step, epoch * epoch_steps)
            state, history = train_epoch(
                train_step, state, batches, steps, reporter.step, interrupted
            )
            step += len(history)
            if len(history) < len(steps):
                save(manager, step, state, stream, None)
                raise SystemExit(0)
            scores = validate(prepare, state, validation, config)
            # before the save: a run that is killed between the two does the epoch once more
            reporter.epoch(epoch, step, mean_losses(history) | scores)
            save(manager, step, state, stream, scores)


def open_stream(
    config: ml_collections.ConfigDict, pairs: Source
) -> grain.DatasetIterator[dict[str, np.ndarray]]:
    """This process's part of the training batches."""
    return train_batches(
        pairs,
        batch_size=config.data.batch_size,
        seed=config.seed,
        max_cells=config.data.max_cells,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )


def open_directory(
    workdir: Path,
    config: ml_collections.ConfigDict,
    manager: ocp.CheckpointManager,
    example: Record,
) -> None:
    """Writes what a new run's directory begins with, or checks whose run an old one holds.

    Raises:
        InputError: the directory holds a run of another configuration.
    """
    if manager.latest_step() is not None:
        configuration.check_config(workdir, config)
    elif jax.process_index() == 0:
        configuration.write_config(workdir, config)
        configuration.write_patches(workdir, example)


def start(
    config: ml_collections.ConfigDict,
    manager: ocp.CheckpointManager,
    stream: grain.DatasetIterator[Any],
    model: factory.Model,
    tx: optax.GradientTransformation,
    example: Record,
) -> tuple[int, TrainState]:
    """The step where a run begins or goes on, and its replicated state there.

    Args:
        config: as `configs/default.py`.
        manager: of the run's checkpoints.
        stream: the training batches; moved to where they go on.
        model: from `factory.create_model`.
        tx: the optimizer.
        example: a record of the data.
    """
    averaged = config.optimizer.average_decay > 0
    create = functools.partial(train_state.create, tx=tx, averaged=averaged)
    step = manager.latest_step()
    if step is None:
        step, state = 0, create(first_variables(config, model, example))
    else:
        state = restore(manager, step, create(factory.empty_variables(model)), stream)
    return step, train_state.replicate(state, jax.local_device_count())


def first_variables(
    config: ml_collections.ConfigDict, model: factory.Model, example: Record
) -> dict[str, Any]:
    """The variables of a run before its first step, drawn or pretrained."""
    variables = factory.init_variables(model, config.seed, example)
    if config.model.pretrained:
        branches = config.model.pretrained_branches
        variables = pretrained.initialise(variables, Path(config.model.pretrained), branches)
    return variables


def restore(
    manager: ocp.CheckpointManager,
    step: int,
    like: TrainState,
    stream: grain.DatasetIterator[Any],
) -> TrainState:
    """Restores what `save` saved at a step, and moves the training batches there.

    Args:
        manager: of the run's checkpoints.
        step: a step that was saved.
        like: a state of the same structure, not replicated.
        stream: the training batches.

    Returns:
        The state, not replicated.
    """
    field = like.evaluated_field
    evaluated = checkpoints.restore(manager, step, 'variables', like.evaluated)
    training = checkpoints.restore(manager, step, 'training', like.replace(**{field: None}))
    stream.set_state(checkpoints.restore_data(manager, step))
    return training.replace(**{field: evaluated})


def save(
    manager: ocp.CheckpointManager,
    step: int,
    state: TrainState,
    stream: grain.DatasetIterator[Any],
    scores: Metrics | None,
) -> None:
    """Saves a run in the background.

    Args:
        manager: of the run's checkpoints.
        step: number of steps done.
        state: replicated; one copy is saved.
        stream: the training batches, which have come as far.
        scores: of the validation split; None where it was not validated.
    """
    state = train_state.unreplicate(state)
    checkpoints.save(
        manager,
        step,
        variables=state.evaluated,
        training=state.replace(**{state.evaluated_field: None}),
        data=stream.get_state(),
        metrics=scores,
    )


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
    engine = prepare([train_state.unreplicate(state.evaluated)])
    return scoring.score_pairs(engine, pairs, config)


def train_epoch(
    train_step: Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]],
    state: TrainState,
    batches: Iterator[Batch],
    steps: range,
    report: Callable[[int, Metrics], None],
    interrupted: Callable[[int], bool],
) -> tuple[TrainState, list[Metrics]]:
    """Trains for `steps`, or fewer if interrupted.

    Args:
        train_step: from `create_train_step`.
        state: replicated over the local devices; consumed.
        batches: this process's part of each batch, split over its devices.
        steps: numbers of the steps to do.
        report: called with the number of steps done and the step's losses.
        interrupted: called with the number of steps done; true ends the epoch.

    Returns:
        The new state and the losses of each step.

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
    metrics: dict[str, jax.Array], step: int, report: Callable[[int, Metrics], None]
) -> Metrics:
    """Brings a step's losses to the host and reports them.

    Args:
        metrics: scalars.
        step: number of steps done.
        report: see `train_epoch`.

    Raises:
        NonFiniteLossError: one of them is no number.
    """
    losses = {name: float(value) for name, value in metrics.items()}
    if not all(map(math.isfinite, losses.values())):
        raise NonFiniteLossError(
            f'step {step}: {progress.describe(losses)}; the last good checkpoint is kept, '
            'a lower config.optimizer.learning_rate may help'
        )
    report(step, losses)
    return losses


def mean_losses(history: list[Metrics]) -> Metrics:
    """Means over steps."""
    return {name: np.mean([losses[name] for losses in history]) for name in history[0]}


@contextlib.contextmanager
def sigterm_flag() -> Iterator[Callable[[int], bool]]:
    """Within the context SIGTERM does not kill; the yielded function tells whether it came.

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
