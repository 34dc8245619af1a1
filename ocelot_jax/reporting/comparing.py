"""Whether two runs, or two groups of repeats, differ on the same pairs, by a paired bootstrap."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ocelot_jax.data.release import split_name
from ocelot_jax.io import text_table
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.metrics import bootstrap
from ocelot_jax.metrics.bootstrap import Difference
from ocelot_jax.reporting import paired
from ocelot_jax.runs import configuration, files, provenance
from ocelot_jax.runs.directory import EvaluationDirectory, RunDirectory


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How much the official scores of some runs are above those of others.

    Attributes:
        compared: the runs, the pairs and the draws, in words.
        differences: first less second, of 'mF1' and of each class's 'F1/<name>'.
        scores: [2, n], of both sides, in the order of the differences.
    """

    compared: str
    differences: dict[str, Difference]
    scores: np.ndarray

    def render(self) -> str:
        """Gives the scores and their differences as text, columns aligned."""
        lines = [['', 'A', 'B', 'A - B', '95% interval', 'p']]
        for (name, held), first, second in zip(
            self.differences.items(), *self.scores, strict=True
        ):
            interval = f'{held.low:+.3f} to {held.high:+.3f}'
            p = '<0.001' if held.p < 0.001 else f'{held.p:.3f}'
            shown = [f'{first:.3f}', f'{second:.3f}', f'{held.value:+.3f}']
            lines.append([name, *shown, interval, p])
        return f'{self.compared}\n\n{text_table.align(lines)}'


def compare_runs(
    first: Sequence[Path],
    second: Sequence[Path],
    split: str,
    seed: int = 0,
    resamples: int = bootstrap.RESAMPLES,
) -> Comparison:
    """Compares a run, or the repeats of one, with another on the same pairs.

    Of cross-validated runs those of a fold are repeats, and the folds that both sides have are
    compared together.

    Args:
        first: directories of runs that were evaluated on the split.
        second: of others.
        split: 'train', 'validation' (or 'val') or 'test'.
        seed: of the bootstrap's draws.
        resamples: their number.

    Raises:
        MissingFileError: a directory holds no run, or none evaluated on the split.
        InputError: classes, data, folds or the greatest distance of a match differ, runs of a
            side have one seed or differ in more than that, or an evaluation is not one of the
            run's own data and best epoch.
    """
    runs = {path: configuration.load_config(path) for path in (*first, *second)}
    classes = _same(runs, lambda run: tuple(run.data.cell_classes), 'finds {}')
    num_folds = _same(runs, lambda run: (f'{run.data.folds} folds',), 'is of {}')[0]
    _same(runs, lambda run: (f'{run.match_distance_um:g} um',), 'is scored within {}')
    sides = [_by_fold(side, runs, split_name(split)) for side in (first, second)]
    for fold in sides[0].keys() | sides[1].keys():
        _check_origins([*sides[0].get(fold, ()), *sides[1].get(fold, ())])
    counted = [
        {
            fold: [(e.pairs, files.read_pairs(e.pairs, classes)) for e in evaluations]
            for fold, evaluations in side.items()
        }
        for side in sides
    ]
    reference = {fold: held[0] for fold, held in counted[0].items()}
    models = [paired.align(held, reference) for held in counted]
    [found] = paired.compare(models, [(0, 1)], seed, resamples)
    if found is None:
        raise InputError(f'{first[0]}: is of other folds than {second[0]}; want the same fold')
    told = [
        f'A: {" and ".join(map(str, first))}',
        f'B: {" and ".join(map(str, second))}',
        f'{found.pairs} pairs of {found.slides} slides of {split_name(split)}'
        + (f' in {len(found.folds)} of {num_folds}' if len(found.folds) > 1 else '')
        + f'; {resamples:,} draws of slides, of pairs in them and of seeds, seed {seed}',
        *paired.caveats(dict(zip('AB', models, strict=True))),
    ]
    names = ['mF1', *(f'F1/{name}' for name in classes)]
    differences = dict(zip(names, found.differences, strict=True))
    return Comparison('\n'.join(told), differences, found.scores)


def _by_fold(
    side: Sequence[Path], configs: Mapping[Path, ConfigDict], split: str
) -> dict[int, list[EvaluationDirectory]]:
    """Finds the evaluations of a side's runs, by their folds; in each they differ in the seed."""
    _check_repeats(side, configs)
    held: dict[int, list[EvaluationDirectory]] = {}
    seeds: dict[tuple[int, int], Path] = {}
    for path in side:
        seed, fold = configs[path].seed, configs[path].data.fold
        if (fold, seed) in seeds:
            raise InputError(
                f'{path}: has the seed {seed}, as {seeds[fold, seed]} has; want repeats of other '
                'seeds'
            )
        seeds[fold, seed] = path
        evaluation = RunDirectory(path).evaluation(split)
        if not evaluation.pairs.exists():
            raise MissingFileError(
                f'{evaluation.pairs}: not there; evaluate the run first: python -m '
                f'ocelot_jax.evaluate --workdir={evaluation.run} --split={evaluation.split}'
            )
        held.setdefault(fold, []).append(evaluation)
    return held


def _check_repeats(side: Sequence[Path], configs: Mapping[Path, ConfigDict]) -> None:
    """Raises an InputError unless runs differ in seed, fold and where their data lie alone."""

    def settings(path: Path) -> dict[str, Any]:
        plain: dict[str, Any] = json.loads(configs[path].to_json())
        del plain['seed'], plain['data']['fold'], plain['data']['source']
        return plain

    for path in side[1:]:
        told = configuration.differences(settings(path), settings(side[0]))
        if told:
            raise InputError(
                f'{path}: is no repeat of {side[0]}: {"; ".join(told[:3])}'
                f'{"; ..." * (len(told) > 3)}; want runs that differ in the seed'
            )


def _check_origins(evaluations: Sequence[EvaluationDirectory]) -> None:
    """Raises an InputError unless all are of the same data, and of their runs' best epochs."""
    known = []
    for evaluation in evaluations:
        why = provenance.doubt(evaluation.run, evaluation)
        if why is not None:
            raise InputError(f'{evaluation.path}: {why}')
        data = provenance.evaluated_data(evaluation)
        known += [(evaluation, data)] if data else []
    for evaluation, data in known:
        first, wanted = known[0]
        if data.digest != wanted.digest:
            raise InputError(
                f'{evaluation.path}: scores on {provenance.describe(data)}, but {first.path} on '
                f'{provenance.describe(wanted)}; want runs evaluated on the same data'
            )


def _same(
    configs: Mapping[Path, ConfigDict], of: Callable[[ConfigDict], tuple[str, ...]], said: str
) -> tuple[str, ...]:
    """What configurations must have in common; where it differs, an error says so."""
    first, *_ = configs
    wanted = of(configs[first])
    for path, config in configs.items():
        if of(config) != wanted:
            found, beside = (said.format(', '.join(each)) for each in (of(config), wanted))
            raise InputError(f'{path}: {found}, but {first} {beside}; want the same of all')
    return wanted
