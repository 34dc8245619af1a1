"""What the page says of one data set: charts, the order of the experiments, patches."""

import dataclasses
from collections.abc import Callable

from ocelot_jax.io.errors import InputError
from ocelot_jax.reporting import charts, experiments, gallery, paper_scores, parts
from ocelot_jax.reporting.collect import Collection
from ocelot_jax.reporting.order import Order, find_order
from ocelot_jax.reporting.paper_scores import POPULATION
from ocelot_jax.reporting.parts import Chart, Held, Part

_MOST_BARS = 8  # Organs with a chart.


@dataclasses.dataclass(frozen=True)
class Patches:
    """Patches on one subject.

    Attributes:
        title: the subject.
        caption: how they were chosen.
        examples: the patches.
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
    order = find_order(found, data)
    subjects = (
        parts.describe_training(held),
        parts.describe_thresholds(held),
        *parts.describe_cells(held, split),
        _organs(held, data, split),
    )
    patches = _patches(held, split)
    legend = gallery.Legend.of(next(iter(held.values())).runs[0])
    scores = _scores(held, data, split)
    return Section(data, split, order, scores, subjects, patches, legend)


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
            picture = charts.draw_bars(bars)
            drawn.append(Chart(f'mF1 on {of}, %', caption, picture))
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
            charts.draw_bars(_bars(held, data, split, organ)),
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
    except (InputError, OSError) as error:
        return Patches(title, caption, (), (f'Not drawn: {error}.',))
    notes = () if examples else ('There is none.',)
    return Patches(title, caption, examples, notes)
