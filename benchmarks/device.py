"""All that a device at hand for minutes can tell: `python -m benchmarks.device --out DIR`.

Runs part after part, each in a process of its own with a time limit, so that one that fails, hangs
or is killed loses its own figures alone. What a part measures goes to `DIR/device.jsonl` at once,
what it says besides to `DIR/device.log`. First come the parts that only have to end, all at once,
then those that are timed, which have the machine to themselves, in the end the tests. A training
step takes more than a minute to compile: not all fits into eight minutes, so that `--only` and
`--cases` choose.

Nothing is downloaded, and no data set is needed. Where the peer is absent its parts are skipped.
"""

import argparse
import concurrent.futures
import dataclasses
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CASES = ('1024x8', '128x8', '256x4')
TESTS = ('tests/models', 'tests/inference', 'tests/training')
DTYPES = ('float32', 'bfloat16')
PARTS = 'benchmarks.device_parts'
RUNS = 'benchmarks.device_runs'
DETERMINISTIC = '--xla_gpu_deterministic_ops=true'
COMPILED_SOON = '--xla_backend_optimization_level=0'
SHARED_MEMORY = {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}
# the tests compare with NumPy, and several processes run them
TESTED = SHARED_MEMORY | {'JAX_DEFAULT_MATMUL_PRECISION': 'highest'}


@dataclasses.dataclass(frozen=True)
class Part:
    """A process.

    Attributes:
        name: in the file of figures.
        command: behind `python -m`.
        seconds: the most that it may take.
        environment: variables beside the others.
    """

    name: str
    command: Sequence[str]
    seconds: float
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


def main() -> None:
    """Runs the parts that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, required=True, help='folder of figures and log')
    parser.add_argument('--peer', default='.peer/torch_peer.py', help="the peer's file")
    parser.add_argument('--cases', nargs='+', default=CASES, help='SIDExPAIRS that are timed')
    parser.add_argument('--config', default='configs/pred_inter2.py', help='what is trained')
    parser.add_argument('--runs', type=int, default=20, help='calls that are timed')
    parser.add_argument('--steps', type=int, default=16, help='of an epoch that is timed')
    parser.add_argument('--minutes', type=float, default=8.0, help='limit of all')
    parser.add_argument('--checks', type=float, default=3.8, help='minute in which checks end')
    parser.add_argument('--tests', type=float, default=0.5, help='minutes left for tests')
    parser.add_argument('--losses', default='128x8', help='SIDExPAIRS whose losses are compared')
    parser.add_argument('--workers', type=int, default=16, help='that run the tests on the CPU')
    parser.add_argument('--threads', type=int, default=2, help="the peer's on the CPU")
    parser.add_argument('--only', default='', help='parts whose name holds this')
    parser.add_argument('--small', action='store_true', help='a trial of everything on a CPU')
    options = parser.parse_args()
    if options.small:
        options.cases, options.losses, options.config = ('32x2',), '32x2', 'tests/tiny.py'
        options.minutes, options.checks, options.tests = 24, 8, 6
        options.workers, options.threads, options.runs, options.steps = 2, 1, 2, 2
        os.environ.setdefault('XLA_FLAGS', COMPILED_SOON)
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = lambda parts: [part for part in parts if options.only in part.name]
    runner = Runner(options.out, patience=3.0 if options.small else 1.0)
    runner.run(wanted(first_parts()), until=options.minutes)
    at_once(runner, wanted(checks(options)), until=options.checks)
    runner.run(wanted(timed_parts(options)), until=options.minutes - options.tests)
    at_once(runner, wanted(tests(options)), until=options.minutes)


def at_once(runner: 'Runner', parts: Sequence[Part], until: float) -> None:
    """Runs parts beside each other."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda part: runner.run([part], until), parts))


def first_parts() -> Iterator[Part]:
    """What the others need."""
    if importlib.util.find_spec('ocelot_jax.configs') is None:
        # a plain checkout; only installed are configs/ and datasets/ found inside the package
        alone = ('--no-index', '--no-deps', '--no-build-isolation', '--quiet')
        yield Part('install', ['pip', 'install', *alone, '--editable=.'], 60)
    yield Part('about', [PARTS, 'about'], 30)


