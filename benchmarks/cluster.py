"""What a cluster costs where the work costs nothing: memory and time for thousands of slides.

    python -m benchmarks.cluster --slides 1000 10000

shares out so many tasks, named as slides are, to two processes, as `predict --workers=2` does;
each task returns what a slide's does. One JSON object each, of a process of its own, without Dask
(0 workers) and with it: seconds in all, milliseconds a slide, those in which scheduler and client
kept a core busy, and the peak memory of the process in which these are, and of the largest worker.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from ocelot_jax.cluster import pool as pool_lib
from ocelot_jax.cluster.pool import HERE, Perform, Workers
from ocelot_jax.slides import collection
from ocelot_jax.slides.prediction import Predicted


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--slides', type=int, nargs='+', default=[1000, 10000])
    parser.add_argument('--workers', type=int, default=2)
    options = parser.parse_args()
    # a fresh process each: peak memory is a process's
    context = multiprocessing.get_context('spawn')
    for count in options.slides:
        for workers in (HERE, Workers(count=options.workers)):
            process = context.Process(target=measure, args=(count, workers))
            process.start()
            process.join()


def measure(count: int, workers: Workers) -> None:
    """Shares out so many tasks and prints what that cost."""
    slides = {f'slide-{number:06d}': Path(f'slide-{number:06d}.svs') for number in range(count)}
    with (
        tempfile.TemporaryDirectory() as folder,
        pool_lib.open_pool(workers, prepare, 'predict') as pool,
    ):
        before = _peak_mb()
        start, busy = time.monotonic(), time.process_time()
        done = sum(1 for _ in collection.predict_slides(slides, pool, Path(folder)))
        seconds, busy = time.monotonic() - start, time.process_time() - busy
    report = {
        'slides': done,
        'workers': workers.count or 0,
        'seconds': round(seconds, 2),
        'ms_per_slide': round(seconds / count * 1e3, 2),
        'busy_ms_per_slide': round(busy / count * 1e3, 2),
        'client_and_scheduler_mb': _peak_mb(),
        'of_it_before_the_first_mb': before,
        'largest_worker_mb': _peak_mb(resource.RUSAGE_CHILDREN),
    }
    print(json.dumps(report), flush=True)


def prepare() -> Perform:
    """Makes what does nothing for a slide."""
    return perform


def perform(name: str, path: Any) -> Predicted:
    """Returns what a slide's task does."""
    cells = {'BC': 1000, 'TC': 2000}
    numbers = {'um_per_px': 0.25, 'tumor_purity': 0.666667, 'foreground_mm2': 100.0}
    return Predicted({'slide': name, 'cells': cells, 'regions': [], **numbers}, {}, 1)


def _peak_mb(whose: int = resource.RUSAGE_SELF) -> int:
    return round(resource.getrusage(whose).ru_maxrss / 1e3)


if __name__ == '__main__':
    main()
