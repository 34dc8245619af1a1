"""How soon commands answer: `python -m benchmarks.first_hour`.

Prints a table of every command's `--help`, and of mistakes that are made in the first hour:
seconds (the median of three) until it ended and of computing, the status, and the last line that
was told. Where other programs run beside, the seconds of computing are those to compare.
"""

import argparse
import dataclasses
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ocelot_jax import __main__ as overview

_ROOT = Path(__file__).resolve().parents[1]
_REPEATS, _SECONDS = 3, 120
_TRAIN = ('main', '--config=configs/pred_inter2.py')
_APPLY = ('--workdir=run', '--output=out')
# stands before a command: no file gets a byte, as on a full disk, byte code included
_FULL = ('bash', '-c', 'ulimit -f 0; PYTHONDONTWRITEBYTECODE=1 "$@"', 'bash')
# hides a package, as if it were not installed
_HIDE = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name == 'PACKAGE' else find(name, *more)
"""


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A command that cannot work.

    Attributes:
        command: its name and arguments, relative to a folder that `_prepare` makes.
        environment: variables beside those of this process.
        before: what stands before the command.
    """

    command: tuple[str, ...]
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    before: tuple[str, ...] = ()


MISTAKES = {
    'no such configuration': Mistake(('main', '--config=configs/pred_intr2.py')),
    'no such field': Mistake((*_TRAIN, '--config.optimizer.lr=1')),
    'a value that cannot be': Mistake((*_TRAIN, '--config.model.seam=head')),
    'no such data': Mistake((*_TRAIN, '--config.data.source=pairz')),
    'no such path of data': Mistake((*_TRAIN, '--config.data.source=./pairz')),
    'OCELOT is not downloaded': Mistake(_TRAIN, {'TFDS_DATA_DIR': 'tfds'}),
    'no TensorFlow to prepare it': Mistake(
        (*_TRAIN, '--config.data.source=ocelot_synthetic/small'),
        {'TFDS_DATA_DIR': 'tfds', 'PYTHONPATH': 'without_tensorflow'},
    ),
    'no GPU': Mistake((*_TRAIN, '--config.data.source=pairs'), {'JAX_PLATFORMS': 'cuda'}),
    'a full disk': Mistake((*_TRAIN, '--config.data.source=pairs'), before=_FULL),
    'evaluate: no such run': Mistake(('evaluate', '--workdir=runz')),
    'evaluate: no such split': Mistake(('evaluate', '--workdir=run', '--split=tests')),
    'evaluate: a full disk': Mistake(('evaluate', '--workdir=run'), before=_FULL),
    'evaluate: no GPU': Mistake(('evaluate', '--workdir=run'), {'JAX_PLATFORMS': 'cuda'}),
    'tune: no such run': Mistake(('tune', '--workdir=runz')),
    'predict: no such run': Mistake(
        ('predict', '--workdir=runz', '--output=out', '--input=image.png', '--mpp=0.5')
    ),
    'predict: no such input': Mistake(('predict', *_APPLY, '--input=imag.png')),
    'predict: no um/px': Mistake(('predict', *_APPLY, '--input=image.png')),
    'predict: a folder without slides': Mistake(('predict', *_APPLY, '--input=empty')),
    'predict: no such patches': Mistake(
        ('predict', *_APPLY, '--input=image.png', '--mpp=0.5', '--patches=64,0.5')
    ),
    'predict: no OpenSlide': Mistake(
        ('predict', *_APPLY, '--input=slide.svs'), {'PYTHONPATH': 'without_openslide'}
    ),
    'score: no such file': Mistake(
        ('score', '--predictions=x.json', '--data=pairs', '--split=val')
    ),
    'statistics: no such data': Mistake(('statistics', '--dataset=pairz')),
    'compare: no such run': Mistake(('compare', '--workdir=runz', '--other=run')),
    'report: no such folder': Mistake(('report', 'runz')),
    'prepare: no such data set': Mistake(('prepare', 'ocelott')),
    'prepare: OCELOT is not downloaded': Mistake(('prepare', 'ocelot', '--data_dir=tfds')),
    'export: no such run': Mistake(('export', '--workdir=runz', 'x.onnx')),
    'sweep: no such sweep': Mistake(('sweep', '--sweep=configs/sweeps/t.py', '--workdir=s')),
    'make_pairs: no such slides': Mistake(
        ('make_pairs', '--slides=x', '--annotations=y', '--output=z')
    ),
}


