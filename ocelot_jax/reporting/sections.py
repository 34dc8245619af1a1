"""What the page says of one data set: charts, the order of the experiments, patches."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ocelot_jax.io.errors import InputError
from ocelot_jax.reporting import charts, experiments, gallery, paper_scores, parts
from ocelot_jax.reporting.collect import Collection
from ocelot_jax.reporting.order import Order, find_order
from ocelot_jax.reporting.paper_scores import POPULATION, Key
from ocelot_jax.reporting.parts import Chart, Held, Part
from ocelot_jax.viz import palette

_MOST_BARS = 8  # Organs with a chart.


class Patches(NamedTuple):
    """Patches on one subject; the notes tell why there are none."""

    title: str
    caption: str
    examples: Sequence[gallery.Example]
    notes: Sequence[str] = ()


class Section(NamedTuple):
    """All of one data set.

    Cells, organs and patches are of `split`: 'test' where it was evaluated, else 'validation'.
    """

    data: str
    split: str
    order: Order | None  # None where there are not two experiments
    scores: Part
    parts: Sequence[Part]
    patches: Sequence[Patches]
    cell_colors: dict[str, str]  # by class
    tissue_colors: dict[str, str]  # without the background


def describe(found: Collection, data: str) -> Section:
    """Gathers what is to be said of a data set; what is missing is told in notes."""
    known = {name: rank for rank, name in enumerate(experiments.TABLE_5)}
    rank = lambda item: (known.get(item[0], 99), item[0])
    held = dict(sorted(found.experiments(data).items(), key=rank))
    tested = any('test' in run.evaluated for settings in held.values() for run in settings.runs)
    split = 'test' if tested else 'validation'
    subjects = (
        parts.describe_training(held),
        parts.describe_thresholds(held),
        *parts.describe_cells(held, split),
        _organs(held, data, split),
    )
    classes = next(iter(held.values())).runs[0].config.data
    cells = {name: palette.cell_color(i) for i, name in enumerate(classes.cell_classes, 1)}
    tissue = list(enumerate(classes.tissue_classes))[1:]
    return Section(
        data, split, find_order(found, data), _scores(held, data, split), subjects,
        _patches(held, split), cells, {name: palette.tissue_color(i) for i, name in tissue},
    )  # fmt: skip


def _scores(held: Held, data: str, split: str) -> Part:
    drawn = []
    for of in dict.fromkeys(('validation', split)):
        bars = _bars(held, data, of, POPULATION)
        if bars:
            caption = 'Means over repeats with 95% intervals.'
            if any(paper for *_, paper in bars):
                caption += ' Diamonds: the paper.'
            drawn.append(Chart(f'mF1 on {of}, %', caption, charts.draw_bars(bars)))
    notes = [
        f'{name}: {gap}; so that seed is not in the scores over all folds.'
        for name, settings in held.items()
        for gap in settings.gaps
    ]
    return Part('Scores', drawn, notes)


def _organs(held: Held, data: str, split: str) -> Part:
    rows: dict[str, int] = {}
    for table in (table for of in held.values() for table in of.scores[split]):
        rows |= {name: int(row.get('pairs', 0)) for name, row in table.items()}
    organs = sorted((name for name in rows if name != POPULATION), key=lambda name: -rows[name])
    if len(organs) < 2:
        of = f'one organ, {organs[0]}' if organs else 'no organs'
        return Part('Organs', (), (f'The evaluations on {split} tell of {of}.',))
    drawn = [
        Chart(
            f'{organ}: mF1 on {split}, %',
            f'{rows[organ]} pairs.',
            charts.draw_bars(_bars(held, data, split, organ)),
        )
        for organ in organs[:_MOST_BARS]
    ]
    left = organs[_MOST_BARS:]
    notes = (f'Without a chart, of fewer pairs: {", ".join(left)}.',) if left else ()
    return Part('Organs', drawn, notes)


def _bars(held: Held, data: str, split: str, subset: str) -> list[charts.Bar]:
    table = '6' if subset in paper_scores.ORGANS else '5'
    return [
        (name, estimate, paper_scores.SCORES.get(Key(table, name, data, split, subset)))
        for name, settings in held.items()
        if (estimate := settings.estimate(split, subset))
    ]


def _patches(held: Held, split: str) -> tuple[Patches, ...]:
    first, second = experiments.CELL_ONLY, experiments.PRED_INTER_2
    caption = (
        f'Where {second} makes the fewest mistakes (false and missed cells) beside {first}, and '
        'where it makes the most; the lowest seed of each. As Figures 7 and E.1.'
    )
    title = f'{first} and {second} on the same patches'
    sources = gallery.Sources()
    compared = Patches(title, caption, (), ('There are not runs of both.',))
    lowest = {
        name: counting[0]
        for name, settings in held.items()
        if (counting := [run for run in settings.runs if split in run.evaluated])
    }
    if first in lowest and second in lowest:
        runs = lowest[first], lowest[second]
        compared = _drawn(title, caption, lambda: gallery.compare(*runs, split, sources))
    scores = {
        name: score.mean
        for name, settings in held.items()
        if name in lowest
        and not experiments.is_told(name)
        and (score := settings.estimate('validation'))
    }
    if not scores:
        return (compared,)
    best = max(scores, key=lambda name: (scores[name], name))
    caption = (
        f'{best} has the highest validation mF1 of the models that are not told the true tissue. '
        'Its lowest seed; patches of five true cells or more.'
    )
    draw = lambda: gallery.extremes(lowest[best], split, sources)
    return compared, _drawn(f'Best and worst patches of {best}', caption, draw)


def _drawn(title: str, caption: str, draw: Callable[[], list[gallery.Example]]) -> Patches:
    try:
        examples = draw()
    except FileNotFoundError as error:
        told = f'{error.filename} is not there' if error.filename else str(error)
        return Patches(title, caption, (), (f'Not drawn: {told}.',))
    except (InputError, OSError) as error:
        return Patches(title, caption, (), (f'Not drawn: {error}.',))
    notes = () if examples else ('There is none.',)
    return Patches(title, caption, examples, notes)
