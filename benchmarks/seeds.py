"""What training several seeds as one program gains: `python -m benchmarks.seeds`.

Prints one JSON line: seconds until the first step's end, and median seconds of a step and seed
after that, for one run and for several as one, which take their steps in turn.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from benchmarks import workload
from ocelot_jax.cli import process
from ocelot_jax.data.batches import device_batches


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--encoder', default='resnet18', help='as config.model.encoder_name')
    parser.add_argument('--size', type=int, default=64, help='side of both patches, pixels')
    parser.add_argument('--batch', type=int, default=4, help='pairs of a seed')
    parser.add_argument('--seeds', type=int, default=3, help='runs as one')
    parser.add_argument('--runs', type=int, default=8, help='steps that are timed')
    options = parser.parse_args()
    calls = [
        step_call(options.encoder, options.size, options.batch, seeds)
        for seeds in (1, options.seeds)
    ]
    first = [seconds(call) for call in calls]
    later = [[seconds(call) for call in calls] for _ in range(options.runs)]
    single, several = (statistics.median(values) for values in zip(*later, strict=True))
    result = vars(options) | {
        'first_step_s': round(first[0], 1),
        'first_step_of_all_s': round(first[1], 1),
        'step_s': round(single, 3),
        'step_of_all_per_seed_s': round(several / options.seeds, 3),
        'ratio': round(several / options.seeds / single, 2),
    }
    print(json.dumps(result))


def step_call(encoder: str, size: int, batch_size: int, seeds: int) -> Callable[[], Any]:
    """A call that takes one training step of so many seeds further."""
    config = workload.create_config(size, batch_size)
    config.model.encoder_name = encoder
    config.seeds = seeds
    step, state = workload.create_training(config)
    streams = [iter([workload.random_batch(config, size)]) for _ in range(seeds)]
    batch = next(device_batches(streams, 1))

    def call() -> Any:
        nonlocal state
        state, losses = step(state, batch)
        return losses

    return call


def seconds(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


if __name__ == '__main__':
    process.use_huge_pages()  # as training does
    main()
