"""Many slides into one folder: one after the other, by as many processes as there are.

Each slide's results take their place, `<output>/<name>`, by one rename when they are complete;
until then all is in `<output>/.<name>.partial`. Whoever holds the lock there works on the slide;
the lock goes with its process, however that ends.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ocelot_jax.io import disk, locks
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import outputs, pipeline, readers
from ocelot_jax.slides.result import SlideResult
from ocelot_jax.slides.slide import Slide

_RECORD = 'prediction.json'


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of some of the input.

    Attributes:
        text: a line to show the user.
        failed: whether it is an error.
    """

    text: str
    failed: bool = False


def find_slides(folder: Path) -> list[Path]:
    """The slides and images of a directory, by their suffixes, sorted.

    Raises:
        InputError: there are none, or two would share a name.
    """
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in readers.SUFFIXES
        and path.is_file()
        and not path.name.startswith('.')
    )
    if not paths:
        raise InputError(f'{folder}: holds no slide; want files of {", ".join(readers.SUFFIXES)}')
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
) -> Iterator[Outcome]:
    """Predicts slides; what is done already, or another process's, is left alone.

    Args:
        paths: the slides.
        method: how cells are found.
        output: the folder to write to.
        identity: what the results depend on beside the slides.
        mpp: um per pixel of the slides, instead of what their files state.
        everywhere: see `pipeline.make_plan`.

    Yields:
        What became of each slide.

    Raises:
        InputError: a slide failed; the others are done.
    """
    failures, busy = [], []
    for path in paths:
        try:
            outcome = _predict(path, method, output, identity, mpp, everywhere)
        except InputError as error:
            if len(paths) == 1:
                raise
            failures.append(path.name)
            outcome = Outcome(f'error: {path.name}: {error}', failed=True)
        if outcome is None:
            busy.append(path.name)
        else:
            yield outcome
    if busy:
        yield Outcome(
            f"{len(busy)} of {len(paths)} slides are another process's: {', '.join(busy)}"
        )
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
) -> Iterator[Outcome]:
    """Yields what `predict_slides` would do, and how long it would take at the rate measured."""
    rate, total, failures = None, 0.0, 0
    for path in paths:
        try:
            with Slide(path, mpp) as slide:
                plan = pipeline.make_plan(slide, method, everywhere)
                rate = rate or pipeline.measure(slide, method, plan)
        except InputError as error:
            if len(paths) == 1:
                raise
            failures += 1
            yield Outcome(f'error: {path.name}: {error}', failed=True)
            continue
        seconds = len(plan.groups) * rate if plan.groups else 0.0
        total += seconds
        area = plan.foreground.sum() * plan.foreground_mpp**2 / 1e6
        yield Outcome(
            f'{path.name}: {slide.width} x {slide.height} px at {slide.mpp:.4g} um/px, '
            f'{area:.3g} mm2 of tissue, {plan.num_windows} of {plan.layout.num_windows} cell '
            f'windows in {len(plan.groups)} tissue windows, {_duration(seconds)}'
        )
    yield Outcome(f'{len(paths) - failures} slides, {_duration(total)}; nothing was written')


def _predict(
    path: Path,
    method: pipeline.Method,
    output: Path,
    identity: dict[str, Any],
    mpp: float | None,
    everywhere: bool,
) -> Outcome | None:
    """Predicts a slide; None where another process is at it."""
    target, work = output / path.stem, output / f'.{path.stem}.partial'
    with disk.full_as_error(output), locks.try_lock(work / 'lock') as mine:
        if not mine:
            return None
        with Slide(path, mpp) as slide:
            record = identity | {'slide': slide.describe(), 'everywhere': everywhere}
            if target.exists():
                _check_done(target, record)
                outcome = Outcome(f'{target}: done already')
            else:
                plan = pipeline.make_plan(slide, method, everywhere)
                result = pipeline.predict_slide(slide, method, plan, work / 'found', record)
                _write(result, record, work / 'written', target)
                outcome = Outcome(
                    f'{target}: {len(result.cells)} cells in {plan.num_windows} windows'
                )
        shutil.rmtree(work)
        return outcome


def _write(result: SlideResult, record: dict[str, Any], work: Path, target: Path) -> None:
    """Writes everything to `work`, which then becomes `target`."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    outputs.write(result, work)
    (work / _RECORD).write_text(json.dumps(record, indent=2) + '\n')
    work.rename(target)


def _check_done(target: Path, record: dict[str, Any]) -> None:
    try:
        held = json.loads((target / _RECORD).read_text())
    except (OSError, json.JSONDecodeError):
        held = None
    if held != json.loads(json.dumps(record)):
        raise InputError(
            f'{target}: is there and holds other results; want another --output, or no such folder'
        )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d} h'
