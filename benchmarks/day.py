"""What the day's other commands cost: `python -m benchmarks.day`.

Draws pairs of 1024 px and a run of Pred-to-inter-2 with random weights, then prints a table:
seconds and the peak of memory of every command, beside the seconds that its data alone need. Those
are the reading and decoding of every file once, on one core, and for predictions the network's
on its batches.
"""

import argparse
import dataclasses
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import workload
from benchmarks.parts import write_pairs
from benchmarks.step import median_seconds
from ocelot_jax.cli import process
from ocelot_jax.data.pair_folder import PairFolder
from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import engines
from ocelot_jax.models import factory

_ROOT = Path(__file__).resolve().parents[1]
_EVALUATED, _PREPARED, _CELLS = 137, 400, 1_000_000
# a small process between: on Linux a command's peak begins with that of the process it came from
_WATCH = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""
_MODELS = ('cell_only', 'pred_inter1', 'pred_inter2', 'pred_input', 'pred_output', 'leaking')
_MODELS += ('feature_sharing', 'mfovce', 'unet')


@dataclasses.dataclass(frozen=True)
class Work:
    """A command of the day.

    Attributes:
        name: what it does.
        command: module and arguments.
        needs: gives the seconds that its data alone need, None where nobody can tell.
    """

    name: str
    command: tuple[str, ...]
    needs: Callable[[], float] | None = None


def main() -> None:
    """Times all commands whose names hold `--only`."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--only', default='', help='part of the name of what is timed')
    parser.add_argument('--size', type=int, default=1024, help='side of the patches, pixels')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works = [work for work in plan(folder, options.size) if options.only in work.name]
        draw(folder, options.size, reports=any('report' in work.name for work in works))
        print('| | seconds | its data need | peak, MB |\n|---|---|---|---|')
        for work in works:
            seconds, peak = run(work, folder)
            needs = f'{work.needs():.1f}' if work.needs else ''
            print(f'| {work.name} | {seconds:.1f} | {needs} | {peak} |', flush=True)


def plan(folder: Path, size: int) -> list[Work]:
    """What is timed, on what `draw` leaves in a folder."""
    pairs, run = folder / 'evaluated', f'--workdir={folder / "run"}'
    decode = functools.partial(decoding, pairs, 'test')
    decode_all = functools.partial(decoding, folder / 'manual/ocelot2023', 'train')
    infer = lambda engine='xla': decode() + inferring(engine, size)
    found = folder / 'run/evaluation/test/predictions.json'
    return [
        Work(
            f'`prepare`, {_PREPARED} pairs',
            (
                'ocelot_jax.prepare',
                'ocelot',
                f'--data_dir={folder}/tfds',
                f'--manual_dir={folder}/manual',
            ),
            decode_all,
        ),
        Work(
            f'`statistics`, {_PREPARED} pairs',
            (
                'ocelot_jax.statistics',
                f'--dataset={folder}/manual/ocelot2023',
                f'--output={folder}/statistics',
            ),
            decode_all,
        ),
        Work(
            f'`evaluate`, {_EVALUATED} pairs', ('ocelot_jax.evaluate', run, '--split=test'), infer
        ),
        Work(
            f'`evaluate --engine=openvino-bf16`, {_EVALUATED} pairs',
            ('ocelot_jax.evaluate', run, '--split=test', '--engine=openvino-bf16'),
            lambda: infer('openvino-bf16'),
        ),
        Work(f'`tune`, {_EVALUATED} pairs', ('ocelot_jax.tune', run), infer),
        Work(
            '`score` of what `evaluate` found',
            ('ocelot_jax.score', f'--predictions={found}', f'--data={pairs}', '--split=test'),
        ),
        Work('`report`, 27 runs', ('ocelot_jax.report', str(folder / 'runs'))),
        Work(f"a slide's files, {_CELLS:,} cells", ('benchmarks.writers', f'--cells={_CELLS}')),
    ]


def draw(folder: Path, size: int, reports: bool) -> None:
    """Makes the data, a run, and where wanted the runs of a report."""
    sys.path.insert(0, str(_ROOT / 'tests'))
    import fake_reports
    import fake_runs

    write_pairs(folder / 'manual/ocelot2023', size, {'train': _PREPARED})
    pairs = folder / 'evaluated'
    write_pairs(pairs, size, {'train': 1, 'val': _EVALUATED, 'test': _EVALUATED})
    config = workload.create_config(size, 1)
    config.data.source = str(pairs)
    variables = workload.random_variables(factory.create_model(config))
    patches = Patches(size, workload.CELL_MPP, size, 4 * workload.CELL_MPP)
    fake_runs.make_run(folder / 'run', config, patches, variables)
    for number in range(27) if reports else ():
        name, seed = _MODELS[number // 3], number % 3
        config = fake_reports.make_config(name, pairs, seed)
        quality = 0.6 + 0.02 * (number // 3)
        splits = ('validation', 'test')
        fake_reports.write_run(
            folder / f'runs/{name}/{seed}', config, quality=quality, splits=splits, tissue=True
        )


def run(work: Work, folder: Path) -> tuple[float, int]:
    """Seconds of a command, and the most memory that its largest process held, in MB."""
    # as users start it: Python keeps what it compiled
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONDONTWRITEBYTECODE'}
    told = folder / 'told.txt'
    with told.open('w') as file:
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, '-c', _WATCH, sys.executable, '-m', *work.command],
            stdout=subprocess.PIPE,
            stderr=file,
            env=environment,
            cwd=_ROOT,
        )
        seconds = time.monotonic() - start
    if done.returncode:
        raise RuntimeError(f'{work.name}: {told.read_text()}')
    return seconds, round(int(done.stdout.split()[-1]) * 1024 / 1e6)


@functools.cache
def decoding(pairs: Path, split: str) -> float:
    """Seconds of reading every pair of a split once, one after the other."""
    start = time.monotonic()
    for _ in PairFolder(pairs).as_data_source(split):
        pass
    return time.monotonic() - start


@functools.cache
def inferring(engine: str, size: int) -> float:
    """Seconds of the network alone on as many pairs as are evaluated."""
    config = workload.create_config(size, 1)
    model = factory.create_model(config)
    infer = engines.create(engine, model, [workload.random_variables(model)])
    batch = workload.random_batch(config, size)
    return _EVALUATED * median_seconds(lambda: infer(batch), 5)


if __name__ == '__main__':
    process.use_huge_pages()
    main()
