"""Finds runs, groups them by settings, and picks the settings that stand for an experiment."""

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from ocelot_jax.io.errors import MissingFileError
from ocelot_jax.metrics.intervals import Estimate, estimate
from ocelot_jax.reporting import pooling
from ocelot_jax.reporting.paired import Counted
from ocelot_jax.reporting.paper_scores import POPULATION
from ocelot_jax.reporting.runs_below import SPLITS, Run, directories, read_run
from ocelot_jax.runs import files
from ocelot_jax.runs.directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class Settings:
    """The repeats of one configuration, by seed and fold.

    Attributes:
        runs: one of each seed, of a cross-validation one of each seed and fold.
        scores: by split of each seed the table of scores; of a cross-validation over all folds,
            of the seeds that have them all.
    """

    runs: tuple[Run, ...]
    scores: dict[str, list[files.Table]]

    @property
    def data(self) -> str:
        """Name of the data set."""
        return self.runs[0].data

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self.runs[0].experiment

    @property
    def variant(self) -> str:
        """What a sweep calls the change that the runs try; nothing where they try none."""
        return self.runs[0].config.variant

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs."""
        return sorted({run.config.seed for run in self.runs})

    @property
    def gaps(self) -> list[str]:
        """Tells of each seed that lacks folds of a cross-validation which they are."""
        held = {(run.config.seed, run.config.data.fold) for run in self.runs}
        told = []
        for seed in self.seeds:
            wanted = range(self.runs[0].config.data.folds)
            missing = [str(fold) for fold in wanted if (seed, fold) not in held]
            if missing:
                told.append(f'seed {seed} has no run of fold {", ".join(missing)}')
        return told

    @property
    def validation(self) -> float:
        """Mean validation mF1, over the repeats that have one; NaN where none has."""
        known = [run.validation for run in self.runs if np.isfinite(run.validation)]
        return float(np.mean(known)) if known else np.nan

    def counted(self, split: str) -> dict[int, list[Counted]]:
        """Reads by fold the counts of each run that was evaluated on a split, with their files.

        Raises:
            FileNotFoundError: one is not there.
            InputError: one is damaged.
        """
        held: dict[int, list[Counted]] = {}
        for run in (run for run in self.runs if split in run.evaluated):
            counted = run.evaluation(split).pairs, run.pairs(split)
            held.setdefault(run.config.data.fold, []).append(counted)
        return held

    def estimate(
        self, split: str, subset: str = POPULATION, metric: str = 'mF1'
    ) -> Estimate | None:
        """Averages a score over the repeats that have it; None where none has."""
        held = [table.get(subset, {}).get(metric) for table in self.scores[split]]
        return estimate([value for value in held if value is not None and np.isfinite(value)])


@dataclasses.dataclass(frozen=True)
class Collection:
    """What was found below a directory.

    Attributes:
        groups: all settings.
        chosen: by data set and experiment the settings that stand for it.
        left_out: directories of runs and of evaluations that do not count, and why.
    """

    groups: tuple[Settings, ...]
    chosen: dict[tuple[str, str], Settings]
    left_out: dict[Path, str]

    @property
    def runs(self) -> list[Run]:
        """All runs that count."""
        return [run for group in self.groups for run in group.runs]

    @property
    def data_sets(self) -> list[str]:
        """The data sets of the runs, by name."""
        return sorted({group.data for group in self.groups})

    def experiments(self, data: str) -> dict[str, Settings]:
        """Finds the chosen settings of a data set, by experiment."""
        return {name: held for (of, name), held in self.chosen.items() if of == data}

    def estimate(self, data: str, experiment: str, *score: str) -> Estimate | None:
        """Averages a score, see `Settings.estimate`, of an experiment; None where it has none."""
        settings = self.chosen.get((data, experiment))
        return settings.estimate(*score) if settings else None


def collect(root: Path) -> Collection:
    """Finds all runs below a directory that have an evaluation, and sorts them.

    Runs are repeats of one another where their configurations differ in the seed alone, or in the
    fold of a cross-validation. For an experiment stand the settings that are no variant, of these
    the ones with the most repeats (in a sweep only the best point is repeated), and of those with
    equally many the ones of highest mean validation mF1.

    Raises:
        MissingFileError: there is no such directory, or no run with an evaluation in it.
        InputError: a run's files are not what they should be.
    """
    if not root.is_dir():
        raise MissingFileError(f'{root}: no such directory; want one with runs below it')
    left_out: dict[Path, str] = {}
    groups: dict[tuple[str, str], dict[tuple[int, int], Run]] = {}
    first_of: dict[str, Run] = {}
    first_trained: dict[tuple[str, str, int], Run] = {}
    for run in _of_same_data([read_run(path, left_out) for path in directories(root)], left_out):
        path = run.path
        if not run.evaluated:
            left_out[path] = 'no evaluation'
            continue
        first = first_of.setdefault(run.data, run)
        if run.cell_classes != first.cell_classes:
            left_out[path] = f'other cell classes than {first.path}'
            continue
        repeats = groups.setdefault((run.data, run.settings), {})
        place = run.config.seed, run.config.data.fold
        alike = run
        if run.trained is not None:
            alike = first_trained.setdefault((run.data, run.settings, run.config.data.fold), run)
        if run.trained != alike.trained:
            left_out[path] = f'trained on other pairs or annotations than {alike.path}'
        elif place in repeats:
            left_out[path] = f'the same settings and seed as {repeats[place].path}'
        else:
            repeats[place] = run
    if not groups:
        wanted = ' or '.join(str(RunDirectory(Path()).evaluation(split).path) for split in SPLITS)
        raise MissingFileError(
            f'{root}: no run with {wanted} below it '
            f'({len(left_out)} without); evaluate one with ocelot_jax.evaluate'
        )
    ordered = [tuple(run for _, run in sorted(repeats.items())) for repeats in groups.values()]
    settings = tuple(
        Settings(runs, {split: _scores(runs, split) for split in SPLITS}) for runs in ordered
    )
    for path, why in left_out.items():
        logging.warning('%s: left out: %s', path, why)
    chosen: dict[tuple[str, str], Settings] = {}
    rank = lambda held: (
        not held.variant, len(held.runs), np.nan_to_num(held.validation, nan=-1.0)
    )  # fmt: skip
    for group in settings:
        best = chosen.setdefault((group.data, group.experiment), group)
        if rank(group) > rank(best):
            chosen[group.data, group.experiment] = group
    return Collection(settings, chosen, left_out)


def _scores(runs: Sequence[Run], split: str) -> list[files.Table]:
    """The table of scores of each seed on a split; over all folds, of those that have them all."""
    held = [run for run in runs if split in run.scores]
    if not runs[0].config.data.folds:
        return [run.scores[split] for run in held]
    by_seed = [
        [run for run in held if run.config.seed == seed]
        for seed in dict.fromkeys(run.config.seed for run in held)
    ]
    return [
        pooling.pool(
            [run.pairs(split) for run in folds],
            [run.scores[split] for run in folds],
            folds[0].cell_classes,
        )
        for folds in by_seed
        if len(folds) == folds[0].config.data.folds
    ]


def _of_same_data(runs: Sequence[Run], left_out: dict[Path, str]) -> Iterator[Run]:
    """Leaves out evaluations of other data than most runs on a data set, split and fold have."""
    counts: dict[tuple[str, str, int], collections.Counter[str]] = {}
    for run in runs:
        for split, digest in run.evaluated.items():
            if digest is not None:
                place = run.data, split, run.config.data.fold
                counts.setdefault(place, collections.Counter())[digest] += 1
    usual = {key: counter.most_common(1)[0][0] for key, counter in counts.items()}
    for run in runs:
        others = [
            split
            for split, digest in run.evaluated.items()
            if digest not in (None, usual.get((run.data, split, run.config.data.fold)))
        ]
        for split in others:
            left_out[run.evaluation(split).path] = (
                f'other pairs or annotations than most runs on {run.data} were evaluated on'
            )
        keep = lambda held, leave=others: {k: v for k, v in held.items() if k not in leave}
        yield dataclasses.replace(run, evaluated=keep(run.evaluated), scores=keep(run.scores))
