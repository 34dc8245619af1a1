"""Memory of a training step, with and without rematerialisation: `python -m benchmarks.memory`.

Prints one JSON line for each: what XLA plans for a step's arguments and temporaries, and seconds
per step (the median of three after the first).
"""

import argparse
import json
import statistics
import time

import flax.jax_utils
import jax
import numpy as np

from configs import pred_inter2
from ocelot_jax import network, train


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--size', type=int, default=1024, help='side of both patches, pixels')
    parser.add_argument('--batch', type=int, default=1, help='pairs')
    parser.add_argument('--runs', type=int, default=3, help='steps that are timed; 0 for none')
    options = parser.parse_args()
    for remat in (False, True):
        print(json.dumps(measure(remat, options.size, options.batch, options.runs)), flush=True)


def measure(remat: bool, size: int, batch_size: int, runs: int) -> dict[str, float]:
    """Compiles Pred-to-inter-2's step on one device, and takes a few."""
    config = pred_inter2.get_config()
    config.model.remat = remat
    model = network.create_model(config, train.AXIS)
    tx = train.create_optimizer(config, 10)
    variables = jax.tree.map(
        lambda leaf: np.ones(leaf.shape, leaf.dtype), network.abstract_variables(model)
    )
    state = flax.jax_utils.replicate(train.create_state(variables, tx), jax.devices()[:1])
    batch = random_batch(size, batch_size)
    step = train.create_train_step(config, model, tx, cell_mpp=0.2)
    memory = step.lower(state, batch).compile().memory_analysis()
    seconds = []
    for _ in range(runs + 1 if runs else 0):
        start = time.perf_counter()
        state, losses = step(state, batch)
        jax.block_until_ready(losses)
        seconds.append(time.perf_counter() - start)
    return {
        'remat': remat,
        'size': size,
        'batch': batch_size,
        'temporary_gb': round(memory.temp_size_in_bytes / 1e9, 2),
        'arguments_gb': round(memory.argument_size_in_bytes / 1e9, 2),
        'train_step_s': round(statistics.median(seconds[1:]), 2) if runs else None,
    }


def random_batch(size: int, batch_size: int) -> dict[str, np.ndarray]:
    """A batch as the input pipeline gives it, for one device."""
    rng = np.random.default_rng(0)
    image = lambda: rng.integers(0, 256, (1, batch_size, size, size, 3), np.uint8)
    cells = 256
    return {
        'cell_image': image(),
        'tissue_image': image(),
        'tissue_mask': rng.integers(0, 2, (1, batch_size, size, size), np.uint8),
        'center': np.full((1, batch_size, 2), 0.5, np.float32),
        'cell_mpp': np.full((1, batch_size), 0.2, np.float32),
        'tissue_mpp': np.full((1, batch_size), 0.8, np.float32),
        'cell_points': rng.uniform(0, size, (1, batch_size, cells, 2)).astype(np.float32),
        'cell_labels': rng.integers(1, 3, (1, batch_size, cells)).astype(np.int32),
        'cell_count': np.full((1, batch_size), cells, np.int32),
        'index': np.zeros((1, batch_size), np.int32),
        'valid': np.ones((1, batch_size), bool),
    }


if __name__ == '__main__':
    main()
