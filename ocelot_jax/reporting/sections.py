"""What the page says of one data set: charts, the order of the experiments, patches."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.metrics import calibration
from ocelot_jax.reporting import charts, comparisons, experiments, gallery, paper_scores
from ocelot_jax.reporting.collect import Collection, Run, Settings
from ocelot_jax.reporting.comparisons import Order
from ocelot_jax.reporting.paper_scores import POPULATION
from ocelot_jax.runs import configuration, files
from ocelot_jax.runs.files import CellRecords

T = TypeVar('T')
Held = Mapping[str, Settings]
_MOST_BARS = 8  # Organs with a chart.


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
        title: what it shows.
        caption: how to read it.
        svg: the picture, an `<svg>` element.
    """

    title: str
    caption: str
    svg: str


@dataclasses.dataclass(frozen=True)
class Part:
    """Charts on one subject.

    Attributes:
        title: the subject.
        charts: they.
        notes: what is missing, in a line each.
    """

    title: str
    charts: tuple[Chart, ...]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Patches:
    """Patches on one subject.

    Attributes:
        title: the subject.
        caption: how they were chosen.
        examples: they.
        notes: why there are none.
    """

    title: str
    caption: str
    examples: tuple[gallery.Example, ...]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Section:
    """All of one data set.

    Attributes:
        data: the data set.
        split: which the cells, organs and patches are of: 'test' where it was evaluated, else
            'validation'.
        order: of the experiments; None where there are not two.
        scores: their scores as bars.
        parts: charts by subject.
        patches: patches by subject.
        legend: of the patches' marks.
    """

    data: str
    split: str
    order: Order | None
    scores: Part
    parts: tuple[Part, ...]
    patches: tuple[Patches, ...]
    legend: gallery.Legend


def describe(found: Collection, data: str) -> Section:
    """Gathers what is to be said of a data set.

    Args:
        found: all runs.
        data: the data set; its chosen settings are shown.

    Returns:
        The section. What is missing or unreadable is told in its notes.
    """
    held = dict(sorted(found.experiments(data).items(), key=lambda item: _rank(item[0])))
    split = (
        'test' if any(settings.estimate('test') for settings in held.values()) else 'validation'
    )
    order = comparisons.find_order(found, data)
    parts = (
        _training(held, data),
        _thresholds(held, data),
        *_cells(held, data, split),
        _organs(held, data, split),
    )
    patches = _patches(held, split)
    legend = gallery.Legend.of(next(iter(held.values())).runs[0])
    scores = _scores(held, data, split)
    return Section(data, split, order, scores, parts, patches, legend)


def _rank(experiment: str) -> tuple[int, str]:
    in_table = experiment in experiments.TABLE_5
    return (experiments.TABLE_5.index(experiment) if in_table else 99, experiment)


def _scores(held: Held, data: str, split: str) -> Part:
    drawn = []
    for of in dict.fromkeys(('validation', split)):
        bars = _bars(held, data, of, POPULATION)
        if bars:
            caption = 'Means over repeats with 95% intervals.'
            if any(bar.paper for bar in bars):
                caption += ' Diamonds: the paper.'
            svg = charts.draw_bars(bars, f'{data} scores {of}')
            drawn.append(Chart(f'mF1 on {of}, %', caption, svg))
    return Part('Scores', tuple(drawn))


def _organs(held: Held, data: str, split: str) -> Part:
    rows: dict[str, int] = {}
    for run in (run for settings in held.values() for run in settings.runs):
        table = run.scores.get(split, {})
        rows |= {name: int(row.get('pairs', 0)) for name, row in table.items()}
    organs = sorted((name for name in rows if name != POPULATION), key=lambda name: -rows[name])
    if len(organs) < 2:
        of = f'one organ, {organs[0]}' if organs else 'no organs'
        return Part('Organs', (), (f'The evaluations on {split} tell of {of}.',))
    drawn = [
        Chart(
            f'{organ}: mF1 on {split}, %',
            f'{rows[organ]} pairs.',
            charts.draw_bars(_bars(held, data, split, organ), f'{data} organ {organ}'),
        )
        for organ in organs[:_MOST_BARS]
    ]
    left = organs[_MOST_BARS:]
    notes = (f'Without a chart, of fewer pairs: {", ".join(left)}.',) if left else ()
    return Part('Organs', tuple(drawn), notes)


