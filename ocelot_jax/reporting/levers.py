"""What each change of a training gives: the runs of a sweep's variants beside those of none."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics import calibration
from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting import candidates, paired
from ocelot_jax.reporting.collect import Collection, Settings
from ocelot_jax.reporting.paired import Compared, Counted, Model
from ocelot_jax.runs import files
from ocelot_jax.runs.directory import STEP_SECONDS


class Lever(NamedTuple):
    """One change, and what it gives.

    Attributes:
        name: of the variant.
        changes: by field the value with it, where it differs from that without.
        score: mF1 by seed.
        calibration: expected calibration error of the confidences; None where cells are missing.
        seconds: of a training step, the median; None where the runs do not tell.
        runs: how many there are.
        seeds: of how many seeds.
        compared: with the change less without; None where it cannot be told.
    """

    name: str
    changes: Mapping[str, str]
    score: Estimate | None
    calibration: float | None
    seconds: float | None
    runs: int
    seeds: int
    compared: Compared | None

    @property
    def verdict(self) -> str:
        """What the comparison says of mF1."""
        if self.compared is None:
            return 'not compared'
        found = self.compared.differences[0]
        if not found.is_clear:
            return 'cannot be told apart'
        return 'gains' if found.value > 0 else 'loses'


class Levers(NamedTuple):
    """The changes of one configuration on one data set.

    Attributes:
        title: name of the data set; where several configurations are changed on it, with that of
            the configuration.
        data: name of the data set.
        experiment: name of what is changed.
        split: on which all is scored.
        classes: names of the cell classes.
        base: the runs without a change; compared with themselves as two of their kind, each with
            seeds of its own.
        levers: the changes, the one that gains most first.
        notes: what keeps any out of the comparison.
    """

    title: str
    data: str
    experiment: str
    split: str
    classes: Sequence[str]
    base: Lever
    levers: Sequence[Lever]
    notes: Sequence[str]

    @property
    def resolution(self) -> float | None:
        """Half the width of the base's interval against itself; None where it has one seed.

        A gain below it is one that other seeds alone may give.
        """
        found = self.base.compared
        if found is None or self.base.seeds < 2:
            return None
        return (found.differences[0].high - found.differences[0].low) / 2


def find_levers(found: Collection) -> list[Levers]:
    """Compares every variant with the runs of none that it differs from in the fewest fields."""
    by_base: dict[int, tuple[Settings, list[Settings]]] = {}
    for variant in (group for group in found.groups if group.variant):
        beside = [g for g in found.groups if g.data == variant.data and not g.variant]
        if beside:
            rank = lambda g, v=variant: (len(_changes(g, v)), -len(g.runs), str(g.runs[0].path))
            base = min(beside, key=rank)
            by_base.setdefault(id(base), (base, []))[1].append(variant)
    bases = [base for base, _ in by_base.values()]
    titles = {id(base): _title(base, bases) for base in bases}
    held = [_compare(titles[id(base)], base, of) for base, of in by_base.values()]
    return sorted(held, key=lambda levers: levers.title)


def _title(base: Settings, bases: Sequence[Settings]) -> str:
    """Names a configuration that is changed by no more than tells it from the others."""
    parts = base.data, base.experiment, str(base.runs[0].path)
    named = lambda of, count: (of.data, of.experiment, str(of.runs[0].path))[:count]
    for count in (1, 2):
        if sum(named(of, count) == parts[:count] for of in bases) == 1:
            return ', '.join(parts[:count])
    return ', '.join(parts)


def by_name(held: Sequence[Levers]) -> dict[str, list[tuple[Levers, Lever]]]:
    """Puts the same change on several data sets together; the one that gains most comes first."""
    named: dict[str, list[tuple[Levers, Lever]]] = {}
    for levers in held:
        for lever in levers.levers:
            named.setdefault(lever.name, []).append((levers, lever))
    gain = lambda each: -np.mean([_gain(lever) for _, lever in each[1]])
    return dict(sorted(named.items(), key=gain))


def _gain(lever: Lever) -> float:
    """By how much mF1 is above that without; very little where it is not known."""
    return -1.0 if lever.compared is None else lever.compared.differences[0].value


def _compare(title: str, base: Settings, variants: Sequence[Settings]) -> Levers:
    """Compares variants with what they vary, on the same draws."""
    tested = any('test' in run.evaluated for run in base.runs)
    split = 'test' if tested else 'validation'
    notes = [f'Without: {gap}.' for gap in base.gaps]
    models = _read(base, variants, split, notes)
    places = {id(settings): number for number, (settings, _) in enumerate(models)}
    rows = range(len(models) if id(base) in places else 0)
    held = paired.compare([model for _, model in models], [(row, 0) for row in rows])
    compared = dict(zip(rows, held, strict=True))
    named = {settings.variant or 'Without': model for settings, model in models}
    notes += paired.caveats(named)
    notes += [
        f'{variant.variant} is of {variant.experiment}: there are no runs of it without.'
        for variant in variants
        if variant.experiment != base.experiment
    ]
    base_lever, *levers = (
        Lever(
            settings.variant,
            _changes(base, settings),
            settings.estimate(split),
            _calibration(settings, split),
            _seconds(settings),
            len(settings.runs),
            len(settings.seeds),
            compared.get(places.get(id(settings), -1)),
        )
        for settings in (base, *variants)
    )
    levers.sort(key=lambda lever: -_gain(lever))
    classes = base.runs[0].cell_classes
    return Levers(title, base.data, base.experiment, split, classes, base_lever, levers, notes)


def _read(
    base: Settings, variants: Sequence[Settings], split: str, notes: list[str]
) -> list[tuple[Settings, Model]]:
    """Reads the counts of all settings in one order of pairs; those without become a note."""
    models: list[tuple[Settings, Model]] = []
    reference: dict[int, Counted] = {}
    for settings in (base, *variants):
        name = settings.variant or 'Without'
        try:
            held = settings.counted(split)
            model = paired.align(held, reference)
        except FileNotFoundError as error:
            notes.append(f'{name} is not compared: {error.filename} is not there.')
        except InputError as error:
            notes.append(f'{name} is not compared: {error}.')
        else:
            reference = {fold: seeds[0] for fold, seeds in held.items()} | reference
            models.append((settings, model))
    return models


def _changes(base: Settings, variant: Settings) -> dict[str, str]:
    """The fields in which a variant differs from its base, with its values."""
    own, other = (
        dict(candidates.flatten('', json.loads(settings.runs[0].settings)))
        for settings in (variant, base)
    )
    return {
        name: own.get(name, '-')
        for name in sorted(own.keys() | other.keys())
        if name != 'variant' and own.get(name) != other.get(name)
    }


def _calibration(settings: Settings, split: str) -> float | None:
    """Expected calibration error of all cells that the runs found; None where any are missing."""
    try:
        held = [run.cells(split) for run in settings.runs if split in run.evaluated]
    except (FileNotFoundError, InputError):
        return None  # the section of the data set says which
    if not held:
        return None
    scores = np.concatenate([cells.scores[cells.found > 0] for cells in held])
    matched = np.concatenate([cells.matched[cells.found > 0] for cells in held])
    return calibration.reliability(scores, matched).error if len(scores) else None


def _seconds(settings: Settings) -> float | None:
    """The median time of a training step; None where the runs do not tell."""
    try:
        tables = [files.read_metrics(run.directory.metrics) for run in settings.runs]
    except (FileNotFoundError, InputError):
        return None  # the section of the data set says which
    times = np.concatenate([table.get(STEP_SECONDS, [np.nan]) for table in tables])
    known = times[np.isfinite(times)]
    return float(np.median(known)) if len(known) else None
