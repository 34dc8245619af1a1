"""Takes a training step and a prediction with every configuration, and prints what came out.

Run by `test_configs.py` in processes with different numbers of devices.
"""

import json
import sys

import flax.jax_utils
import jax
import narrow
import numpy as np

from benchmarks import random_weights
from ocelot_jax.data.batches import eval_batches, shard
from ocelot_jax.data.sources import open_source
from ocelot_jax.inference import loop
from ocelot_jax.models import factory
from ocelot_jax.training import state as train_state
from ocelot_jax.training.step import create_optimizer, create_train_step

# what the network does not depend on; configurations that are then equal take one step together
SAME = {
    'data.cell_classes': ('BC', 'TC'),
    'data.tissue_classes': ('BG', 'CA'),
    'data.batch_size': 2,
    'data.max_cells': 16,
    'num_epochs': 2,
    'target.disk_radius_um': 1.0,
    'optimizer.average_decay': 0.0,
    'optimizer.learning_rate': 1e-3,
    'optimizer.warmup_epochs': 0.0,
    'detection.sigma_um': 0.4,
    'detection.min_distance_um': 0.6,
    'detection.threshold': 0.1,
    'detection.max_cells': 8,
    'model.cell_dropout': 0.0,
    'model.tissue_dropout': 0.0,
    'model.aspp_dropout': 0.0,
    'test_time_augmentation': False,
}


def read_config(name, source):
    config = narrow.get_config(name)
    config.update_from_flattened_dict(SAME | {'data.source': source})
    for value in config.augment:
        config.augment[value] = 0.0
    return config


def take_step(config):
    pairs = open_source(config.data, 'train')
    mpp = float(pairs[0]['cell_mpp'])
    model = factory.create_model(config, train_state.AXIS)
    tx = create_optimizer(config, 1)
    state = train_state.create(
        random_weights.draw(factory.abstract_variables(model)), tx=tx, averaged=False
    )
    before = jax.device_get(state.variables['params'])
    [batch] = eval_batches(pairs, batch_size=2, max_cells=16)
    step = create_train_step(config, model, tx, mpp)
    sharded = shard(batch, jax.local_device_count())
    state, losses = step(flax.jax_utils.replicate(state), sharded)
    after = jax.device_get(flax.jax_utils.unreplicate(state).variables['params'])
    moved = {
        branch: max(
            float(np.abs(a - b).max())
            for a, b in zip(*map(jax.tree.leaves, (before[branch], after[branch])), strict=True)
        )
        for branch in before
    }
    predict = loop.create_predictor(config, mpp)
    cells, tissue = predict(state.variables, batch)
    return {
        'losses': {key: float(value[0]) for key, value in losses.items()},
        'moved': moved,
        'cells': list(cells.points.shape),
        'tissue': None if tissue is None else list(tissue.shape),
    }


def main(source, *names):
    known = {}
    for name in names:
        config = read_config(name, source)
        key = config.to_json()
        if key not in known:
            known[key] = take_step(config)
        print(json.dumps({name: known[key]}), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
