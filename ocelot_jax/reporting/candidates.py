"""Which settings stood for an experiment to choose from, and what they differ in."""

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting.collect import Collection, Settings

_SHOWN = 12


class Candidate(NamedTuple):
    """One configuration: the seeds of its repeats, and the path of its first run."""

    values: dict[str, str]  # of the fields in which the experiment's candidates differ
    seeds: list[int]
    validation: Estimate | None  # mean mF1; None where it is not known
    chosen: bool  # whether it stands for the experiment
    path: str


class Candidates(NamedTuple):
    """The best of one experiment by validation mF1, the chosen one first, and how many more."""

    data: str
    experiment: str
    shown: list[Candidate]
    left: int


def list_candidates(found: Collection) -> list[Candidates]:
    """Lists the settings of each data set and experiment."""
    by_kind: dict[tuple[str, str], list[Settings]] = {}
    for settings in found.groups:
        by_kind.setdefault((settings.data, settings.experiment), []).append(settings)
    listed = []
    for (data, experiment), held in sorted(by_kind.items()):
        chosen = found.chosen[data, experiment]
        flat = {id(s): dict(flatten('', json.loads(s.runs[0].settings))) for s in held}
        names = sorted(set().union(*flat.values()))
        fields = [n for n in names if len({each.get(n) for each in flat.values()}) > 1]
        ranked = sorted(
            held, key=lambda s: (s is not chosen, math.isnan(s.validation), -s.validation)
        )
        shown = [
            Candidate(
                {name: flat[id(settings)].get(name, '') for name in fields},
                settings.seeds,
                settings.estimate('validation'),
                settings is chosen,
                str(settings.runs[0].path),
            )
            for settings in ranked[:_SHOWN]
        ]
        listed.append(Candidates(data, experiment, shown, len(held) - len(shown)))
    return listed


def flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Gives a configuration's fields, with dots, as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(f'{name}.{key}' if name else key, inner)
    else:
        yield name, str(value)
