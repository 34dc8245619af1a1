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
from ocelot_jax.training.losses import LOSSES
from ocelot_jax.training.state import AXIS, TrainState

Batch = dict[str, Any]


def create_loss(
    config: ml_collections.ConfigDict, model: factory.Model, finest_mpp: float
) -> Callable[..., tuple[jax.Array, tuple[dict[str, jax.Array], Any]]]:
    """Makes the loss of the cells plus, of a model with a tissue branch, of the tissue.

    Args:
        config: as `configs/default.py`.
        model: made with `axis_name=AXIS`.
        finest_mpp: the least micrometres per pixel of a cell patch; each patch has its own.

    Returns:
        `compute(params, batch_stats, batch, dropout_key)` to the loss, its named parts and the
        new batch statistics.

    Raises:
        InputError: there is no loss of that name.
    """
    if config.loss not in LOSSES:
        raise InputError(f'config.loss: {config.loss!r}; want one of {", ".join(LOSSES)}')
    branch_loss = functools.partial(LOSSES[config.loss], axis_name=AXIS)
    radius_um = config.target.disk_radius_um
    bound = max_radius(radius_um, finest_mpp)

    def compute(params, batch_stats, batch, dropout_key):
        cell_target = targets.cell_target(
            batch['cell_points'],
            batch['cell_labels'],
            radius_um / batch['cell_mpp'],
            batch['cell_image'].shape[1:3],
            max_radius=bound,
        )
        outputs, updates = model.apply(
            {'params': params, 'batch_stats': batch_stats},
            augmentation.model_inputs(batch),
            train=True,
            mutable=['batch_stats'],
            rngs={'dropout': dropout_key},
        )
        loss = branch_loss(outputs['cell_logits'], cell_target)
        parts = {'cell_loss': loss}
        if outputs['tissue_logits'] is not None:
            parts['tissue_loss'] = branch_loss(outputs['tissue_logits'], batch['tissue_mask'])
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
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Makes the training step of all devices; it consumes the state that it is given.

    Args:
        config: as `configs/default.py`.
        model: made with `axis_name=AXIS`.
        tx: the optimizer.
        finest_mpp: see `create_loss`.

    Returns:
        `step(state, batch)` to the next state and the named losses. State and batch have a
        leading device axis; the losses are scalars, of the whole batch.

    Raises:
        InputError: there is no loss of that name.
    """
    step = create_device_step(config, model, tx, finest_mpp)
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
    if config.model.dtype != 'bfloat16':
        ways.append('--config.model.dtype=bfloat16')
    return devices.exhaustion_as_error(f'want {", ".join(ways)} or more devices')


def create_device_step(
    config: ml_collections.ConfigDict,
    model: factory.Model,
    tx: optax.GradientTransformation,
    finest_mpp: float,
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

    def device_step(
        seed: jax.Array, state: TrainState, batch: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        augment_key, dropout_key = jax.random.split(key)
        # augmentation depends on the example alone, dropout on the device
        batch = augment(augment_key, batch)
        dropout_key = jax.random.fold_in(dropout_key, jax.lax.axis_index(AXIS))
        params, batch_stats = state.variables['params'], state.variables['batch_stats']
        grads, (metrics, batch_stats) = compute_gradients(params, batch_stats, batch, dropout_key)
        grads = jax.lax.pmean(grads, AXIS)
        updates, opt_state = tx.update(grads, state.opt_state, params)
        variables = {'params': optax.apply_updates(params, updates), 'batch_stats': batch_stats}
        average = state.average
        if average is not None:
            # a short memory at first, so that the average forgets the initial weights
            decay = jnp.minimum(config.optimizer.average_decay, state.step / (state.step + 10))
            average = optax.incremental_update(variables, average, 1 - decay)
        return TrainState(state.step + 1, variables, opt_state, average), metrics

    return device_step
