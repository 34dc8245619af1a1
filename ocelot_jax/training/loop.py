"""Training: set-up, epochs, validation, checkpoints."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import ml_collections
import numpy as np
import optax
import orbax.checkpoint as ocp

from ocelot_jax.data.batches import shard, steps_per_epoch, train_batches
from ocelot_jax.data.sources import Record, Source, open_sources, splits
from ocelot_jax.evaluation import scoring
from ocelot_jax.inference import devices, engines
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Engine
from ocelot_jax.io import disk
from ocelot_jax.io.errors import InputError
from ocelot_jax.io.names import AnyPath
from ocelot_jax.models import factory
from ocelot_jax.runs import checkpoints, configuration, provenance
from ocelot_jax.training import appearance, progress
from ocelot_jax.training import state as train_state
from ocelot_jax.training.optimizer import create_optimizer
from ocelot_jax.training.state import AXIS, TrainState
from ocelot_jax.training.step import create_train_step, memory_as_error
from ocelot_jax.training.stopping import Stopped, StopSignal
from ocelot_jax.training.weights import first_variables

Batch = dict[str, Any]
Metrics = dict[str, float]


_DIVERGED = 'the last good checkpoint is kept, a lower config.optimizer.learning_rate may help'


class NonFiniteLossError(InputError):
    """The loss, or a weight, became NaN or infinite."""


def train_and_evaluate(config: ml_collections.ConfigDict, workdir: AnyPath) -> None:
    """Trains to the last epoch, from the latest checkpoint or from the start.

    SIGTERM and Ctrl-C save a checkpoint and end the process with status 0; the same call goes on
    there, and on another number of hosts or devices, too. All hosts must see `workdir`.

    Args:
        config: as `configs/default.py`.
        workdir: the run's directory, where checkpoints and metrics are kept.

    Raises:
        NonFiniteLossError: the loss or a weight is no number; the last good checkpoint is kept.
        OutputError: the disk is full; the last whole checkpoint is kept.
        InputError: the data do not fit the configuration, `workdir` holds another run, or the
            devices are not alike, or slow in `config.model.dtype`.
        OutOfMemoryError: a step does not fit into the devices' memory.
    """
    workdir = Path(workdir)
    model = checked_model(config)  # its errors come before those of data
    pairs, validation = open_splits(config.data)
    example = pairs[0]
    factory.check_sizes(model, example['cell_image'].shape[:2], example['tissue_image'].shape[:2])
    finest_mpp = float(str(pairs.outline.cell_mpps.min()))
    epoch_steps = steps_per_epoch(pairs, config.data.batch_size)
    total_steps = config.num_epochs * epoch_steps
    tx = create_optimizer(config, epoch_steps)
    train_step = create_train_step(config, model, tx, finest_mpp, epoch_steps)
    prepare = engines.prepare('xla', factory.create_model(config), config.test_time_augmentation)
    stream = open_stream(config, pairs)
    batches = map(functools.partial(shard, num_local_devices=jax.local_device_count()), stream)

    with contextlib.ExitStack() as stack:
        stack.enter_context(disk.full_as_error(workdir))
        manager = stack.enter_context(open_manager(workdir))
        goes_on = manager.latest_step() is not None
        provenance.open_run(workdir, config, example, goes_on)
        appearance.keep(workdir, pairs, goes_on)
        step, history, state = start(config, manager, stream, model, tx, example)
        reporter = progress.Reporter(workdir, step, total_steps, config.data.batch_size)
        stack.enter_context(reporter)
        stop = stack.enter_context(StopSignal())
        stack.enter_context(memory_as_error(config))

        for epoch in range((step - len(history)) // epoch_steps + 1, config.num_epochs + 1):
            steps = range(step, epoch * epoch_steps)
            state, losses = train_epoch(train_step, state, batches, steps, reporter.step, stop)
            step, history = step + len(losses), history + losses
            try:
                if len(losses) < len(steps):
                    raise Stopped
                scores = validate(prepare, state, validation, config, stop)
            except Stopped:
                save(manager, step, state, stream, history, None)
                reporter.stopped(step)
                raise SystemExit(0) from None
            # before the save: a run that is killed between the two does the epoch once more
            reporter.epoch(epoch, step, mean_losses(history) | scores)
            history = []
            save(manager, step, state, stream, history, scores)


def checked_model(config: ml_collections.ConfigDict) -> factory.Model:
    """Makes the network to be trained.

    Raises:
        InputError: a value is none that its field can have, or devices are not alike, or slow in
            `config.model.dtype`.
    """
    devices.check_alike(jax.devices())
    configuration.check_values(config)
    devices.check_type(config.model.dtype)
    Detector(config.detection)  # which would be made after the first epoch
    return factory.create_model(config, AXIS)


def open_splits(config: ml_collections.ConfigDict) -> tuple[Source, Source]:
    """Opens the training and the validation pairs of `config.data`.

    What is wrong with the test pairs, if there are any, is told here, too: after the training
    nothing of the configuration can be changed any more.

    Raises:
        InputError: the data are bad, or a pair has more cells than `max_cells`.
    """
    names = dict.fromkeys(('train', 'validation', *splits(config)))
    opened = open_sources(config, names)
    for source in opened.values():
        source.outline.check_cells(config.max_cells)
    return opened['train'], opened['validation']


@contextlib.contextmanager
def open_manager(workdir: Path) -> Iterator[ocp.CheckpointManager]:
    """Opens a run's checkpoints; at the end of the block all saves are done."""
    manager = checkpoints.open_manager(workdir)
    waits = True
    try:
        yield manager
    except Exception as error:
        # where another host is lost, a save that waits for it never ends
        waits = jax.process_count() == 1 or isinstance(error, InputError)
        raise
    finally:
        if waits:
            manager.close()


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


