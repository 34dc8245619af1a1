"""Training: the step on every device, the loop over epochs."""

import contextlib
import functools
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
    seeds,
    targets,
    train_state,
)
from ocelot_jax.models import pretrained
from ocelot_jax.train_state import AXIS, TrainState

Batch = dict[str, Any]
Metrics = dict[str, float]


class NonFiniteLossError(RuntimeError):
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
        ValueError: the data does not fit the configuration, or `workdir` holds another run.
    """
    source = input_pipeline.open_source(config.data, 'train')
    validation = input_pipeline.open_source(config.data, 'validation')
    example = source[0]
    cell_mpp = float(example['cell_mpp'])
    epoch_steps = input_pipeline.steps_per_epoch(source, config.data.batch_size)
    total_steps = config.num_epochs * epoch_steps

    model = network.create_model(config, AXIS)
    tx = create_optimizer(config, epoch_steps)
    train_step = create_train_step(config, model, tx, cell_mpp)
    predict = inference.create_predictor(config, cell_mpp)

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
        batches = input_pipeline.device_batches(streams, jax.local_device_count())

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
                validate(predict, single, validation, config)
                for single in train_state.split(state, len(group))
            ]
            # told before it is saved: a run killed between the two tells it once more
            losses = mean_losses(history)
            reporter.epoch(epoch, step, [a | b for a, b in zip(losses, scores, strict=True)])
            seeds.save(group, step, state, scores)
        return workdirs


def start(
    group: Sequence[seeds.Run],
    model: network.Model,
    tx: optax.GradientTransformation,
    example: input_pipeline.Record,
) -> tuple[int, TrainState]:
    """The step where runs begin or go on, and their joint, replicated state there."""
    step = checkpoint.common_step([run.manager for run in group])
    averaged = group[0].config.optimizer.average_decay > 0
    create = functools.partial(train_state.create, tx=tx, averaged=averaged)
    if step == 0:
        states = [create(first_variables(run.config, model, example)) for run in group]
    else:
        empty = create(network.empty_variables(model))
        states = [run.restore(step, empty) for run in group]
    return step, train_state.replicate(train_state.join(states))


def first_variables(
    config: ml_collections.ConfigDict, model: network.Model, example: input_pipeline.Record
) -> dict[str, Any]:
    """The variables of a run before its first step, drawn or pretrained."""
    variables = network.init_variables(model, config.seed, example)
    if config.model.pretrained:
        branches = config.model.pretrained_branches
        variables = pretrained.initialise(variables, Path(config.model.pretrained), branches)
    return variables


def validate(
    predict: inference.Predictor,
    state: TrainState,
    pairs: input_pipeline.Source,
    config: ml_collections.ConfigDict,
) -> Metrics:
    """Scores of a replicated state on the validation split."""
    predictions = inference.predictions(predict, state.evaluated, pairs, config)
    return inference.scores(inference.evaluate(predictions, len(pairs), config), config)


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


def create_loss(
    config: ml_collections.ConfigDict, model: network.Model, cell_mpp: float
) -> Callable[..., tuple[jax.Array, tuple[dict[str, jax.Array], Any]]]:
    """Makes the loss: Dice of the cells and, where a model maps it, of the tissue (Appendix B).

    Args:
        config: as `configs/default.py`.
        model: made with `axis_name=AXIS`.
        cell_mpp: micrometres per pixel of the cell patches, typically; each has its own.

    Returns:
        `compute(params, batch_stats, batch, dropout_key)` to the loss, its named parts and the
        new batch statistics.
    """
    radius_um = config.target.disk_radius_um
    max_radius = math.ceil(1.25 * detection.to_pixels(radius_um, cell_mpp))

    def compute(params, batch_stats, batch, dropout_key):
        outputs, updates = model.apply(
            {'params': params, 'batch_stats': batch_stats},
            network.model_inputs(batch),
            train=True,
            mutable=['batch_stats'],
            rngs={'dropout': dropout_key},
        )
        cell_target = targets.cell_target(
            batch['cell_points'],
            batch['cell_labels'],
            radius_um / batch['cell_mpp'],
            batch['cell_image'].shape[1:3],
            max_radius=max_radius,
        )
        loss = losses.dice_loss(outputs['cell_logits'], cell_target, axis_name=AXIS)
        parts = {'cell_loss': loss}
        if outputs['tissue_logits'] is not None:
            parts['tissue_loss'] = losses.dice_loss(
                outputs['tissue_logits'], batch['tissue_mask'], axis_name=AXIS
            )
            loss += config.tissue_loss_weight * parts['tissue_loss']
        return loss, ({'loss': loss, **parts}, updates['batch_stats'])

    return compute


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
        cell_mpp: as of `create_loss`.

    Returns:
        `step(state, batch)` to the next state and the losses; all with a leading device axis,
        and behind it one of seeds where `config.seeds` is more than 1.
    """
    compute_gradients = jax.grad(create_loss(config, model, cell_mpp), has_aux=True)

    def step(
        seed: jax.Array, state: TrainState, batch: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        augment_key, dropout_key = jax.random.split(key)
        # augmentation depends on the example alone, dropout on the device
        batch = augment.augment(augment_key, batch, **config.augment)
        dropout_key = jax.random.fold_in(dropout_key, jax.lax.axis_index(AXIS))
        params, batch_stats = state.variables['params'], state.variables['batch_stats']
        grads, (metrics, batch_stats) = compute_gradients(params, batch_stats, batch, dropout_key)
        grads = jax.lax.pmean(grads, AXIS)
        updates, opt_state = tx.update(grads, state.opt_state, params)
        variables = {'params': optax.apply_updates(params, updates), 'batch_stats': batch_stats}
        average = state.average
        if average is not None:
            # early on a short memory, lest the average remember the initialisation
            decay = jnp.minimum(config.optimizer.average_decay, state.step / (state.step + 10))
            average = optax.incremental_update(variables, average, 1 - decay)
        return TrainState(state.step + 1, variables, opt_state, average), metrics

    # arguments, not constants, so that all seeds' runs share the compiled program
    all_seeds = config.seed + np.arange(config.seeds)
    if config.seeds == 1:
        [all_seeds] = all_seeds
    else:
        step = jax.vmap(step)
    mapped = jax.pmap(step, AXIS, in_axes=(None, 0, 0), donate_argnums=1)
    return functools.partial(mapped, all_seeds)


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
