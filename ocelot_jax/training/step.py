"""The loss and the training step: augmentation, loss, gradients, optimizer, on every device."""

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from ocelot_jax.data import augmentation, targets
from ocelot_jax.inference import detection, devices
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory
from ocelot_jax.training import losses, tying
from ocelot_jax.training.state import AXIS, TrainState

Batch = dict[str, Any]
# of a batch the loss, then its named parts and the new batch statistics
Losses = tuple[jax.Array, tuple[dict[str, jax.Array], Any]]


def create_loss(
    config: ml_collections.ConfigDict, model: factory.Model, finest_mpp: float
) -> Callable[..., Losses]:
    """Makes the loss of the cells plus, of a model with a tissue branch, of the tissue.

    Args:
        config: as `configs/default.py`.
        model: made with `axis_name=AXIS`.
        finest_mpp: the least micrometres per pixel of a cell patch; each patch has its own.

    Returns:
        `compute(params, batch_stats, batch, dropout_key)` to the loss, its named parts and the
        new batch statistics.

    Raises:
        InputError: there is no loss, or no profile of cells, of that name.
    """
    branch_loss = losses.create(config.loss, AXIS)
    radius_um, profile = config.target.disk_radius_um, config.target.profile
    if profile not in targets.REACHES:
        wanted = ', '.join(targets.REACHES)
        raise InputError(f'config.target.profile: {profile!r}; want one of {wanted}')
    bound = max_radius(radius_um, finest_mpp)

    def compute(
        params: dict[str, Any],
        batch_stats: dict[str, Any],
        batch: Batch,
        dropout_key: jax.Array,
    ) -> Losses:
        cell_truth = targets.cell_probabilities(
            batch['cell_points'],
            batch['cell_labels'],
            radius_um / batch['cell_mpp'],
            batch['cell_image'].shape[1:3],
            num_classes=1 + len(config.data.cell_classes),
            max_radius=bound,
            profile=profile,
        )
        if 'cell_known' in batch:
            cell_truth *= batch['cell_known'][..., None]
        outputs, updates = model.apply(
            {'params': params, 'batch_stats': batch_stats},
            augmentation.model_inputs(batch),
            train=True,
            mutable=['batch_stats'],
            rngs={'dropout': dropout_key},
        )
        loss = branch_loss(outputs['cell_logits'], cell_truth)
        parts = {'cell_loss': loss}
        if outputs['tissue_logits'] is not None:
            tissue_truth = targets.one_hot(batch['tissue_mask'], len(config.data.tissue_classes))
            parts['tissue_loss'] = branch_loss(outputs['tissue_logits'], tissue_truth)
            loss += config.tissue_loss_weight * parts['tissue_loss']
        return loss, ({'loss': loss, **parts}, updates['batch_stats'])

    return compute


def max_radius(radius_um: float, finest_mpp: float) -> int:
    """Gives the whole pixels that the widest disk of a data set reaches from its center."""
    return math.ceil(detection.to_pixels(radius_um, finest_mpp))


def create_train_step(
    config: ml_collections.ConfigDict,
    model: factory.Model,
    tx: optax.GradientTransformation,
    finest_mpp: float,
    epoch_steps: int,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Makes the training step of all devices; it consumes the state that it is given.

    Args:
        config: as `configs/default.py`.
        model: made with `axis_name=AXIS`.
        tx: the optimizer.
        finest_mpp: see `create_loss`.
        epoch_steps: steps of an epoch.

    Returns:
        `step(state, batch)` to the next state and the named losses. State and batch have a
        leading device axis; the losses are scalars, of the whole batch.

    Raises:
        InputError: there is no loss of that name.
    """
    step = create_device_step(config, model, tx, finest_mpp, epoch_steps)
    # the one place that knows how devices are mapped over; the tests hold `shard_map` against it
    mapped = jax.pmap(step, AXIS, in_axes=(None, 0, 0), out_axes=(0, None), donate_argnums=1)
    # an argument, not a constant, so that runs with other seeds share the compiled program
    return functools.partial(mapped, np.asarray(config.seed))


def memory_as_error(config: ml_collections.ConfigDict) -> contextlib.AbstractContextManager[None]:
    """Within the context a step that does not fit into a device's memory is one line.

    Raises:
        OutOfMemoryError: with what would make it smaller.
    """
    ways = [f'a config.data.batch_size below {config.data.batch_size}']
    if not config.model.remat:
        ways.append('--config.model.remat=True')
    if config.model.dtype != 'bfloat16' and jax.default_backend() != 'cpu':  # CPUs refuse it
        ways.append('--config.model.dtype=bfloat16')
    return devices.exhaustion_as_error(f'want {", ".join(ways)} or more devices')


def create_device_step(
    config: ml_collections.ConfigDict,
    model: factory.Model,
    tx: optax.GradientTransformation,
    finest_mpp: float,
    epoch_steps: int,
) -> Callable[[jax.Array, TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Makes what one device does in a training step, within the mapped axis `AXIS`.

    Arguments and errors are those of `create_train_step`.

    Returns:
        `step(seed, state, batch)` to the next state and the named losses, all without a device
        axis. Seed and state are the same on every device, and so are the results; the batch is
        the device's own part.
    """
    compute_gradients = jax.grad(create_loss(config, model, finest_mpp), has_aux=True)
    augment = functools.partial(
        augmentation.augment, settings=augmentation.Settings(**config.augment)
    )

    told = told_probability(config, epoch_steps)

    def device_step(
        seed: jax.Array, state: TrainState, batch: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        augment_key, dropout_key = jax.random.split(key)
        # augmentation depends on the example alone, dropout on the device
        batch = augment(augment_key, batch)
        dropout_key = jax.random.fold_in(dropout_key, jax.lax.axis_index(AXIS))
        if told is not None:
            told_key = jax.random.fold_in(dropout_key, 1)
            is_told = jax.random.bernoulli(told_key, told(state.step), batch['index'].shape)
            batch['is_told'] = is_told
        params, batch_stats = state.variables['params'], state.variables['batch_stats']
        grads, (metrics, batch_stats) = compute_gradients(params, batch_stats, batch, dropout_key)
        if jax.lax.axis_size(AXIS) > 1:  # XLA would copy a single device's
            grads = jax.lax.pmean(grads, AXIS)
        if config.model.tied_encoders:
            grads = tying.mean_gradients(grads)
        updates, opt_state = tx.update(grads, state.opt_state, params)
        variables = {'params': optax.apply_updates(params, updates), 'batch_stats': batch_stats}
        average = state.average
        if average is not None:
            # a short memory at first, so that the average forgets the initial weights
            decay = jnp.minimum(config.optimizer.average_decay, state.step / (state.step + 10))
            average = optax.incremental_update(variables, average, 1 - decay)
        return TrainState(state.step + 1, variables, opt_state, average), metrics

    return device_step


def told_probability(config: ml_collections.ConfigDict, epoch_steps: int) -> optax.Schedule | None:
    """How likely the cell branch is told the true tissue instead of the predicted one, by step.

    Scheduled sampling (Bengio et al., NeurIPS 2015), between Tissue-label leaking and the models
    that predict: the tissue branch's first predictions are worth nothing, and the cell branch
    would learn not to listen. None where it never is, or where it knows no prediction.
    """
    values = config.told_tissue
    if not values.probability or config.model.context != 'prediction':
        return None
    steps = max(1, round(values.until * config.num_epochs * epoch_steps))
    return optax.linear_schedule(values.probability, 0.0, steps)
