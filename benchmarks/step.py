"""Seconds of a training step and of an inference: `python -m benchmarks.step`.

Prints one JSON line as `../shared/bench/torch_peer.py` does: medians after compilation, of
Pred-to-inter-2's training step (forward, Dice losses of both branches, backward, Adam) and of its
inference (both branches, softmax), without augmentation and detection.
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
from ocelot_jax.inference.engines import network
from ocelot_jax.models import factory


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--size', type=int, default=256, help='side of both patches, pixels')
    parser.add_argument('--batch', type=int, default=4, help='pairs')
    parser.add_argument('--runs', type=int, default=5, help='calls that are timed')
    parser.add_argument('--mode', choices=('both', 'train', 'infer'), default='both')
    options = parser.parse_args()
    config = workload.create_config(options.size, options.batch)
    batch = workload.random_batch(config, options.size)
    result = {'framework': f'jax {jax.__version__}', 'size': options.size, 'batch': options.batch}
    if options.mode != 'infer':
        result['train_step_s'] = median_seconds(train_call(config, batch), options.runs)
    if options.mode != 'train':
        result['infer_s'] = median_seconds(infer_call(config, batch), options.runs)
    print(json.dumps(result))


def train_call(config: Any, batch: dict[str, Any]) -> Callable[[], Any]:
    """A call that takes one training step further."""
    step, state = workload.create_training(config)
    batch = workload.on_device(batch)

    def call() -> Any:
        nonlocal state
        state, losses = step(state, batch)
        return losses

    return call


def infer_call(config: Any, batch: dict[str, Any]) -> Callable[[], Any]:
    """A call that computes both patches' class probabilities."""
    model = factory.create_model(config)
    engine = network.prepare(model)(workload.random_variables(model))
    batch = jax.device_put(batch)
    return lambda: engine(batch)


def median_seconds(call: Callable[[], Any], runs: int) -> float:
    """Median seconds of a call that has been made once before."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == '__main__':
    process.use_huge_pages()  # as training does
    main()
