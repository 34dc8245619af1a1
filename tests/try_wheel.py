"""Installs what was built into an empty environment and tries it there: `make wheel` runs it.

    python tests/try_wheel.py dist

Nothing of the checkout is on the path of what is tried: it runs in a temporary folder, and makes
pairs, trains, evaluates and predicts there as a newcomer does, with a small network on few pairs.
"""

import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
UV = pathlib.Path(sys.executable).with_name('uv')

API = """
import pathlib, sys
import ocelot_jax
assert pathlib.Path(ocelot_jax.__file__).is_relative_to(sys.prefix), ocelot_jax.__file__
print(ocelot_jax.__version__, *(name for name in ocelot_jax.__all__ if getattr(ocelot_jax, name)))
"""
SLIDES = """
import pathlib
from ocelot_jax.datasets.ocelot_synthetic import slides
slides.write_slides(pathlib.Path('slides'), 3, 512)
"""
PREDICTIONS = """
import ocelot_jax
pair = ocelot_jax.open_pairs('pairs', 'test')[0]
predictor = ocelot_jax.load('runs/pairs')
found = predictor.predict_pair(pair['cell_image'], pair['tissue_image'], pair['center'])
slide = predictor.predict_slide('slides/slide-1.tif')
print(len(found.cells), found.tissue.shape, len(slide.cells), slide.tissue.shape)
"""
CLASSES = '--cell_classes=Other=BC,Tumor=TC', '--tissue_classes=Stroma=BG,Tumor=CA'
DEMO = '--config=configs/demo.py', '--config.num_epochs=1', '--config.model.encoder_name=resnet18'


def command(name: str, *flags: str) -> tuple[str, ...]:
    return '-m', f'ocelot_jax.{name}', *flags


PLACES = '--slides=slides', '--annotations=slides', '--output=pairs', '--patches=128,0.5,128,2'
# Arguments of Python by what they try: without any extra, and with `datasets`.
PLAIN = {
    'the list of commands': ('-m', 'ocelot_jax'),
    'all names of the API': ('-c', API),
    'slides drawn': ('-c', SLIDES),
    'pairs made of them': command('make_pairs', *PLACES, *CLASSES),
    'training': command('main', *DEMO, '--config.data.source=pairs', '--workdir=runs/pairs'),
    'evaluation': command('evaluate', '--workdir=runs/pairs', '--split=test'),
    'report': command('report', 'runs'),
    'pairs predicted': command('predict', '--workdir=runs/pairs', '--input=pairs', '--output=a'),
    'slides predicted': command('predict', '--workdir=runs/pairs', '--input=slides', '--output=b'),
    'predictions by the API': ('-c', PREDICTIONS),
}
DATASETS = {
    'the demo': command('main', *DEMO, '--workdir=runs/demo'),
    'its scores': command('evaluate', '--workdir=runs/demo', '--split=test', '--untrained'),
}


def check_sdist(sdist: pathlib.Path) -> None:
    """Fails unless the sdist has what git tracks, but hidden files, which are the repository's."""
    with tarfile.open(sdist) as tar:
        names = {member.name.partition('/')[2] for member in tar.getmembers() if member.isfile()}
    made = {name for name in names if '.egg-info/' in name} | {'PKG-INFO'}
    git = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, check=True)
    wanted = {name for name in git.stdout.decode().split('\0') if name and name[0] != '.'}
    if wanted != names - made:
        raise SystemExit(f'{sdist.name}: differs from git by {sorted(wanted ^ (names - made))}')


def timed(label: str, arguments: list, **where) -> None:
    began = time.monotonic()
    subprocess.run(arguments, check=True, **where)
    print(f'[{time.monotonic() - began:.1f} s: {label}]', flush=True)


def try_wheel(wheel: pathlib.Path, folder: pathlib.Path) -> None:
    """Installs the wheel and runs what a newcomer runs, in `folder`, which is empty."""
    python = folder / 'environment/bin/python'
    constraints = ROOT / f'constraints/python{sys.version_info[0]}.{sys.version_info[1]}.txt'
    install = [UV, 'pip', 'install', '--quiet', '--compile-bytecode', '--python', python]
    install += ['-c', constraints]
    env = os.environ | {'TFDS_DATA_DIR': str(folder / 'tensorflow_datasets')}
    env.pop('PYTHONPATH', None)
    timed('an environment', [UV, 'venv', '--quiet', '--python', sys.executable, python.parents[1]])
    for extra, tried in (('', PLAIN), ('[datasets]', DATASETS)):
        timed(f'ocelot_jax{extra} installed', [*install, f'{wheel}{extra}'])
        for label, arguments in tried.items():
            timed(label, [python, *arguments], cwd=folder, env=env)


if __name__ == '__main__':
    [sdist] = pathlib.Path(sys.argv[1]).resolve().glob('*.tar.gz')
    [wheel] = pathlib.Path(sys.argv[1]).resolve().glob('*.whl')
    for file in (sdist, wheel):
        print(f'{file.name}: {file.stat().st_size / 1e3:.0f} kB', flush=True)
    check_sdist(sdist)
    with tempfile.TemporaryDirectory() as folder:
        try_wheel(wheel, pathlib.Path(folder))
