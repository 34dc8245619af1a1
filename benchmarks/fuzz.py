"""Damaged inputs: `python -m benchmarks.fuzz --inputs=2000 --seed=0`.

Each input is a small valid one with one file changed at random. It is checked, scored or
predicted with a stand-in for the network, and must be processed, or refused by one line within
10 seconds that leaves no result. Prints a JSON line for each that is not, and exits with status 1
then.
"""

import argparse
import collections
import contextlib
import json
import logging
import multiprocessing
import multiprocessing.connection
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

_SECONDS = 10
_PROCESSES = 2
_LARGE = 1 << 20  # weights: a change of one is a change of them
# what a command reads where a slide is done already
_READ_AGAIN = 'mpp.csv', 'out/slides.csv', 'out/a/prediction.json', 'out/a/summary.json'
_NUMBERS = 'NaN', '1e308', '-1', '99999999999999999999', '0', 'true', 'null', '""', '[]', '1e-320'


def main() -> None:
    """Fuzzes in processes of which each goes on where a dead one stopped."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--inputs', type=int, default=2000)
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    context = multiprocessing.get_context('spawn')
    results, started = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        _make_inputs(Path(folder) / 'inputs')
        running = {}
        pending = collections.deque(
            list(range(options.inputs))[i::_PROCESSES] for i in range(_PROCESSES)
        )
        while pending or running:
            while pending and len(running) < _PROCESSES:
                share = pending.popleft()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_work, args=(Path(folder), options.seed, share, theirs)
                )
                process.start()
                theirs.close()
                running[ours] = process, share
            for ours in multiprocessing.connection.wait(list(running), _SECONDS * 6):
                process, share = running[ours]
                try:
                    results.append(ours.recv())
                    del share[0]
                    _tell(results[-1])
                    if len(results) % 100 == 0:
                        seconds = time.monotonic() - started
                        print(f'{len(results)} in {seconds:.0f} s', file=sys.stderr, flush=True)
                except EOFError:
                    process.join()
                    del running[ours]
                    if share:
                        results.append((share[0], '?', f'died: {process.exitcode}'))
                        _tell(results[-1])
                        if share[1:]:
                            pending.append(share[1:])
    bad = [result for result in results if result[2] not in ('processed', 'refused')]
    counts = collections.Counter(verdict for *_, verdict in results)
    print(
        json.dumps(
            {
                'inputs': len(results),
                'bad': len(bad),
                **{key: counts[key] for key in ('processed', 'refused')},
            }
        )
    )
    sys.exit(bool(bad))


def _tell(result: tuple[int, str, str]) -> None:
    number, name, verdict = result
    if verdict not in ('processed', 'refused'):
        print(json.dumps({'input': number, 'file': name, 'verdict': verdict}), flush=True)


def _make_inputs(folder: Path) -> None:
    """Writes one valid input of each kind."""
    _use_tests()
    import conftest
    import drawn_pairs
    import drawn_slides
    import fake_runs
    import numpy as np
    from PIL import Image

    from ocelot_jax.runs import configuration

    pairs = conftest.make_release(folder / 'pairs', {'train': 3})
    for kind, ending in (('cell', '.png'), ('tissue', '.tif')):
        path = pairs / f'images/train/{kind}/003.jpg'
        with Image.open(path) as image:
            image.save(path.with_suffix(ending))
        path.unlink()
    shutil.copytree(pairs, folder / 'score/data')
    point = {'name': 'image_0', 'point': [3, 4, 1], 'probability': 0.5}
    document = {
        'type': 'Multiple points',
        'points': [point] * 3,
        'version': {'major': 1, 'minor': 0},
    }
    (folder / 'score/predictions.json').write_text(json.dumps(document))
    (folder / 'zip').mkdir()
    shutil.make_archive(folder / 'zip/pairs', 'zip', pairs)
    drawn_pairs.write_stacks(folder / 'stacks', 2)
    fake_runs.make_run(folder / 'run', fake_runs.small_config())
    detection = {'sigma_um': 0.5, 'min_distance_um': 1.5, 'threshold': 0.3}
    configuration.write_detection(folder / 'run/detection.json', detection)
    (folder / 'cohort/in').mkdir(parents=True)
    points, labels = drawn_slides.spread_cells(50, 50, 12.0, np.random.default_rng(0))
    image = drawn_slides.draw_slide(100, 100, 0.5, points, labels)
    drawn_slides.write_pyramid(folder / 'cohort/in/a.tif', image, None)
    (folder / 'cohort/mpp.csv').write_text('name,um/px\na.tif,0.5\n')
    for name in ('tiled.tif', 'plain.png', 'plain.jpg', 'strips.tif', 'ome.ome.tif'):
        (folder / f'slide {name}').mkdir()
        path = folder / f'slide {name}' / name
        if name == 'tiled.tif':
            drawn_slides.write_pyramid(path, image, 0.5, (2,))
        elif name.startswith('plain'):
            Image.fromarray(image).save(path, dpi=(25400 / 0.5,) * 2)
        else:
            _write_tiff(path, image)


def _write_tiff(path, image):
    import tifffile

    if 'ome' in path.name:
        metadata = {
            'axes': 'YXS',
            'PhysicalSizeX': 0.5,
            'PhysicalSizeXUnit': 'um',
            'PhysicalSizeY': 0.5,
            'PhysicalSizeYUnit': 'um',
        }
        tifffile.imwrite(path, image, photometric='rgb', metadata=metadata)
    else:
        tifffile.imwrite(
            path,
            image,
            photometric='rgb',
            rowsperstrip=16,
            resolution=(2e4, 2e4),
            resolutionunit='CENTIMETER',
        )


def _use_tests() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / 'tests'))


def _work(folder, seed, share, pipe) -> None:
    _use_tests()
    logging.disable(logging.CRITICAL)
    import drawn_slides
    import fake_runs
    import stub_workers

    from ocelot_jax.inference import engines
    from ocelot_jax.prediction import slides
    from ocelot_jax.runs import loading
    from ocelot_jax.slides import outputs

    outputs.write = stub_workers.write_few
    # one for all inputs, as for all slides of a folder
    reading = slides.ReadingProcess()
    slides.ReadingProcess = lambda: reading
    own = folder / str(os.getpid())
    config = fake_runs.small_config(detection__backend='skimage')
    run = fake_runs.make_run(own / 'run', config)
    load = loading.load_runs
    loaded = load([run])
    loading.load_runs = lambda *args, **kwargs: loaded
    engines.of_runs = lambda runs, name: drawn_slides.darkness
    kinds = sorted((folder / 'inputs').iterdir())
    for kind in kinds:  # what is done for the first time takes long
        work = shutil.copytree(kind, own / 'first')
        _judge(_steps(kind.name, work, own / 'out', run, load), work, own / 'out', seconds=120)
        if kind.name == 'cohort':
            (work / 'out').rename(own / 'done')
        shutil.rmtree(own / 'first')
        shutil.rmtree(own / 'out', ignore_errors=True)
    for number in share:
        dice = random.Random(f'{seed} {number}')
        work = own / str(number)
        kind = kinds[number % len(kinds)]
        shutil.copytree(kind, work)
        files = sorted(p for p in work.rglob('*') if p.is_file())
        if kind.name == 'cohort':  # its slide is done already
            shutil.copytree(own / 'done', work / 'out')
            files = [work / name for name in _READ_AGAIN]
        file = dice.choice([p for p in files if p.stat().st_size < _LARGE])
        file.write_bytes(_mutate(file, dice))
        verdict = _judge(_steps(kind.name, work, own / 'out', run, load), work, own / 'out')
        pipe.send((number, f'{kind.name}/{file.relative_to(work)}', verdict))
        shutil.rmtree(work)
        shutil.rmtree(own / 'out', ignore_errors=True)


def _mutate(file: Path, dice: random.Random) -> bytes:
    """The file's bytes with one change."""
    data = bytearray(file.read_bytes())
    text = file.suffix in ('.json', '.csv')
    ways = ['flip', 'cut', 'insert', 'double', *(['number', 'number', 'line'] if text else [])]
    way = dice.choice(ways)
    # half of the changes are where the headers are
    reach = min(len(data), dice.choice([300, len(data)])) or 1
    place, length = dice.randrange(reach), dice.randrange(1, 20)
    if way == 'cut':
        return bytes(data[:place])
    if way == 'insert':
        data[place:place] = dice.randbytes(length)
    elif way == 'double':
        data[place:place] = data[place:][:length]
    elif way == 'flip':
        for _ in range(dice.choice([1, 1, 5])):
            if data:
                data[dice.randrange(min(reach, len(data)))] ^= 1 << dice.randrange(8)
    else:
        return _mutate_text(data.decode('utf-8', 'replace'), way, dice).encode()
    return bytes(data)


