"""A training step with other encoders in the tissue branch: `python -m benchmarks.encoders`.

Pred-to-inter-2, with ResNet-18 in the cell branch. Steps are taken in turn; prints a JSON line for
each encoder: medians, those over the first's, and what XLA plans for a step's temporaries.
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

VIT_S = {'tissue_encoder_name': 'vit'}
ENCODERS = {
    'ResNet-18': {},
    'ViT-Ti/16': {**VIT_S, 'vit.embed_dim': 192},
    'ViT-S/16': VIT_S,
    'ViT-S/16, frozen': VIT_S,
    'ConvNeXt-T': {'tissue_encoder_name': 'convnext'},
    'ConvNeXt-T, frozen': {'tissue_encoder_name': 'convnext'},
}


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--size', type=int, default=128, help='side of both patches, pixels')
    parser.add_argument('--batch', type=int, default=8, help='pairs')
    parser.add_argument('--encoders', nargs='+', choices=ENCODERS, default=list(ENCODERS))
    parser.add_argument('--rounds', type=int, default=5, help='steps of each that are timed')
    options = parser.parse_args()
    calls, memory = {}, {}
    for name in options.encoders:
        calls[name], memory[name] = prepare(name, options.size, options.batch)
    seconds = {name: [] for name in calls}
    for _ in range(options.rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            seconds[name].append(time.perf_counter() - start)
    first = statistics.median(seconds[options.encoders[0]])
    for name, values in seconds.items():
        median = statistics.median(values)
        result = {'train_step_s': round(median, 3), 'ratio': round(median / first, 2)}
        print(json.dumps({'tissue_encoder': name, **result, 'temporary_gb': memory[name]}))


def prepare(name: str, size: int, batch_size: int) -> tuple[Callable[[], Any], float]:
    """A call that takes one training step further, compiled, and its temporaries, GB."""
    config = workload.create_config(size, batch_size)
    config.model.encoder_name = 'resnet18'
    config.update_from_flattened_dict({f'model.{k}': v for k, v in ENCODERS[name].items()})
    if name.endswith('frozen'):
        config.model.pretrained_branches = ('tissue',)
        config.optimizer.encoder_lr_multiplier = 0.0
    step, state = workload.create_training(config)
    batch = workload.on_device(workload.random_batch(config, size))
    compiled = step.func.lower(*step.args, state, batch).compile()
    gigabytes = round(compiled.memory_analysis().temp_size_in_bytes / 1e9, 2)

    def call() -> Any:
        nonlocal state
        state, losses = compiled(*step.args, state, batch)
        return losses

    jax.block_until_ready(call())
    return call, gigabytes


if __name__ == '__main__':
    process.use_huge_pages()  # as training does
    main()