def timed_parts(options: argparse.Namespace) -> Iterator[Part]:
    """What runs alone, ours and the peer's in turn."""
    config = f'--config={options.config}'
    peer = [PARTS, 'peer', options.peer, f'--threads={options.threads}']
    for case, dtype in itertools.product(options.cases, DTYPES):
        timed = [*sized(case), f'--dtype={dtype}', f'--runs={options.runs}']
        yield Part(f'ours {case} {dtype}', [PARTS, 'speed', *timed, config], 150)
        yield Part(f'peer {case} {dtype}', [*peer, *timed], 90)
    yield Part(f'around {options.cases[0]}', ['benchmarks.parts', *sized(options.cases[0])], 90)
    dtype = 'float32' if options.small else 'bfloat16'  # CPUs refuse the latter
    epochs = [f'--steps={options.steps}', '--epochs=3', f'--dtype={dtype}', config]
    yield Part('train', [RUNS, 'train', *sized(options.cases[0]), *epochs], 150)
    size, batch = options.cases[0].split('x')
    largest = [PARTS, 'largest', f'--first={2 * int(batch)}']
    if options.small:
        largest.append(f'--most={2 * int(batch)}')
    for dtype in DTYPES:
        timed = [f'--size={size}', f'--dtype={dtype}', '--runs=3', '--mode=train']
        ours = [PARTS, 'speed', *timed, config]
        yield Part(f'ours largest {dtype}', [*largest, *ours], 180)
        yield Part(f'peer largest {dtype}', [*largest, *peer, *timed], 90)
    for case, dtype in itertools.product(options.cases, reversed(DTYPES)):
        timed = [*sized(case), f'--dtype={dtype}', f'--runs={options.runs}']
        yield Part(f'peer compiled {case} {dtype}', [*peer, *timed, '--compile'], 90)


def sized(case: str) -> list[str]:
    """The flags of a case, SIDExPAIRS."""
    size, batch = case.split('x')
    return [f'--size={size}', f'--batch={batch}']


def checks(options: argparse.Namespace) -> Iterator[Part]:
    """What only has to end."""
    config = f'--config={options.config}'
    resume, too_large = ['--size=128'], ['--size=1024', '--batch=64']
    if options.small:
        resume = ['--size=32', '--batch=2']
        too_large = ['--size=512', '--batch=64', '--address_space_gb=6']
    losses = [PARTS, 'losses', *sized(options.losses), config]
    yield Part('losses', losses, 240, SHARED_MEMORY)
    yield Part('resume', [RUNS, 'resume', *resume, config], 240)
    flags = {'XLA_FLAGS': f'{os.environ.get("XLA_FLAGS", "")} {DETERMINISTIC}'}
    yield Part('resume deterministic', [RUNS, 'resume', *resume, config], 240, flags)
    yield Part('too large', [RUNS, 'too_large', *too_large, config], 240)


def tests(options: argparse.Namespace) -> Iterator[Part]:
    """Those that a device may fail, and all on the CPU: another Python and JAX are worth it."""
    on_device, suite = [*TESTS, '-n4'], ['tests', '--dist=loadfile', '--no-loadscope-reorder']
    if options.small:
        on_device, suite = ['tests/models/test_alignment.py'], ['tests/io']
    yield Part('tests on the device', [PARTS, 'tests', *on_device], 240, TESTED)
    on_cpu = [PARTS, 'tests', *suite, f'-n{options.workers}']
    yield Part('tests on the CPU', on_cpu, 480, {'JAX_PLATFORMS': 'cpu'})


class Runner:
    """Runs parts and keeps what they tell."""

    def __init__(self, folder: Path, patience: float):
        self._folder, self._patience = folder, patience
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def run(self, parts: Sequence[Part], until: float) -> None:
        """Runs parts one after the other.

        Args:
            parts: what to run.
            until: minutes after the start by which the last must have ended.
        """
        for part in parts:
            left = 60 * until - (time.monotonic() - self._start)
            limit = min(part.seconds * self._patience, left)
            if limit > 1:
                self._run_one(part, limit)
            else:
                self._keep(part, {'ended': 'not begun: no time was left'})

    def _run_one(self, part: Part, limit: float) -> None:
        """Runs a part, and keeps its figures and how it ended."""
        begin = time.monotonic()
        unread = []
        with (
            tempfile.TemporaryFile('w+') as said,
            subprocess.Popen(
                [sys.executable, '-m', *part.command],
                env=environment() | part.environment,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                start_new_session=True,
            ) as process,
        ):
            timer = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
            timer.start()
            for line in process.stdout:
                try:
                    self._keep(part, dict(json.loads(line)))
                except (TypeError, ValueError):
                    unread.append(line)
            status = process.wait()
            over = not timer.is_alive()
            timer.cancel()
            said.seek(0)
            text = said.read()
        ended = {'ended': 'killed' if over else f'status {status}'}
        if status:
            lines = [line for line in text.splitlines() if line.strip()]
            ended['said'] = lines[-1][:400] if lines else ''
        self._keep(part, ended | {'seconds': round(time.monotonic() - begin, 1)})
        with self._lock, (self._folder / 'device.log').open('a') as log:
            log.write(f'=== {part.name}\n{"".join(unread)}{text}\n')

    def _keep(self, part: Part, figures: dict[str, Any]) -> None:
        """Appends figures to the file, and shows them."""
        line = json.dumps({'part': part.name, **figures})
        with self._lock, (self._folder / 'device.jsonl').open('a') as file:
            print(line, file=file)
            print(line, flush=True)


def environment() -> dict[str, str]:
    """Of every part: compiled programs are kept for the next time that this is run."""
    cache = Path(tempfile.gettempdir()) / 'ocelot_device_compilations'
    return {'JAX_COMPILATION_CACHE_DIR': str(cache), 'PYTHONUNBUFFERED': '1'} | os.environ


if __name__ == '__main__':
    main()
