"""Engines on CPUs against PyTorch, in turn: `python -m benchmarks.engines`.

Every engine infers one batch (both branches, softmax) with random weights, the peer the same
network, each in a process of its own. Prints a JSON line for each and for the peer: median
seconds, and the ratio to the peer, lower is better.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from benchmarks import compare, workload
from benchmarks.step import median_seconds
from ocelot_jax.cli import process
from ocelot_jax.inference import engines
from ocelot_jax.models import factory


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--size', type=int, default=1024, help='side of both patches, pixels')
    parser.add_argument('--batch', type=int, default=1, help='pairs')
    parser.add_argument('--turns', type=int, default=2, help='how often each has its turn')
    parser.add_argument('--runs', type=int, default=5, help='calls that are timed in a turn')
    parser.add_argument('--peer', default='../shared/bench/torch_peer.py', help="the peer's file")
    parser.add_argument('--peer_venv', default='.venv-peer', help='where PyTorch is installed')
    parser.add_argument('--engine', choices=engines.ENGINES, help='one alone, in this process')
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(measure(options)))
    else:
        measure_all(options)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of an inference by one engine."""
    config = workload.create_config(options.size, options.batch)
    batch = workload.random_batch(config, options.size)
    model = factory.create_model(config)
    engine = engines.create(options.engine, model, [workload.random_variables(model)])
    return {'infer_s': median_seconds(lambda: engine(batch), options.runs)}


def measure_all(options: argparse.Namespace) -> None:
    """Measures every engine and the peer, A B C A B C."""
    size = ['--size', str(options.size), '--batch', str(options.batch)]
    size += ['--runs', str(options.runs)]
    peer = [str(compare.install_peer(Path(options.peer_venv))), options.peer, '--mode', 'infer']
    own = [sys.executable, '-m', 'benchmarks.engines']
    commands = {'peer': [*peer, *size]} | {
        name: [*own, *size, '--engine', name] for name in engines.ENGINES
    }
    turns = {name: [] for name in commands}
    for _ in range(options.turns):
        for name, command in commands.items():
            turns[name].append(compare.run(command)['infer_s'])
    seconds = {name: statistics.median(values) for name, values in turns.items()}
    for name, value in seconds.items():
        line = {'engine': name, 'size': options.size, 'batch': options.batch}
        line |= {'infer_s': round(value, 3), 'ratio': round(value / seconds['peer'], 2)}
        print(json.dumps(line), flush=True)


if __name__ == '__main__':
    process.use_huge_pages()
    main()
