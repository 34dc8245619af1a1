"""Takes training steps with a network of a few numbers, and saves what came out.

Run by `test_step.py` in a process that sees several devices: `stub_steps.py FILE`.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from ocelot_jax.configs import default

from ocelot_jax.data.batches import shard
from ocelot_jax.training import state as train_state
from ocelot_jax.training.optimizer import create_optimizer
from ocelot_jax.training.step import create_train_step

DEVICES = (1, 4)
STEPS = 3
PAIRS, CELLS = 4, 5
CELL_SIZE, TISSUE_SIZE = 12, 10
FINEST_MPP = 0.22
KEPT = 0.75  # of the channels that dropout sees
MOMENTUM = 0.9  # of the batch statistics
EPOCH_STEPS = 4
SETTINGS = {
    'seed': 7,
    'num_epochs': 2,
    'tissue_loss_weight': 0.7,
    'target.disk_radius_um': 0.5,
    'optimizer.learning_rate': 0.05,
    'optimizer.cell_lr_multiplier': 0.5,
    'optimizer.warmup_epochs': 0.5,
    'optimizer.average_decay': 0.15,
    'augment.flip_probability': 0.3,
    'augment.rotate_probability': 0.6,
    'augment.blur_probability': 0.0,
    'augment.noise_probability': 0.7,
    'augment.noise_std': 0.1,
    'augment.color_probability': 0.6,
    'augment.brightness': 0.2,
    'augment.contrast': 0.0,
    'augment.saturation': 0.0,
    'augment.hue': 0.0,
}


def draw_batch(step):
    rng = np.random.default_rng(step)
    labels = rng.integers(0, 3, (PAIRS, CELLS), dtype=np.int32)
    labels[:, 0] = 1, 2, 1, 2
    points = rng.integers(0, 4 * CELL_SIZE - 4, (PAIRS, CELLS, 2)) / 4 * (labels > 0)[..., None]
    return {
        'cell_image': rng.integers(60, 200, (PAIRS, CELL_SIZE, CELL_SIZE, 3), np.uint8),
        'tissue_image': rng.integers(60, 200, (PAIRS, TISSUE_SIZE, TISSUE_SIZE, 3), np.uint8),
        'tissue_mask': rng.choice(np.uint8([0, 1, 255]), (PAIRS, TISSUE_SIZE, TISSUE_SIZE)),
        'center': np.full((PAIRS, 2), 0.5, np.float32),
        'cell_points': points.astype(np.float32),
        'cell_labels': labels,
        'cell_mpp': np.float32([0.25, 0.3, 0.22, 0.5]),
        'tissue_mpp': np.ones(PAIRS, np.float32),
        'index': rng.permutation(20)[:PAIRS].astype(np.int32),
    }


def draw_variables():
    rng = np.random.default_rng(100)
    draw = lambda *shape: rng.normal(0, 0.5, shape).astype(np.float32)
    return {
        'params': {
            'cell': {'kernel': draw(3, 3)},
            'cell_head': {'bias': draw(3)},
            'tissue': {'kernel': draw(3, 2), 'bias': draw(2)},
        },
        'batch_stats': {'cell': {'mean': draw(3)}},
    }


class Stub:
    """Maps each pixel by itself; knows the mean color of the cell patches, and drops colors."""

    def apply(self, variables, inputs, *, train, mutable, rngs):
        assert train
        assert mutable == ['batch_stats']
        params, image = variables['params'], inputs['cell_image']
        mean = jax.lax.pmean(image.mean((0, 1, 2)), train_state.AXIS)
        kept = jax.random.bernoulli(rngs['dropout'], KEPT, (len(image), 1, 1, 3))
        colors = jnp.where(kept, (image - mean) / KEPT, 0)
        tissue = params['tissue']
        outputs = {
            'cell_logits': colors @ params['cell']['kernel'] + params['cell_head']['bias'],
            'tissue_logits': inputs['tissue_image'] @ tissue['kernel'] + tissue['bias'],
        }
        old = variables['batch_stats']['cell']['mean']
        statistics = {'cell': {'mean': MOMENTUM * old + (1 - MOMENTUM) * mean}}
        return outputs, {'batch_stats': statistics}


def take_steps(devices):
    """The state and the losses after each step, as arrays by their paths."""
    config = default.get_config()
    config.update_from_flattened_dict(SETTINGS)
    tx = create_optimizer(config, EPOCH_STEPS)
    step = create_train_step(config, Stub(), tx, FINEST_MPP, EPOCH_STEPS)
    state = train_state.create(draw_variables(), tx=tx, averaged=True)
    state = train_state.replicate(state, devices)
    found = {}
    for number in range(STEPS):
        state, losses = step(state, shard(draw_batch(number), devices))
        leaves, _ = jax.tree.flatten_with_path({'state': state, 'losses': losses})
        for path, leaf in leaves:
            found[f'{devices}/{number}/{jax.tree_util.keystr(path)}'] = np.asarray(leaf)
    return found


def main(path):
    found = {}
    for devices in DEVICES:
        found |= take_steps(devices)
    np.savez(path, **found)


if __name__ == '__main__':
    main(sys.argv[1])