def _bars(held: Held, data: str, split: str, subset: str) -> list[charts.Bar]:
    table = '6' if subset in paper_scores.ORGANS else '5'
    return [
        charts.Bar(
            name,
            estimate,
            paper_scores.SCORES.get(paper_scores.Key(table, name, data, split, subset)),
        )
        for name, settings in held.items()
        if (estimate := settings.estimate(split, subset))
    ]


def _training(held: Held, data: str) -> Part:
    metrics, notes = _read_all(held, Run.metrics, 'metrics.csv')
    drawn = []
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
            svg = charts.draw_curves(lines, ('epoch', label), f'{data} {column}')
            drawn.append(
                Chart(title, 'Thin: one seed. Bold: the mean of those that reach the epoch.', svg)
            )
    return Part('Training', tuple(drawn), notes)


def _thresholds(held: Held, data: str) -> Part:
    tuned, notes = _read_all(held, _read_tuning, 'tuning.csv and detection.json')
    if not tuned:
        return Part('Detection threshold', (), notes)
    svg = charts.draw_thresholds(
        {name: [line for line, _ in repeats] for name, repeats in tuned.items()},
        {name: [chosen for _, chosen in repeats] for name, repeats in tuned.items()},
        f'{data} thresholds',
    )
    caption = 'On validation, at the smoothing and least distance chosen. Dots: what was chosen.'
    chart = Chart('mF1 by the threshold of confidence', caption, svg)
    return Part('Detection threshold', (chart,), notes)


def _read_tuning(run: Run) -> tuple[charts.Line, float]:
    """Reads mF1 in percent by threshold, beside the other settings chosen, and the one chosen."""
    grid = files.read_tuning(run.directory.tuning)
    chosen = configuration.load_detection(run.path)
    if not chosen:
        raise MissingFileError(f'{run.directory.detection}: not there; tune the run first')
    beside = np.logical_and.reduce(
        [np.isclose(grid[name], chosen[name]) for name in ('sigma_um', 'min_distance_um')]
    )
    if not beside.any():
        raise InputError(
            f'{run.directory.tuning}: has no line with the sigma_um and min_distance_um of '
            'detection.json; tune the run again'
        )
    order = np.argsort(grid['threshold'][beside])
    line = grid['threshold'][beside][order], 100 * grid['mF1'][beside][order]
    return line, chosen['threshold']


def _cells(held: Held, data: str, split: str) -> tuple[Part, ...]:
    """Tells precision by recall, calibration and confusion, of all repeats' cells together."""
    cells, notes = _read_all(held, lambda run: run.cells(split), f'evaluation/{split}/cells.csv')
    pooled = {name: _pool(repeats) for name, repeats in cells.items()}
    pairs, _ = _read_all(held, lambda run: run.pairs(split), f'evaluation/{split}/pairs.csv')
    classes = next(iter(held.values())).runs[0].cell_classes
    sharpness, reliability = [], []
    for label, name in enumerate(classes, start=1):
        lines = {
            of: calibration.precision_recall(
                all_cells.scores[all_cells.found == label],
                all_cells.matched[all_cells.found == label],
                sum(int(repeat.counts[:, 2, label - 1].sum()) for repeat in pairs[of]),
            )
            for of, all_cells in pooled.items()
            if of in pairs and (all_cells.found == label).any()
        }
        if lines:
            svg = charts.draw_precision_recall(lines, f'{data} precision {name}')
            caption = 'Dots: all cells that were found.'
            sharpness.append(Chart(f'Precision and recall of {name}', caption, svg))
    reliable = {
        of: calibration.reliability(
            all_cells.scores[all_cells.found > 0], all_cells.matched[all_cells.found > 0]
        )
        for of, all_cells in pooled.items()
        if (all_cells.found > 0).any()
    }
    if reliable:
        svg = charts.draw_reliability(reliable, f'{data} reliability')
        caption = (
            'On the dashed line a confidence is what it says; numbers: expected calibration '
            'error, percentage points.'
        )
        reliability.append(Chart('Confidence and truth', caption, svg))
    return (
        Part('Precision and recall', tuple(sharpness), notes),
        Part('Calibration', tuple(reliability), notes),
        Part('Confusion', tuple(_confusion(pooled, classes, data)), notes),
    )