def main() -> None:
    """Times every command's help and every mistake whose name holds `--only`."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--only', default='')
    options = parser.parse_args()
    names = [name.rpartition('.')[2] for name, _ in overview.list_commands()]
    cases = {f'{name} --help': Mistake((name, '--help')) for name in names} | MISTAKES
    print('| | seconds | computing | status | told |\n|---|---|---|---|---|')
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        for name, case in cases.items():
            if options.only not in name:
                continue
            runs = [_run(case, folder) for _ in range(_REPEATS)]
            seconds, computing = (statistics.median(run[i] for run in runs) for i in range(2))
            _, _, status, told = runs[-1]
            told = '' if name.endswith('--help') else told.replace(folder, '').replace('|', r'\|')
            print(f'| {name} | {seconds:.1f} | {computing:.1f} | {status} | {told} |', flush=True)
    if options.only in 'make: no Python':
        start = time.monotonic()
        done = subprocess.run(
            ['make', 'demo', 'PYTHON=/usr/bin/false'], cwd=_ROOT, capture_output=True, text=True
        )
        seconds, lines = time.monotonic() - start, done.stderr.splitlines()
        print(f'| make: no Python | {seconds:.1f} | | {done.returncode} | {lines[-1]} |')


def _run(case: Mistake, folder: str) -> tuple[float, float, int, str]:
    """Seconds, seconds of computing, status, and the last line of a command."""
    name, *arguments = case.command
    # as users start it: Python keeps what it compiled, and finds the package in the checkout
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONDONTWRITEBYTECODE'}
    path = case.environment.get('PYTHONPATH', '')
    environment |= case.environment | {'PYTHONPATH': f'{path}:{_ROOT}'.lstrip(':')}
    start, computed = time.monotonic(), _computed()
    done = subprocess.run(
        [*case.before, sys.executable, '-m', f'ocelot_jax.{name}', *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    seconds = time.monotonic() - start
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    computing = _computed() - computed
    return (
        seconds,
        computing,
        done.returncode,
        f'{lines[-1]} ({len(lines)} lines)' if lines else '',
    )


def _computed() -> float:
    """Seconds that the processes which ended have computed."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _prepare(folder: Path) -> None:
    """Makes a run of Pred-to-inter-2 that nobody trained, pairs, an image, and what is missing."""
    sys.path.insert(0, str(_ROOT / 'tests'))
    import conftest
    import fake_runs
    from PIL import Image

    from ocelot_jax.data.patches import Patches
    from ocelot_jax.runs import config_files

    pairs = conftest.make_release(folder / 'pairs', {'train': 8, 'val': 2, 'test': 2})
    config = config_files.read_config('configs/pred_inter2.py')
    config.data.source = str(pairs)
    fake_runs.make_run(folder / 'run', config, Patches(64, 0.2, 64, 0.8))
    Image.new('RGB', (256, 256), 'pink').save(folder / 'image.png')
    (folder / 'slide.svs').write_bytes(b'what only OpenSlide knows')
    for name in ('empty', 'tfds'):
        (folder / name).mkdir()
    for package in ('tensorflow', 'openslide'):
        (folder / f'without_{package}').mkdir()
        site = folder / f'without_{package}/sitecustomize.py'
        site.write_text(_HIDE.replace('PACKAGE', package))


if __name__ == '__main__':
    main()
