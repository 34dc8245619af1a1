"""Runs on the same patches: their counts side by side, and whether they differ."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics.bootstrap import Difference
from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting import experiments, paired, paper_scores
from ocelot_jax.reporting.collect import Collection
from ocelot_jax.reporting.paired import Counted, Model


class ExperimentDifference(NamedTuple):
    """By how much a first experiment's mF1 is above a second's, as fractions.

    Attributes:
        first: name of the first.
        second: name of the second.
        paper: first less second in the paper's table.
        found: first less second of the runs; None where it cannot be told.
    """

    first: str
    second: str
    paper: float
    found: Difference | None

    @property
    def verdict(self) -> str:
        """What the runs say of the paper's difference."""
        if self.found is None:
            return 'not compared'
        if not self.found.is_clear:
            return 'cannot be told apart'
        return 'as in the paper' if self.found.value * self.paper > 0 else 'against the paper'


class Place(NamedTuple):
    """Where an experiment stands among those that were run, here and in the paper; 1 the best."""

    name: str
    rank: int
    paper_rank: int
    ours: Estimate
    paper: Estimate


class Order(NamedTuple):
    """The order of the experiments of Tables 5 and C.1 on one data set.

    Attributes:
        split: the one that decides: test where any run has it, else validation.
        paper_data: the data set of the paper whose order stands beside.
        places: of the experiments that were run, in the order found.
        in_order: how many pairs of experiments stand as in the paper.
        pairs: how many pairs there are.
        against_cell_only: each other experiment against Cell-only.
        neighbours: each experiment against the next in the paper's order.
        notes: why something could not be compared.
    """

    split: str
    paper_data: str
    places: Sequence[Place]
    in_order: int
    pairs: int
    against_cell_only: Sequence[ExperimentDifference]
    neighbours: Sequence[ExperimentDifference]
    notes: Sequence[str]


def find_order(found: Collection, data: str) -> Order | None:
    """Sets the order of the experiments on a data set beside the paper's, else that on OCELOT.

    None where fewer than two experiments of Tables 5 and C.1 were run.
    """
    paper_data = data if data in paper_scores.DATA_SETS else 'OCELOT'
    held = {
        name: settings
        for name, settings in found.experiments(data).items()
        if paper_scores.overall(name, paper_data, 'test')
    }
    split = 'test' if any(s.estimate('test') for s in held.values()) else 'validation'
    paper = {name: e for name in held if (e := paper_scores.overall(name, paper_data, split))}
    ours = {name: e for name in paper if (e := held[name].estimate(split))}
    if len(ours) < 2:
        return None
    ranking = sorted(ours, key=lambda name: -ours[name].mean)
    paper_ranking = sorted(ours, key=lambda name: -paper[name].mean)
    places = [
        Place(name, rank, paper_ranking.index(name) + 1, ours[name], paper[name])
        for rank, name in enumerate(ranking, start=1)
    ]
    agreeing = [
        (ours[a].mean - ours[b].mean) * (paper[a].mean - paper[b].mean) > 0
        for a, b in itertools.combinations(paper_ranking, 2)
    ]
    cell_only = experiments.CELL_ONLY
    others = [name for name in paper_ranking if name != cell_only and cell_only in ours]
    against = [(name, cell_only) for name in others]
    neighbours = list(itertools.pairwise(paper_ranking))
    differences, notes = _differences(
        found, data, split, [*ours], [*dict.fromkeys([*against, *neighbours])]
    )
    compared = lambda pairs: [
        ExperimentDifference(a, b, paper[a].mean - paper[b].mean, differences.get((a, b)))
        for a, b in pairs
    ]
    return Order(
        split, paper_data, places, sum(agreeing), len(agreeing),
        compared(against), compared(neighbours), notes,
    )  # fmt: skip


def _differences(
    found: Collection,
    data: str,
    split: str,
    names: Sequence[str],
    wanted: Sequence[tuple[str, str]],
) -> tuple[dict[tuple[str, str], Difference], list[str]]:
    """Compares pairs of experiments on the same draws; tells what keeps any out."""
    notes: list[str] = []
    models: dict[str, Model] = {}
    reference: dict[int, Counted] = {}
    for name in names:
        try:
            held = found.chosen[data, name].counted(split)
            models[name] = paired.align(held, reference)
        except FileNotFoundError as error:
            notes.append(f'{name} is not compared: {error.filename} is not there.')
        except InputError as error:
            notes.append(f'{name} is not compared: {error}.')
        else:
            reference = {fold: seeds[0] for fold, seeds in held.items()} | reference
    places = list(models)
    pairs = [pair for pair in wanted if set(pair) <= models.keys()]
    compared = paired.compare(
        list(models.values()), [(places.index(a), places.index(b)) for a, b in pairs]
    )
    differences = {}
    for (a, b), of in zip(pairs, compared, strict=True):
        if of is None:
            notes.append(f'{a} and {b} are not compared: no fold has both.')
        else:
            differences[a, b] = of.differences[0]
    return differences, [*notes, *paired.caveats(models)]
