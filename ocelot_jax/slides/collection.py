"""Many slides into one folder: one after the other, by as many processes as there are.

Each slide's results take their place, `<output>/<name>`, by one rename when they are complete;
until then all is in `<output>/.<name>.partial`. Whoever holds the lock there works on the slide;
the lock goes with its process, however that ends.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ocelot_jax.io import locks
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import outputs, pipeline, reader
from ocelot_jax.slides.reader import Slide

_RECORD = 'prediction.json'


def find_slides(folder: Path) -> list[Path]:
    """The slides and images of a directory, by their suffixes, sorted.

    Raises:
        InputError: there are none, or two would share a name.
    """
    suffixes = (*reader.SLIDES, *reader.PLAIN)
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith('.')
    )
    if not paths:
        raise InputError(f'{folder}: holds no slide; want files of {", ".join(suffixes)}')
    seen: dict[str, Path] = {}
    for path in paths:
        if path.stem in seen:
            raise InputError(
                f'{path}: its results would take the place of those of {seen[path.stem].name}; '
                'rename one of the two'
            )
        seen[path.stem] = path
    return paths


def predict_slides(
    paths: Sequence[Path],
    method: pipeline.Method,
    output: Path,
    identity: dict[str, Any],
    mpp: float | None = None,
    everywhere: bool = False,
) -> None:
    """Predicts slides; what is done already, or another process's, is left alone.

    Args:
        paths: the slides.
        method: how cells are found.
        output: the folder to write to.
        identity: what the results depend on beside the slides.
        mpp: um per pixel of the slides, where they do not tell it.
        everywhere: see `pipeline.make_plan`.

    Raises:
        InputError: a slide failed; the others are done.
    """
    failures, busy = [], []
    for path in paths:
        try:
            work = output / f'.{path.stem}.partial'
            with locks.try_lock(work / 'lock') as mine:
                if mine:
                    _predict(path, method, output, identity, mpp, everywhere)
                    shutil.rmtree(work)
                else:
                    busy.append(path.name)
        except (OSError, ValueError) as error:
            if len(paths) == 1:
                raise
            failures.append(path.name)
            print(f'error: {path.name}: {error}', file=sys.stderr)
    if busy:
        print(f"{len(busy)} of {len(paths)} slides are another process's: {', '.join(busy)}")
    if failures:
        raise InputError(
            f'{len(failures)} of {len(paths)} slides failed: {", ".join(failures)}; the others '
            f'are in {output}'
        )


def estimate_slides(
    paths: Sequence[Path],
    method: pipeline.Method,
    mpp: float | None = None,
    everywhere: bool = False,
) -> None:
    """Prints what `predict_slides` would do, and how long it would take at the rate measured."""
    rate, total, failures = None, 0.0, []
    for path in paths:
        try:
            with Slide(path, mpp) as slide:
                plan = pipeline.make_plan(slide, method, everywhere)
                rate = rate or pipeline.measure(slide, method, plan)
        except (OSError, ValueError) as error:
            if len(paths) == 1:
                raise
            failures.append(path.name)
            print(f'error: {path.name}: {error}', file=sys.stderr)
            continue
        seconds = len(plan.groups) * rate if plan.groups else 0.0
        total += seconds
        area = plan.foreground.sum() * plan.foreground_mpp**2 / 1e6
        print(
            f'{path.name}: {slide.width} x {slide.height} px at {slide.mpp:.4g} um/px, '
            f'{area:.3g} mm2 of tissue, {plan.num_windows} of {plan.layout.num_windows} cell '
            f'windows in {len(plan.groups)} tissue windows, {_duration(seconds)}'
        )
    print(f'{len(paths) - len(failures)} slides, {_duration(total)}; nothing was written')


def _predict(
    path: Path,
    method: pipeline.Method,
    output: Path,
    identity: dict[str, Any],
    mpp: float | None,
    everywhere: bool,
) -> None:
    """Predicts a slide that is claimed."""
    target, work = output / path.stem, output / f'.{path.stem}.partial'
    with Slide(path, mpp) as slide:
        record = identity | {'slide': slide.describe(), 'everywhere': everywhere}
        if target.exists():
            _check_done(target, record)
            print(f'{target}: done already')
            return
        plan = pipeline.make_plan(slide, method, everywhere)
        result = pipeline.predict_slide(slide, method, plan, work / 'found', record)
        written = work / 'written'
        shutil.rmtree(written, ignore_errors=True)
        written.mkdir()
        outputs.write_outputs(result, written)
        (written / _RECORD).write_text(json.dumps(record, indent=2) + '\n')
        written.rename(target)
    print(f'{target}: {len(result.labels)} cells in {plan.num_windows} windows')


def _check_done(target: Path, record: dict[str, Any]) -> None:
    try:
        held = json.loads((target / _RECORD).read_text())
    except (OSError, json.JSONDecodeError):
        held = None
    if held != json.loads(json.dumps(record)):
        raise InputError(
            f'{target}: is there and holds something else; want another --output, or none there'
        )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d} h'
