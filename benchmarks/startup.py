"""From the command to the first step: `python -m benchmarks.startup --data PATH`.

Starts the same short training twice, in two directories beside one another, so that the second
start finds the first one's compilations, and prints a JSON line for each: seconds until the first
step's loss was reported.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Measures both starts."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--config', default='configs/crc.py')
    parser.add_argument('--data', required=True, help='as config.data.source')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = [first_step(options, Path(folder) / name) for name in ('cold', 'warm')]
    for name, value in zip(('cold', 'warm'), seconds, strict=True):
        print(json.dumps({'start': name, 'first_step_s': round(value, 1)}))
    print(json.dumps({'warm_over_cold': round(seconds[1] / seconds[0], 2)}))


def first_step(options: argparse.Namespace, workdir: Path) -> float:
    """Seconds from the command to the first reported loss; the run is stopped then."""
    command = [
        sys.executable,
        '-m',
        'ocelot_jax.main',
        f'--config={options.config}',
        f'--config.data.source={options.data}',
        f'--workdir={workdir}',
    ]
    # as users start it: Python keeps what it compiled, too
    strange = ('JAX_COMPILATION_CACHE_DIR', 'PYTHONDONTWRITEBYTECODE')
    environment = {k: v for k, v in os.environ.items() if k not in strange}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, env=environment, start_new_session=True
    )
    try:
        # not by lines: the bar's carriage return comes before what it tells
        while told := process.stderr.read1():
            if b'loss ' in told:
                return time.perf_counter() - start
        raise RuntimeError(f'{" ".join(command)} ended without a step')
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == '__main__':
    main()