def start(
    config: ml_collections.ConfigDict,
    manager: ocp.CheckpointManager,
    stream: grain.DatasetIterator[Any],
    model: factory.Model,
    tx: optax.GradientTransformation,
    example: Record,
) -> tuple[int, list[Metrics], TrainState]:
    """Where a run begins or goes on: step, losses of the unfinished epoch, replicated state.

    Args:
        config: as `configs/default.py`.
        manager: of the run's checkpoints.
        stream: the training batches; moved to where they go on.
        model: from `factory.create_model`.
        tx: the optimizer.
        example: a record of the data.

    Raises:
        OutputError: the disk has no room for the first checkpoint.
    """
    averaged = config.optimizer.average_decay > 0
    create = functools.partial(train_state.create, tx=tx, averaged=averaged)
    step = manager.latest_step()
    history: list[Metrics] = []
    if step is None:
        step, state = 0, create(first_variables(config, model, example))
        # now, and not after an epoch
        checkpoints.require_room(manager, state)
    else:
        like = create(factory.empty_variables(model))
        history, state = restore(manager, step, like, stream)
    return step, history, train_state.replicate(state, jax.local_device_count())


def restore(
    manager: ocp.CheckpointManager,
    step: int,
    like: TrainState,
    stream: grain.DatasetIterator[Any],
) -> tuple[list[Metrics], TrainState]:
    """Restores what `save` saved at a step, and moves the training batches there.

    Args:
        manager: of the run's checkpoints.
        step: a step that was saved.
        like: a state of the same structure, not replicated.
        stream: the training batches.

    Returns:
        The losses of the unfinished epoch's steps, and the state, not replicated.
    """
    field = like.evaluated_field
    evaluated = checkpoints.restore(manager, step, 'variables', like.evaluated)
    training = checkpoints.restore(manager, step, 'training', like.replace(**{field: None}))
    position = checkpoints.restore_data(manager, step)
    # runs that began before the losses were kept have none
    history = position.pop('losses', [])
    stream.set_state(position)
    return history, training.replace(**{field: evaluated})


def save(
    manager: ocp.CheckpointManager,
    step: int,
    state: TrainState,
    stream: grain.DatasetIterator[Any],
    history: list[Metrics],
    scores: Metrics | None,
) -> None:
    """Saves a run in the background.

    Args:
        manager: of the run's checkpoints.
        step: number of steps done.
        state: replicated; one copy is saved.
        stream: the training batches, which have come as far.
        history: the losses of the steps of the epoch that is not finished.
        scores: of the validation split; None where it was not validated.
    """
    state = train_state.shared(state)
    checkpoints.save(
        manager,
        step,
        variables=state.evaluated,
        training=state.replace(**{state.evaluated_field: None}),
        data=stream.get_state() | {'losses': history},
        metrics=scores,
    )


def validate(
    prepare: Callable[[Sequence[Any]], Engine],
    state: TrainState,
    pairs: Source,
    config: ml_collections.ConfigDict,
    stop: StopSignal,
) -> Metrics:
    """Scores of a replicated state on the validation split, whose pairs hosts share.

    Args:
        prepare: from `engines.prepare`.
        state: the replicated state.
        pairs: the validation split.
        config: as `configs/default.py`.
        stop: asked before every batch.

    Raises:
        Stopped: a stop was requested.
    """
    engine = stop.watch(prepare([train_state.unreplicate(state.evaluated)]))
    return scoring.score_pairs(engine, pairs, config)


def train_epoch(
    train_step: Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]],
    state: TrainState,
    batches: Iterator[Batch],
    steps: range,
    report: Callable[[int, Metrics], None],
    stop: StopSignal,
) -> tuple[TrainState, list[Metrics]]:
    """Trains for `steps`, or fewer where a stop is requested.

    Args:
        train_step: from `create_train_step`.
        state: replicated over the local devices; consumed.
        batches: this process's part of each batch, split over its devices.
        steps: numbers of the steps to do.
        report: called with the number of steps done and the step's losses.
        stop: asked after every step.

    Returns:
        The new state and the losses of each step.

    Raises:
        NonFiniteLossError: at the first step with a loss that is no number; or at the last one,
            whose loss is of the weights before it, where a weight is none.
    """
    history = []
    pending = None
    for step in steps:
        state, metrics = train_step(state, next(batches))
        # reading the previous step's losses keeps the device busy with this one
        if pending is not None:
            history.append(read_losses(pending, step, report))
        pending = metrics
        if stop.requested():
            break
    if pending is not None:
        history.append(read_losses(pending, steps.start + len(history) + 1, report))
    weights = jax.tree.leaves(train_state.unreplicate(state.variables))
    if not all(np.isfinite(weight).all() for weight in weights):
        step = steps.start + len(history)
        raise NonFiniteLossError(f'step {step}: weights are no numbers; {_DIVERGED}')
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
        raise NonFiniteLossError(f'step {step}: {progress.describe(losses)}; {_DIVERGED}')
    report(step, losses)
    return losses


def mean_losses(history: list[Metrics]) -> Metrics:
    """Means over steps."""
    return {name: float(np.mean([losses[name] for losses in history])) for name in history[0]}