def _pool(repeats: Sequence[CellRecords]) -> CellRecords:
    fields = [field.name for field in dataclasses.fields(CellRecords)]
    return CellRecords(
        *(np.concatenate([getattr(repeat, field) for repeat in repeats]) for field in fields)
    )


def _confusion(
    pooled: Mapping[str, CellRecords], classes: Sequence[str], data: str
) -> list[Chart]:
    tables = {
        of: calibration.confusion(cells.found, cells.true, len(classes))
        for of, cells in pooled.items()
    }
    if not tables:
        return []
    drawn = []
    labels = range(1, len(classes) + 1)
    for label, name in enumerate(classes, start=1):
        parts = [label, *(other for other in labels if other != label), 0]
        shares = {of: (t[label] / max(t[label].sum(), 1))[parts] for of, t in tables.items()}
        order = ', '.join(f'as {classes[part - 1]}' if part else 'not at all' for part in parts)
        svg = charts.draw_stacks(shares, parts, '% of them', f'{data} confusion {name}')
        drawn.append(Chart(f'True {name} are found', f'From the left: {order}.', svg))
    false = {of: t[0, 1:] / max(t[1:].sum(), 1) for of, t in tables.items()}
    svg = charts.draw_stacks(false, [*labels], 'per 100 true cells', f'{data} confusion none')
    caption = f'From the left: {", ".join(classes)}.'
    return [*drawn, Chart('Found where no cell is', caption, svg)]


def _patches(held: Held, split: str) -> tuple[Patches, ...]:
    first, second = experiments.CELL_ONLY, experiments.PRED_INTER_2
    caption = (
        f'Where {second} makes the fewest mistakes (false and missed cells) beside {first}, and '
        'where it makes the most; the lowest seed of each. As Figures 7 and E.1.'
    )
    title = f'{first} and {second} on the same patches'
    compared = Patches(title, caption, (), ('There are not runs of both.',))
    if first in held and second in held:
        compared = _drawn(
            title,
            caption,
            lambda: gallery.compare(held[first].runs[0], held[second].runs[0], split),
        )
    ranked = sorted(
        (
            (settings.estimate('validation').mean, name)
            for name, settings in held.items()
            if name != experiments.LEAKING and settings.estimate('validation')
        ),
        reverse=True,
    )
    if not ranked:
        return (compared,)
    best = ranked[0][1]
    caption = (
        f'{best} has the highest validation mF1 of the models that are not told the true tissue. '
        'Its lowest seed; patches of five true cells or more.'
    )
    draw = lambda: gallery.extremes(held[best].runs[0], split)
    return compared, _drawn(f'Best and worst patches of {best}', caption, draw)


def _drawn(title: str, caption: str, draw: Callable[[], list[gallery.Example]]) -> Patches:
    try:
        examples = tuple(draw())
    except FileNotFoundError as error:
        told = f'{error.filename} is not there' if error.filename else str(error)
        return Patches(title, caption, (), (f'Not drawn: {told}.',))
    except (ImportError, OSError, ValueError) as error:
        return Patches(title, caption, (), (f'Not drawn: {error}.',))
    notes = () if examples else ('There is none.',)
    return Patches(title, caption, examples, notes)


def _read_all(
    held: Held, read: Callable[[Run], T], name: str
) -> tuple[dict[str, list[T]], tuple[str, ...]]:
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
            except ValueError as error:
                notes.append(f'Left out: {error}.')
    if missing:
        told = ', '.join(
            of if count == len(held[of].runs) else f'{of} ({count} of {len(held[of].runs)} runs)'
            for of, count in missing.items()
        )
        notes.append(f'Without {name}: {told}.')
    return {of: repeats for of, repeats in found.items() if repeats}, tuple(notes)