def _mutate_text(text: str, way: str, dice: random.Random) -> str:
    import re

    if way == 'line':
        lines = text.replace(', ', ',\n').splitlines() or ['']
        place = dice.randrange(len(lines))
        lines[place : place + 1] = dice.choice([[], [lines[place]] * 2])
        return '\n'.join(lines)
    numbers = list(re.finditer(r'-?\d+(\.\d+)?', text))
    if not numbers:
        return text
    found = dice.choice(numbers)
    return text[: found.start()] + dice.choice(_NUMBERS) + text[found.end() :]


class _TooLong(BaseException):
    """No error that anything handles."""


def _judge(
    steps: list[Callable[[], object]], work: Path, out: Path, seconds: int = _SECONDS
) -> str:
    from ocelot_jax.io.errors import InputError

    def too_long(*_):
        raise _TooLong

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    verdict = 'processed'
    try:
        with open(os.devnull, 'w') as null, contextlib.redirect_stdout(null):
            for step in steps:
                try:
                    step()
                except InputError as error:
                    verdict = 'refused'
                    if '\n' in str(error):
                        return f'several lines: {error}'
                    if str(work) not in str(error):
                        return f'names no file: {error}'
                    left = [
                        p.name
                        for p in out.rglob('*')
                        if p.name
                        in ('predictions.json', 'prediction.json', 'cell_classification.json')
                    ]
                    if left:
                        return f'refused, but left {left}: {error}'
    except BaseException:
        return 'traceback: ' + ' | '.join(traceback.format_exc().strip().splitlines()[-7:])
    finally:
        signal.alarm(0)
    return verdict


def _steps(
    kind: str, work: Path, out: Path, run: Path, load: Callable
) -> list[Callable[[], object]]:
    """What is done with an input of a kind."""
    from ocelot_jax.data.pair_folder import PairFolder
    from ocelot_jax.dataset_statistics import describing
    from ocelot_jax.evaluation import official
    from ocelot_jax.prediction import to_files
    from ocelot_jax.prediction.options import Options

    if kind == 'score':
        return [
            lambda: official.score_file(
                work / 'predictions.json', PairFolder(work / 'data'), 'train'
            )
        ]
    if kind == 'run':
        return [lambda: load([work]).load_patches()]
    if kind == 'cohort':
        options = Options(mpp=work / 'mpp.csv')
        return [lambda: to_files.predict_input([run], work / 'in', work / 'out', options)]
    source = work
    if kind == 'zip':
        source = work / 'pairs.zip'
    elif kind.startswith('slide '):
        source = work / kind.removeprefix('slide ')
    predict = lambda: list(to_files.predict_input([run], source, out))
    if kind in ('pairs', 'zip'):
        return [
            lambda: PairFolder(source).validate(),
            lambda: describing.describe(str(source), None, None),
            predict,
        ]
    return [predict]


if __name__ == '__main__':
    main()
