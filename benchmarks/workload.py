"""What the benchmarks run: Pred-to-inter-2 on random pairs, on one device."""

from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks import random_weights
from ocelot_jax.data import batches
from ocelot_jax.models import factory
from ocelot_jax.runs import config_files
from ocelot_jax.training import state as train_state
from ocelot_jax.training.optimizer import create_optimizer
from ocelot_jax.training.step import create_train_step

CELL_MPP = 0.2
CONFIG = 'configs/pred_inter2.py'


def create_config(
    size: int, batch_size: int, augmented: bool = False, name: str = CONFIG
) -> ml_collections.ConfigDict:
    """The configuration of a name; augmentation only where asked for, as the peer has none."""
    config = config_files.read_config(name)
    config.data.batch_size = batch_size
    config.data.max_cells = 256 * size // 1024 * size // 1024 + 16
    if not augmented:
        for name in config.augment:
            if name.endswith('probability'):
                config.augment[name] = 0.0
    return config


def random_batch(config: ml_collections.ConfigDict, size: int) -> dict[str, np.ndarray]:
    """A batch as the input pipeline gives it."""
    rng = np.random.default_rng(0)
    pairs, cells = config.data.batch_size, config.data.max_cells
    image = lambda: rng.integers(0, 256, (pairs, size, size, 3), np.uint8)
    return {
        'cell_image': image(),
        'tissue_image': image(),
        'tissue_mask': rng.integers(0, 2, (pairs, size, size), np.uint8),
        'center': np.tile(np.float32([0.375, 0.625]), (pairs, 1)),
        'cell_mpp': np.full(pairs, CELL_MPP, np.float32),
        'tissue_mpp': np.full(pairs, 4 * CELL_MPP, np.float32),
        'cell_points': rng.uniform(0, size, (pairs, cells, 2)).astype(np.float32),
        'cell_labels': rng.integers(1, 3, (pairs, cells)).astype(np.int32),
        'cell_count': np.full(pairs, cells, np.int32),
        'index': np.arange(pairs, dtype=np.int32),
        'valid': np.ones(pairs, bool),
    }


def random_variables(model: factory.Model) -> dict[str, Any]:
    """Random variables of a model."""
    return random_weights.draw(factory.abstract_variables(model))


def on_device(batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """A batch for the step of `create_training`, where it wants it: no transfer is timed."""
    mesh = Mesh(np.array(jax.local_devices()[:1]), (train_state.AXIS,))
    split = NamedSharding(mesh, PartitionSpec(train_state.AXIS))
    return jax.device_put(batches.shard(batch, 1), split)


def create_training(config: ml_collections.ConfigDict) -> tuple[Callable[..., Any], Any]:
    """The training step, mapped over one device, and the state before the first one."""
    model = factory.create_model(config, train_state.AXIS)
    tx = create_optimizer(config, 100)
    step = create_train_step(config, model, tx, CELL_MPP, 100)
    state = train_state.create(random_variables(model), tx=tx, averaged=False)
    return step, train_state.replicate(state, 1)
