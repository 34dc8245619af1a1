"""Memory of a training step, with and without rematerialisation: `python -m benchmarks.memory`.

Prints one JSON line for each: what XLA plans for a step's arguments and temporaries, seconds per
step (the median of three after the first), and the most that the process held (Linux).
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import resource
import statistics
import time

import jax

from benchmarks import workload


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--size', type=int, default=1024, help='side of both patches, pixels')
    parser.add_argument('--batch', type=int, default=1, help='pairs')
    parser.add_argument('--runs', type=int, default=3, help='steps that are timed; 0 for none')
    options = parser.parse_args()
    # a process each, as a process's peak never falls
    with concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context('spawn'), max_tasks_per_child=1
    ) as processes:
        for remat in (False, True):
            task = processes.submit(measure, remat, options.size, options.batch, options.runs)
            print(json.dumps(task.result()), flush=True)


def measure(remat: bool, size: int, batch_size: int, runs: int) -> dict[str, float]:
    """Compiles Pred-to-inter-2's step on one device, and takes a few."""
    config = workload.create_config(size, batch_size)
    config.model.remat = remat
    step, state = workload.create_training(config)
    batch = workload.on_device(workload.random_batch(config, size))
    memory = step.func.lower(*step.args, state, batch).compile().memory_analysis()
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
        # in KiB on Linux
        'process_gb': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


if __name__ == '__main__':
    main()
