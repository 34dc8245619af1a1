"""Which settings stood for an experiment to choose from, and what they differ in."""

import dataclasses
import math
from typing import Any

from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting.collect import Collection, Settings

_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One configuration, with all its repeats.

    Attributes:
        values: of the fields in which the experiment's candidates differ, by name.
        seeds: of its repeats.
        validation: mean validation mF1; None where it is not known.
        chosen: whether it stands for the experiment.
        path: of its first run.
    """

    values: dict[str, str]
    seeds: tuple[int, ...]
    validation: Estimate | None
    chosen: bool
    path: str


@dataclasses.dataclass(frozen=True)
class Candidates:
    """All that were run of one experiment on one data set.

    Attributes:
        data: the data set.
        experiment: the experiment.
        shown: the best by validation mF1, the chosen one first.
        left: how many more there are.
    """

    data: str
    experiment: str
    shown: tuple[Candidate, ...]
    left: int


def list_candidates(found: Collection) -> list[Candidates]:
    """Lists the settings of each data set and experiment.

    Args:
        found: all runs.
    """
    by_kind: dict[tuple[str, str], list[Settings]] = {}
    for settings in found.groups:
        by_kind.setdefault((settings.data, settings.experiment), []).append(settings)
    listed = []
    for (data, experiment), held in sorted(by_kind.items()):
        chosen = found.chosen[data, experiment]
        flat = {id(settings): _flatten(settings) for settings in held}
        names = sorted(set().union(*flat.values()))
        fields = [n for n in names if len({flat[id(s)].get(n) for s in held}) > 1]
        ranked = sorted(
            held, key=lambda s: (s is not chosen, math.isnan(s.validation), -s.validation)
        )
        shown = [
            Candidate(
                {name: flat[id(settings)].get(name, '') for name in fields},
                tuple(run.seed for run in settings.runs),
                settings.estimate('validation'),
                settings is chosen,
                str(settings.runs[0].path),
            )
            for settings in ranked[:_SHOWN]
        ]
        left = len(held) - len(shown)
        listed.append(Candidates(data, experiment, tuple(shown), left))
    return listed


def _flatten(settings: Settings) -> dict[str, str]:
    """Gives a configuration's fields, with dots, as text."""
    flat: dict[str, str] = {}

    def add(name: str, value: Any):
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f'{name}.{key}' if name else key, inner)
        else:
            flat[name] = str(value)

    add('', settings.runs[0].plain_settings)
    return flat
