"""Whole trainings on the device at hand, for `benchmarks.device`.

`train`: how long a step takes with all that is around it: reading, augmentation, checkpoints.
`resume`: whether a run that is killed goes on to the bits of one that is not.
`too_large`: what a run says whose steps do not fit into memory.
"""

import argparse
import csv
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import workload
from benchmarks.device_parts import emit, last_line
from benchmarks.parts import write_pairs
from ocelot_jax.models import factory
from ocelot_jax.runs import checkpoints, config_files, configuration
from ocelot_jax.runs.directory import RunDirectory
from ocelot_jax.training.progress import STEP_SECONDS


def main() -> None:
    """Runs what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('what', choices=('train', 'resume', 'too_large'))
    parser.add_argument('--size', type=int, default=128, help='side of both patches, pixels')
    parser.add_argument('--batch', type=int, default=8, help='pairs')
    parser.add_argument('--config', default=workload.CONFIG)
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
    parser.add_argument('--epochs', type=int, default=6)
    parser.add_argument('--steps', type=int, default=2, help='of an epoch')
    parser.add_argument('--address_space_gb', type=float, help='to have too little of it on a CPU')
    options = parser.parse_args()
    # a configuration may bring its own network
    config_files.read_config(options.config)
    # beside the trainings, which need the memory
    os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'
    counts = {'train': options.steps * options.batch, 'val': 2, 'test': 2}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / 'data'
        write_pairs(data, options.size, counts)
        parts = {'train': train, 'resume': resume, 'too_large': train_too_large}
        parts[options.what](options, data)


def start(options: argparse.Namespace, data: Path, workdir: Path, **how: Any) -> subprocess.Popen:
    """Starts a training as users do."""
    command = [
        *(sys.executable, '-m', 'ocelot_jax.main', f'--config={options.config}'),
        *(f'--workdir={workdir}', f'--config.data.source={data}'),
        f'--config.data.batch_size={options.batch}',
        f'--config.model.dtype={options.dtype}',
        '--config.data.max_cells=256',
        f'--config.num_epochs={options.epochs}',
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **how)


def finish(process: subprocess.Popen) -> None:
    """Waits for the end of a training, which must be a good one."""
    _, said = process.communicate()
    if process.returncode:
        sys.exit(f'status {process.returncode}: {last_line(said)}')


def train(options: argparse.Namespace, data: Path) -> None:
    """Trains a run, and tells what its own metrics say of the time."""
    begin = time.perf_counter()
    finish(start(options, data, data.parent / 'run', stdout=subprocess.DEVNULL))
    emit(whole_s=round(time.perf_counter() - begin, 1))
    with RunDirectory(data.parent / 'run').metrics.open() as file:
        seconds = [float(row[STEP_SECONDS]) for row in csv.DictReader(file)]
    emit(batch=options.batch, dtype=options.dtype, step_seconds=seconds)


def resume(options: argparse.Namespace, data: Path) -> None:
    """Trains one run undisturbed, and kills and restarts another."""
    whole, killed = data.parent / 'whole', data.parent / 'killed'
    quiet = {'stdout': subprocess.DEVNULL}
    begin = time.perf_counter()
    finish(start(options, data, whole, **quiet))
    emit(whole_s=round(time.perf_counter() - begin, 1))
    process = start(options, data, killed, **quiet)
    metrics = RunDirectory(killed).metrics
    while process.poll() is None and epochs_done(metrics) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    emit(killed_after=epochs_done(metrics), of_epochs=options.epochs)
    finish(start(options, data, killed, **quiet))
    pairs = zip(*map(jax.tree.leaves, map(last_variables, (whole, killed))), strict=True)
    differences = [float(np.abs(a - b).max()) for a, b in pairs]
    emit(
        flags=os.environ.get('XLA_FLAGS', ''),
        arrays=len(differences),
        arrays_that_differ=sum(value > 0 for value in differences),
        largest_difference=max(differences),
    )


def epochs_done(metrics: Path) -> int:
    """Rows of a run's metrics, which is written before the epoch is saved."""
    return metrics.read_text().count('\n') - 1 if metrics.exists() else 0


def last_variables(workdir: Path) -> Any:
    """The network of a run's last checkpoint, as NumPy arrays."""
    like = factory.empty_variables(factory.create_model(configuration.load_config(workdir)))
    with checkpoints.open_manager(workdir, read_only=True) as manager:
        restored = checkpoints.restore(manager, manager.latest_step(), 'variables', like)
        return jax.tree.map(np.asarray, restored)


def train_too_large(options: argparse.Namespace, data: Path) -> None:
    """Trains on batches that should not fit."""
    how = {}
    if options.address_space_gb:
        most = int(options.address_space_gb * 1e9)
        how['preexec_fn'] = lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most))
    process = start(options, data, data.parent / 'run', stdout=subprocess.PIPE, **how)
    _, said = process.communicate()
    lines = [line for line in said.splitlines() if line.startswith('error:')]
    emit(status=process.returncode, errors=lines, said=last_line(said))


if __name__ == '__main__':
    main()
