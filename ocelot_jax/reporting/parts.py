"""Charts of training, thresholds and cells, from what the runs of a data set left."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics import calibration
from ocelot_jax.reporting import charts
from ocelot_jax.reporting.collect import Settings
from ocelot_jax.reporting.runs_below import Run
from ocelot_jax.runs import configuration, files
from ocelot_jax.runs.directory import RunDirectory
from ocelot_jax.runs.files import CellRecords

T = TypeVar('T')
Held = Mapping[str, Settings]  # by experiment

_FILES = RunDirectory(Path())  # their names, for notes


class Chart(NamedTuple):
    """A chart of the page; the picture is a data URI."""

    title: str
    caption: str
    picture: str


class Part(NamedTuple):
    """Charts on one subject; the notes tell what is missing, in a line each."""

    title: str
    charts: Sequence[Chart]
    notes: Sequence[str] = ()


def describe_training(held: Held) -> Part:
    """Draws scores and losses by epoch."""
    metrics, notes = _read_all(
        held, lambda run: files.read_metrics(run.directory.metrics), f'{_FILES.metrics}'
    )
    drawn = []
    caption = 'Thin: one seed. Bold: the mean of those that reach the epoch.'
    wanted = {
        'mF1': ('Validation mF1 by epoch', 'mF1, %', 100),
        'cell_loss': ('Training loss of the cell branch', 'Dice loss', 1),
        'tissue_loss': ('Training loss of the tissue branch', 'Dice loss', 1),
    }
    for column, (title, label, scale) in wanted.items():
        lines = {
            name: [
                (epochs['epoch'], scale * epochs[column])
                for epochs in repeats
                if np.isfinite(epochs.get(column, np.nan)).any()
            ]
            for name, repeats in metrics.items()
        }
        lines = {name: repeats for name, repeats in lines.items() if repeats}
        if lines:
            drawn.append(Chart(title, caption, charts.draw_curves(lines, ('epoch', label))))
    return Part('Training', drawn, notes)


def describe_thresholds(held: Held) -> Part:
    """Draws validation scores by detection threshold."""
    names = f'{_FILES.tuning} and {_FILES.detection}'
    tuned, notes = _read_all(held, _read_tuning, names)
    if not tuned:
        return Part('Detection threshold', (), notes)
    picture = charts.draw_curves(
        {name: [line for line, _ in repeats] for name, repeats in tuned.items()},
        ('threshold of confidence', 'mF1, %'),
        {
            name: float(np.mean([chosen for _, chosen in repeats]))
            for name, repeats in tuned.items()
        },
    )
    caption = 'On validation, at the smoothing and least distance chosen. Dots: what was chosen.'
    chart = Chart('mF1 by the threshold of confidence', caption, picture)
    return Part('Detection threshold', [chart], notes)


def _read_tuning(run: Run) -> tuple[charts.Line, float]:
    """Reads mF1 in percent by threshold, beside the other settings chosen, and the one chosen."""
    grid = files.read_tuning(run.directory.tuning)
    chosen = configuration.load_detection(run.directory.detection)
    beside = np.logical_and.reduce(
        [np.isclose(grid[name], chosen[name]) for name in ('sigma_um', 'min_distance_um')]
    )
    if not beside.any():
        raise InputError(
            f'{run.directory.tuning}: has no line with the sigma_um and min_distance_um of '
            f'{_FILES.detection}; tune the run again'
        )
    order = np.argsort(grid['threshold'][beside])
    line = grid['threshold'][beside][order], 100 * grid['mF1'][beside][order]
    return line, chosen['threshold']


def describe_cells(held: Held, split: str) -> tuple[Part, Part, Part]:
    """Draws precision by recall, calibration and confusion, of all repeats' cells together."""
    counting = {
        name: dataclasses.replace(settings, runs=runs)
        for name, settings in held.items()
        if (runs := tuple(run for run in settings.runs if split in run.evaluated))
    }
    file = f'{_FILES.evaluation(split).cells}'
    cells, notes = _read_all(counting, lambda run: run.cells(split), file)
    pool = lambda repeats: map(
        np.concatenate, zip(*(vars(of).values() for of in repeats), strict=True)
    )
    pooled = {name: CellRecords(*pool(repeats)) for name, repeats in cells.items()}
    classes = next(iter(held.values())).runs[0].cell_classes
    return (
        Part('Precision and recall', [*_precision_recall(pooled, classes)], notes),
        Part('Calibration', [*_calibration(pooled)], notes),
        Part('Confusion', [*_confusion(pooled, classes)], notes),
    )


def _precision_recall(
    pooled: Mapping[str, CellRecords], classes: Sequence[str]
) -> Iterator[Chart]:
    for label, name in enumerate(classes, start=1):
        lines = {
            of: calibration.precision_recall(
                cells.scores[cells.found == label],
                cells.matched[cells.found == label],
                int((cells.true == label).sum()),
            )
            for of, cells in pooled.items()
            if (cells.found == label).any()
        }
        if lines:
            picture = charts.draw_precision_recall(lines)
            caption = 'Dots: all cells that were found.'
            yield Chart(f'Precision and recall of {name}', caption, picture)


def _calibration(pooled: Mapping[str, CellRecords]) -> Iterator[Chart]:
    reliable = {
        of: calibration.reliability(cells.scores[cells.found > 0], cells.matched[cells.found > 0])
        for of, cells in pooled.items()
        if (cells.found > 0).any()
    }
    if reliable:
        caption = (
            'On the dashed line a confidence is what it says; numbers: expected calibration '
            'error, percentage points.'
        )
        yield Chart('Confidence and truth', caption, charts.draw_reliability(reliable))


def _confusion(pooled: Mapping[str, CellRecords], classes: Sequence[str]) -> Iterator[Chart]:
    tables = {
        of: calibration.confusion(cells.found, cells.true, len(classes))
        for of, cells in pooled.items()
    }
    if not tables:
        return
    labels = range(1, len(classes) + 1)
    for label, name in enumerate(classes, start=1):
        parts = [label, *(other for other in labels if other != label), 0]
        shares = {of: (t[label] / max(t[label].sum(), 1))[parts] for of, t in tables.items()}
        order = ', '.join(f'as {classes[part - 1]}' if part else 'not at all' for part in parts)
        picture = charts.draw_stacks(shares, parts, '% of them')
        yield Chart(f'True {name} are found', f'From the left: {order}.', picture)
    false = {of: t[0, 1:] / max(t[1:].sum(), 1) for of, t in tables.items()}
    picture = charts.draw_stacks(false, [*labels], 'per 100 true cells')
    yield Chart('Found where no cell is', f'From the left: {", ".join(classes)}.', picture)


def _read_all(
    held: Held, read: Callable[[Run], T], name: str
) -> tuple[dict[str, list[T]], list[str]]:
    """Reads something of every run; what is missing or wrong becomes a note."""
    found: dict[str, list[T]] = {}
    missing: dict[str, int] = {}
    notes = []
    for experiment, settings in held.items():
        for run in settings.runs:
            try:
                found.setdefault(experiment, []).append(read(run))
            except FileNotFoundError:
                missing[experiment] = missing.get(experiment, 0) + 1
            except InputError as error:
                notes.append(f'Left out: {error}.')
    if missing:
        told = ', '.join(
            of if count == len(held[of].runs) else f'{of} ({count} of {len(held[of].runs)} runs)'
            for of, count in missing.items()
        )
        notes.append(f'Without {name}: {told}.')
    return {of: repeats for of, repeats in found.items() if repeats}, notes
