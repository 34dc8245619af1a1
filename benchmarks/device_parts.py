"""What `benchmarks.device` runs, each in a process of its own.

Every part prints its figures as JSON lines, as soon as it has them.
"""

import argparse
import collections
import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import resource
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import ml_collections

from benchmarks import kernels, step, workload
from ocelot_jax.inference import devices

PACKAGES = ('jax', 'flax', 'optax', 'orbax-checkpoint', 'grain', 'numpy', 'torch')
# losses of the same steps: as users get them, in full float32, and by the reference
PRECISIONS = {
    'default': {},
    'highest': {'JAX_DEFAULT_MATMUL_PRECISION': 'highest'},
    'cpu': {'JAX_PLATFORMS': 'cpu'},
}


def main() -> None:
    """Runs the part that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parts = parser.add_subparsers(required=True)
    for name, run, parents in (
        ('about', print_about, []),
        ('losses', compare_losses, [training_flags()]),
        ('steps', take_steps, [training_flags()]),
        ('speed', measure_speed, [training_flags()]),
        ('largest', find_largest, [doubling_flags(), rest()]),
        ('peer', run_peer, [rest()]),
        ('tests', run_tests, [rest()]),
    ):
        part = parts.add_parser(name, parents=parents, help=run.__doc__.split('\n')[0])
        part.set_defaults(run=run)
    options = parser.parse_args()
    options.run(options)


def training_flags() -> argparse.ArgumentParser:
    """Which network, on what."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument('--size', type=int, required=True, help='side of both patches, pixels')
    flags.add_argument('--batch', type=int, required=True, help='pairs')
    flags.add_argument('--config', default=workload.CONFIG)
    flags.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
    flags.add_argument('--runs', type=int, default=4, help='steps, or timed calls')
    flags.add_argument('--mode', choices=('both', 'train', 'infer'), default='both')
    return flags


def doubling_flags() -> argparse.ArgumentParser:
    """How many pairs."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument('--first', type=int, default=16, help='pairs to begin with')
    flags.add_argument('--most', type=int, default=1024, help='pairs to end with')
    return flags


def rest() -> argparse.ArgumentParser:
    """Everything behind the flags, for another command."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument('arguments', nargs=argparse.REMAINDER)
    return flags


def emit(**figures: Any) -> None:
    """Prints figures, for `benchmarks.device` to keep."""
    print(json.dumps(figures), flush=True)


def print_about(options: argparse.Namespace) -> None:
    """The devices, and the versions of what runs on them."""
    kinds = collections.Counter(device.device_kind for device in jax.devices())
    emit(platform=jax.default_backend(), devices=kinds, python=platform.python_version())
    installed = {found.metadata['Name'] for found in importlib.metadata.distributions()}
    emit(versions={name: importlib.metadata.version(name) for name in installed & {*PACKAGES}})
    emit(cores=os.cpu_count(), memory=jax.local_devices()[0].memory_stats())
    if shutil.which('nvidia-smi'):
        fields = '--query-gpu=name,driver_version,memory.total'
        command = ['nvidia-smi', fields, '--format=csv,noheader']
        emit(nvidia_smi=subprocess.run(command, capture_output=True, text=True).stdout.split('\n'))


def create_config(options: argparse.Namespace, augmented: bool) -> ml_collections.ConfigDict:
    """The configuration that the options want."""
    config = workload.create_config(options.size, options.batch, augmented, options.config)
    config.model.dtype = options.dtype
    return config


def compare_losses(options: argparse.Namespace) -> None:
    """The losses of a few training steps on this device, and how far the CPU's are from them."""
    sized = [f'--{name}={getattr(options, name)}' for name in ('size', 'batch', 'config', 'runs')]
    command = [sys.executable, '-m', 'benchmarks.device_parts', 'steps', *sized]
    shared = os.environ | {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}
    started = {
        name: subprocess.Popen(command, env=shared | own, stdout=subprocess.PIPE, text=True)
        for name, own in PRECISIONS.items()
    }
    told = {name: process.communicate()[0].splitlines() for name, process in started.items()}
    losses = {name: json.loads(lines[-1])['losses'] for name, lines in told.items() if lines}
    for name, values in losses.items():
        pairs = zip(values, losses.get('cpu', []), strict=False)
        emit(precision=name, losses=values, to_cpu=[round(a / b - 1, 7) for a, b in pairs])
    if len(losses) < len(PRECISIONS):
        sys.exit(f'only {", ".join(losses)} came to an end')


