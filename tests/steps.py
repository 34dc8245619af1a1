"""Takes a training step with some configurations, and prints what came out.

Run by `test_configs.py` in a process that sees two devices: `steps.py PAIRS CONFIG...`. Of the
first configuration the losses are computed by one device, too.
"""

import json
import sys

import jax
import narrow
import numpy as np

from benchmarks import random_weights
from ocelot_jax.data.batches import eval_batches, shard
from ocelot_jax.data.sources import open_source
from ocelot_jax.models import factory
from ocelot_jax.training import state as train_state
from ocelot_jax.training.optimizer import create_optimizer
from ocelot_jax.training.step import create_loss, create_train_step

SETTINGS = {
    'data.batch_size': 2,
    'data.max_cells': 16,
    'optimizer.warmup_epochs': 0.0,
    'model.cell_dropout': 0.0,
    'model.tissue_dropout': 0.0,
    'model.aspp_dropout': 0.0,
}


def read_config(name, source):
    """A configuration on a small encoder, without augmentation and dropout."""
    config = narrow.get_config(name)
    config.update_from_flattened_dict(SETTINGS | {'data.source': source})
    for value in config.augment:
        config.augment[value] = 0.0
    return config


def losses_of_one_device(config):
    """The losses of a step that two devices take, computed by one."""
    model, variables, batch, mpp = prepare(config)
    compute = create_loss(config, model, mpp)
    losses = jax.pmap(
        lambda variables, batch: compute(*variables, batch, jax.random.key(0))[1][0],
        train_state.AXIS,
        in_axes=(None, 0),
        out_axes=None,
    )((variables['params'], variables['batch_stats']), shard(batch, 1))
    return {name: float(value) for name, value in losses.items()}


def take_step(config):
    """The losses on two devices, and how far the step moved each branch's weights."""
    model, variables, batch, mpp = prepare(config)
    tx = create_optimizer(config, 1)
    state = train_state.replicate(train_state.create(variables, tx=tx, averaged=False), 2)
    state, losses = create_train_step(config, model, tx, mpp, 1)(state, shard(batch, 2))
    after = jax.tree.map(lambda x: np.asarray(x[0]), state.variables['params'])
    moved = {
        branch: max(
            float(np.abs(a - b).max())
            for a, b in zip(
                *map(jax.tree.leaves, (variables['params'][branch], after[branch])), strict=True
            )
        )
        for branch in after
    }
    return {'losses': {name: float(value) for name, value in losses.items()}, 'moved': moved}


def prepare(config):
    """Model, random variables, a batch of two pairs, and micrometres per pixel of their cells."""
    pairs = open_source(config.data, 'train')
    [batch] = eval_batches(pairs, batch_size=2, max_cells=16)
    batch = {name: array for name, array in batch.items() if array.dtype.kind in 'biuf'}
    model = factory.create_model(config, train_state.AXIS)
    variables = random_weights.draw(factory.abstract_variables(model))
    return model, variables, batch, float(pairs[0]['cell_mpp'])


def main(source, *names):
    for number, name in enumerate(names):
        config = read_config(name, source)
        outcome = take_step(config)
        if number == 0:
            outcome['alone'] = losses_of_one_device(config)
        print(json.dumps({name: outcome}), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
