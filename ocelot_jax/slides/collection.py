"""Many slides into one folder, by this process or on a cluster, and a table over all of them."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ocelot_jax.cluster import pool as pool_lib
from ocelot_jax.cluster.pool import Ended, Failure, Pool
from ocelot_jax.io import names
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import foreground, pipeline, readers
from ocelot_jax.slides.cohort import Table
from ocelot_jax.slides.slide import OpenReader, Slide

# To write ten thousand rows after each of ten thousand slides would take minutes.
_TABLE_SECONDS = 10.0
# A line names no more slides.
_FEW = 5


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of some of the input.

    Attributes:
        text: a line to show the user.
        failed: whether it is an error.
    """

    text: str
    failed: bool = False


def predict_slides(
    slides: Mapping[str, Path], pool: Pool, output: Path, shard: tuple[int, int] = (0, 1)
) -> Iterator[Outcome]:
    """Predicts slides, and keeps `slides.csv`; what is done already is left alone.

    Args:
        slides: the files by the names of their results.
        pool: runs `prediction.predict` for each.
        output: the folder to write to.
        shard: see `cohort.Table`.

    Yields:
        What became of each slide.

    Raises:
        InputError: a slide failed; the others are done.
    """
    shown = _shown(slides)
    table, failures = Table(output, shown, shard), []
    table.write()
    written = time.monotonic()
    try:
        for ended in pool.run(slides):
            if ended.error is None:
                table.done(ended.name, ended.value.numbers, ended.value.record, _seconds(ended))
            else:
                failures.append(ended.name)
                table.failed(ended.name, _why(ended.error, shown[ended.name]))
            if time.monotonic() - written > _TABLE_SECONDS:
                table.write()
                written = time.monotonic()
            yield tell(ended, shown[ended.name], output)
    finally:
        table.write()
    if failures:
        raise InputError(
            f'{_count(failures, slides)}; the others are in {output}, and {table.path.name} '
            'there lists all'
        )


def tell(ended: Ended, path: Path, output: Path) -> Outcome:
    """Tells what became of a slide."""
    target = output / ended.name
    if ended.error is not None:
        return Outcome(f'error: {path}: {_why(ended.error, path)}', failed=True)
    if ended.value.windows is None:
        return Outcome(f'{target}: done already')
    count = sum(ended.value.numbers['cells'].values())
    return Outcome(f'{target}: {count} cells in {ended.value.windows} windows')


def _why(error: str, path: Path) -> str:
    """The error of a slide without its path, which most begin with."""
    return error.removeprefix(f'{path}: ')


def _count(failures: Sequence[str], slides: Mapping[str, Path]) -> str:
    few = ', '.join([*failures[:_FEW], *['...'] * (len(failures) > _FEW)])
    return f'{len(failures)} of {len(slides)} slides failed: {few}'


def _shown(slides: Mapping[str, Path]) -> dict[str, Path]:
    """The files by names that can be written; where that is not their name, they are refused."""
    return {name: Path(names.shown(path)) for name, path in slides.items()}


def _seconds(ended: Ended) -> float | None:
    return None if ended.value.windows is None else ended.seconds


def estimate_slides(
    slides: Mapping[str, Path],
    method: pipeline.Method,
    mpps: Mapping[str, float],
    output: Path,
    override_mpp: bool = False,
    everywhere: bool = False,
    open_reader: OpenReader = readers.open_reader,
) -> Iterator[Outcome]:
    """Tells what `predict_slides` would do, and how long it would take at the rate measured.

    Args:
        slides: the files by the names of their results.
        method: how cells are found.
        mpps: um/px of slides by the same names, where their files state none.
        output: the folder that would be written to; what has results there takes no time.
        override_mpp: see `Slide`.
        everywhere: see `pipeline.make_plan`.
        open_reader: see `Slide`.

    Yields:
        What would become of each slide, then of all.

    Raises:
        InputError: a slide cannot be predicted; the others are told.
    """
    shown = _shown(slides)
    rate, total, failures = None, 0.0, []
    for name, path in slides.items():
        if (output / name).exists():
            yield Outcome(f'{output / name}: is there')
            continue
        try:
            with Slide(path, mpps.get(name), name, override_mpp, open_reader) as slide:
                plan = pipeline.make_plan(slide, method, everywhere)
                if rate is None and plan.groups:
                    rate = pipeline.measure(slide, method, plan)
        except Exception as error:
            if len(slides) == 1:
                raise
            failures.append(name)
            yield tell(pool_lib.failed(name, Failure.of(error)), shown[name], Path())
            continue
        seconds = method.computed(len(plan.groups)) * (rate or 0.0)
        total += seconds
        area = foreground.area_mm2(plan.foreground, plan.foreground_mpp, slide.size_um)
        yield Outcome(
            f'{path.name}: {slide.width} x {slide.height} px at {slide.mpp:.4g} um/px, '
            f'{area:.3g} mm2 of tissue, {plan.num_windows} of {plan.layout.num_windows} cell '
            f'windows in {len(plan.groups)} tissue windows, {_duration(seconds)}'
        )
    count = len(slides) - len(failures)
    yield Outcome(f'{count} slides, {_duration(total)}; nothing was written')
    if failures:
        raise InputError(_count(failures, slides))


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d} h'
