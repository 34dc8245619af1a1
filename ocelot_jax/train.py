"""Training: the state, the step on every device, the loop over epochs."""

import contextlib
import functools
import math
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax.jax_utils
import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jax.experimental import multihost_utils

from ocelot_jax import (
    augment,
    checkpoint,
    detection,
    inference,
    input_pipeline,
    losses,
    network,
    optimizer,
    progress,
    runs,
    targets,
)
from ocelot_jax.models import pretrained

AXIS = 'batch'
"""The mapped axis: gradients, batch statistics and losses are taken over all its devices."""

Batch = dict[str, Any]
Metrics = dict[str, float]


@flax.struct.dataclass
class TrainState:
    """Everything that a step changes.

    Attributes:
        step: number of steps done.
        variables: the model's parameters and batch statistics.
        opt_state: the optimizer's.
        average: running average of `variables`; None where the configuration wants none.
    """

    step: jax.Array
    variables: dict[str, Any]
    opt_state: optax.OptState
    average: dict[str, Any] | None

    @property
    def evaluated(self) -> dict[str, Any]:
        """The variables that are evaluated and kept."""
        return self.variables if self.average is None else self.average


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite."""


def train_and_evaluate(config: ml_collections.ConfigDict, workdir: Path) -> Metrics:
    """Trains a run to its last epoch, from its latest checkpoint or from the start.

    SIGTERM saves a checkpoint and ends the process with status 0; the same call goes on there.

    Args:
        config: as `configs/default.py`.
        workdir: the run's directory; checkpoints and metrics are kept there.

    Returns:
        The validation scores of the best epoch.

    Raises:
        NonFiniteLossError: the loss is no number; the last good checkpoint is kept.
        ValueError: the data does not fit the configuration, or `workdir` holds another run.
    """
    source = input_pipeline.open_source(config.data, 'train')
    validation = input_pipeline.open_source(config.data, 'validation')
    batches = input_pipeline.train_batches(
        source,
        batch_size=config.data.batch_size,
        seed=config.seed,
        max_cells=config.data.max_cells,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    example = source[0]
    cell_mpp = float(example['cell_mpp'])
    epoch_steps = input_pipeline.steps_per_epoch(source, config.data.batch_size)
    total_steps = config.num_epochs * epoch_steps

    model = network.create_model(config, AXIS)
    tx = create_optimizer(config, epoch_steps)
    train_step = create_train_step(config, model, tx, cell_mpp)
    predict = inference.create_predictor(config, cell_mpp)
    variables = network.init_variables(model, config.seed, example)
    if config.model.pretrained:
        branches = config.model.pretrained_branches
        variables = pretrained.initialise(variables, Path(config.model.pretrained), branches)
    averaged = config.optimizer.average_decay > 0
    # jitted, or each of the thousand arrays would be a small program
    state = jax.jit(functools.partial(create_state, tx=tx, averaged=averaged))(variables)

    with contextlib.ExitStack() as stack:
        manager = stack.enter_context(checkpoint.open_manager(workdir))
        if manager.latest_step() is not None:
            runs.check_config(workdir, config)
            state = restore(manager, manager.latest_step(), state, batches)
        elif jax.process_index() == 0:
            runs.write_config(workdir, config)
            runs.write_patches(workdir, example)
        step = int(state.step)
        state = replicate(state)
        reporter = stack.enter_context(
            progress.Reporter(
                workdir,
                step=step,
                total_steps=total_steps,
                batch_size=config.data.batch_size,
                quiet=jax.process_index() > 0,
            )
        )
        interrupted = stack.enter_context(sigterm_flag())

        while step < total_steps:
            epoch = step // epoch_steps + 1
            steps = range(step, epoch * epoch_steps)
            state, history = train_epoch(
                train_step, state, batches, steps, reporter.step, interrupted
            )
            step += len(history)
            if len(history) < len(steps):
                save(manager, step, state, batches)
                manager.wait_until_finished()
                raise SystemExit(0)
            predictions = inference.predictions(predict, state.evaluated, validation, config)
            evaluation = inference.evaluate(predictions, len(validation), config)
            scores = inference.scores(evaluation, config)
            means = {name: np.mean([m[name] for m in history]) for name in history[0]}
            # told before it is saved: a run killed between the two tells it once more
            reporter.epoch(epoch, step, means | scores)
            save(manager, step, state, batches, scores)
        manager.wait_until_finished()
        return manager.metrics(checkpoint.best_step(manager))


def create_optimizer(
    config: ml_collections.ConfigDict, epoch_steps: int
) -> optax.GradientTransformation:
    """Makes the optimizer of a configuration, `epoch_steps` steps to the epoch."""
    schedule = optimizer.learning_rate(
        config.optimizer.learning_rate,
        config.num_epochs * epoch_steps,
        round(config.optimizer.warmup_epochs * epoch_steps),
    )
    return optimizer.create(schedule, config.optimizer.cell_lr_multiplier)


def create_state(
    variables: dict[str, Any], tx: optax.GradientTransformation, averaged: bool
) -> TrainState:
    """The state before the first step, with a running average of the variables or without."""
    step = jnp.zeros((), jnp.int32)
    # donated step by step, so the average is a copy of its own
    average = jax.tree.map(jnp.copy, variables) if averaged else None
    return TrainState(step, variables, tx.init(variables['params']), average)


def replicate(state: TrainState) -> TrainState:
    """Copies a state to every local device, with a leading device axis.

    As an output of a mapped function, or the step would be compiled again for its own.
    """
    devices = jnp.arange(jax.local_device_count())
    return jax.pmap(lambda device, state: state, AXIS, in_axes=(0, None))(devices, state)


def create_train_step(
    config: ml_collections.ConfigDict,
    model: network.Model,
    tx: optax.GradientTransformation,
    cell_mpp: float,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Makes the training step, mapped over devices; it consumes the state that it is given.

    Args:
        config: as `configs/default.py`.
        model: made with `axis_name=AXIS`.
        tx: the optimizer.
        cell_mpp: micrometres per pixel of the cell patches, typically; each has its own.

    Returns:
        `step(state, batch)` to the next state and the losses; all with a leading device axis.
    """
    radius_um = config.target.disk_radius_um
    max_radius = math.ceil(1.25 * detection.to_pixels(radius_um, cell_mpp))

    def compute_losses(params, batch_stats, batch, key):
        outputs, updates = model.apply(
            {'params': params, 'batch_stats': batch_stats},
            network.model_inputs(batch),
            train=True,
            mutable=['batch_stats'],
            rngs={'dropout': key},
        )
        cell_target = targets.cell_target(
            batch['cell_points'],
            batch['cell_labels'],
            radius_um / batch['cell_mpp'],
            batch['cell_image'].shape[1:3],
            max_radius=max_radius,
        )
        parts = {
            'cell_loss': losses.dice_loss(outputs['cell_logits'], cell_target, axis_name=AXIS)
        }
        loss = parts['cell_loss']
        if outputs['tissue_logits'] is not None:
            parts['tissue_loss'] = losses.dice_loss(
                outputs['tissue_logits'], batch['tissue_mask'], axis_name=AXIS
            )
            loss += config.tissue_loss_weight * parts['tissue_loss']
        return loss, ({'loss': loss, **parts}, updates['batch_stats'])

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        augment_key, dropout_key = jax.random.split(key)
        # augmentation depends on the example alone, dropout on the device
        batch = augment.augment(augment_key, batch, **config.augment)
        dropout_key = jax.random.fold_in(dropout_key, jax.lax.axis_index(AXIS))
        params, batch_stats = state.variables['params'], state.variables['batch_stats']
        grads, (metrics, batch_stats) = jax.grad(compute_losses, has_aux=True)(
            params, batch_stats, batch, dropout_key
        )
        grads = jax.lax.pmean(grads, AXIS)
        updates, opt_state = tx.update(grads, state.opt_state, params)
        variables = {'params': optax.apply_updates(params, updates), 'batch_stats': batch_stats}
        average = state.average
        if average is not None:
            # early on a short memory, lest the average remember the initialisation
            decay = jnp.minimum(config.optimizer.average_decay, state.step / (state.step + 10))
            average = optax.incremental_update(variables, average, 1 - decay)
        return TrainState(state.step + 1, variables, opt_state, average), metrics

    return jax.pmap(step, AXIS, donate_argnums=0)


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
        batches: this process's part of each batch.
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
        batch = input_pipeline.shard(next(batches), jax.local_device_count())
        state, metrics = train_step(state, batch)
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
    """Brings a step's losses to the host, reports them, and stops the run if they are none."""
    values = {name: float(value[0]) for name, value in metrics.items()}
    if not all(map(math.isfinite, values.values())):
        raise NonFiniteLossError(
            f'step {step}: {progress.describe(values)}; the last good checkpoint is kept, '
            'a lower config.optimizer.learning_rate may help'
        )
    report(step, values)
    return values


def save(
    manager: Any,
    step: int,
    state: TrainState,
    batches: Any,
    scores: Metrics | None = None,
) -> None:
    """Saves one copy of the replicated state, and where the batches are."""
    state = flax.jax_utils.unreplicate(state)
    checkpoint.save(
        manager,
        step,
        variables=state.evaluated,
        training=state.replace(**{_evaluated_field(state): None}),
        data=batches.get_state(),
        metrics=scores,
    )


def restore(manager: Any, step: int, state: TrainState, batches: Any) -> TrainState:
    """Restores what `save` saved into a state like `state`, and sets `batches` to go on there."""
    evaluated = checkpoint.restore(manager, step, 'variables', state.evaluated)
    field = _evaluated_field(state)
    training = checkpoint.restore(manager, step, 'training', state.replace(**{field: None}))
    batches.set_state(checkpoint.restore_data(manager, step))
    return training.replace(**{field: evaluated})


def _evaluated_field(state: TrainState) -> str:
    """Which field `TrainState.evaluated` is, and so is saved apart from the others."""
    return 'variables' if state.average is None else 'average'


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
