"""The training step: augmentation, losses, gradients and the optimizer, on every device."""

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
from ocelot_jax.inference import detection
from ocelot_jax.models import factory
from ocelot_jax.training import losses, optimizer
from ocelot_jax.training.state import AXIS, TrainState

Batch = dict[str, Any]


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
    config: ml_collections.ConfigDict, model: factory.Model, cell_mpp: float
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
            augmentation.model_inputs(batch),
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
    model: factory.Model,
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
        batch = augmentation.augment(augment_key, batch, **config.augment)
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