def take_steps(options: argparse.Namespace) -> None:
    """The losses of a few training steps, with augmentation and dropout."""
    config = create_config(options, augmented=True)
    call = step.train_call(config, workload.random_batch(config, options.size))
    losses = [float(call()['loss']) for _ in range(options.runs)]
    emit(platform=jax.default_backend(), losses=losses)


def measure_speed(options: argparse.Namespace) -> None:
    """Seconds and memory of inference and training step, and the step's longest kernels."""
    config = create_config(options, augmented=False)
    batch = workload.random_batch(config, options.size)
    calls = {'infer': step.infer_call, 'train_step': step.train_call}
    for name, make in calls.items():
        if options.mode not in ('both', name.removesuffix('_step')):
            continue
        with devices.exhaustion_as_error('this was too much'):
            call = make(config, batch)
            start = time.perf_counter()
            jax.block_until_ready(call())
            first = time.perf_counter() - start
            seconds = step.median_seconds(call, options.runs)
        # of the process so far, so that inference goes first
        figures = {f'{name}_s': seconds, f'{name}_first_s': first, f'{name}_peak_gb': peak_gb()}
        emit(**{key: round(value, 5) for key, value in figures.items()})
    if options.mode == 'both':
        emit(kernels=kernels.longest(call))


def peak_gb() -> float:
    """The most memory that was in use: of the device, or of the process where it has none."""
    stats = jax.local_devices()[0].memory_stats()
    if stats:
        return stats['peak_bytes_in_use'] / 1e9
    # in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def find_largest(options: argparse.Namespace) -> None:
    """Doubles `--batch` of a command until it fails."""
    batches = itertools.takewhile(
        lambda batch: batch <= options.most, (options.first << power for power in range(32))
    )
    for batch in batches:
        command = [sys.executable, '-m', *options.arguments, f'--batch={batch}']
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            emit(batch=batch, fits=False, said=last_line(done.stderr))
            return
        told = [json.loads(line) for line in done.stdout.splitlines()]
        for figures in told:
            emit(**{'batch': batch, 'fits': True} | figures)
        if any('skipped' in figures for figures in told):
            return


def last_line(text: str) -> str:
    """The last line that holds anything, and not too much of it."""
    return next((line[:400] for line in reversed(text.splitlines()) if line.strip()), '')


def run_peer(options: argparse.Namespace) -> None:
    """Runs the peer on the GPU if there is one: its own figures, and the most memory it took."""
    file, *arguments = options.arguments
    if not Path(file).is_file() or importlib.util.find_spec('torch') is None:
        emit(skipped=f'{file} or PyTorch is not here')
        return
    import torch  # heavy, and of the peer alone

    on_gpu = torch.cuda.is_available()
    sys.argv = [file, *arguments, f'--device={"cuda" if on_gpu else "cpu"}']
    runpy.run_path(file, run_name='__main__')
    emit(peak_gb=torch.cuda.max_memory_allocated() / 1e9 if on_gpu else peak_gb())


class Reporter:
    """Prints each test that fails, and in the end how many did not."""

    def __init__(self):
        self.counts = collections.Counter()

    def pytest_collectreport(self, report: Any) -> None:
        """Is told of each file."""
        if report.failed:
            self._fail('collect', report)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Is told of each part of each test."""
        if report.failed:
            self._fail(report.when, report)
        if report.when == 'call' or not report.passed:
            self.counts[report.outcome] += 1
            if self.counts.total() % 100 == 0:
                self._count()

    def pytest_sessionfinish(self) -> None:
        """Is told of the end."""
        self._count()

    def _fail(self, when: str, report: Any) -> None:
        # behind the dots that pytest prints
        print()
        said = [line for line in report.longreprtext.splitlines() if line.startswith('E ')]
        emit(test=report.nodeid, when=when, said=said[0][:400] if said else '')

    def _count(self) -> None:
        print()
        emit(**self.counts)


def run_tests(options: argparse.Namespace) -> None:
    """Runs pytest: prints which tests fail, and counts."""
    import pytest  # of the tests alone

    arguments = ['--continue-on-collection-errors', *options.arguments]
    sys.exit(int(pytest.main(arguments, plugins=[Reporter()])))


if __name__ == '__main__':
    main()
