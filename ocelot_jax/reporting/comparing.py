"""Whether two runs differ on the same pairs, by a paired bootstrap.

Repeats of a run go together: their counts are averaged pair by pair, which is the score of all
their cells pooled. The interval tells of other patches, not of other seeds.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ocelot_jax.data.release import split_name
from ocelot_jax.io import text_table
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.metrics import bootstrap
from ocelot_jax.metrics.bootstrap import Difference
from ocelot_jax.runs import configuration, files, provenance
from ocelot_jax.runs.directory import EvaluationDirectory, RunDirectory
from ocelot_jax.runs.files import PairRecords


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

    Args:
        first: directories of runs that were evaluated on the split.
        second: of others.
        split: 'train', 'validation' (or 'val') or 'test'.
        seed: of the bootstrap's draws.
        resamples: their number.

    Raises:
        MissingFileError: a directory holds no run, or none evaluated on the split.
        InputError: the runs' classes or data differ, or an evaluation is not one of the run's
            own data and best epoch.
    """
    paths = [*first, *second]
    classes = _classes(paths)
    evaluations = [RunDirectory(path).evaluation(split_name(split)) for path in paths]
    for evaluation in evaluations:
        if not evaluation.pairs.exists():
            raise MissingFileError(
                f'{evaluation.pairs}: not there; evaluate the run first: python -m '
                f'ocelot_jax.evaluate --workdir={evaluation.run} --split={evaluation.split}'
            )
    _check_origins(evaluations)
    counts, slides = same_pairs(
        [(e.pairs, files.read_pairs(e.pairs, classes)) for e in evaluations]
    )
    sides = [average(held) for held in np.split(counts, [len(first)])]
    rng = np.random.default_rng(seed)
    differences = bootstrap.compare(*sides, slides, rng, resamples)
    totals = np.stack([side.sum(axis=0) for side in sides])
    names = ['mF1', *(f'F1/{name}' for name in classes)]
    told = (
        f'A: {" and ".join(map(str, first))}\nB: {" and ".join(map(str, second))}\n'
        f'{len(slides)} pairs of {len(set(slides))} slides of {split_name(split)}; {resamples:,} '
        f'draws of slides and of pairs in them, seed {seed}'
    )
    return Comparison(told, dict(zip(names, differences, strict=True)), bootstrap.scores(totals))


def same_pairs(held: Sequence[tuple[Path, PairRecords]]) -> tuple[np.ndarray, np.ndarray]:
    """Puts the counts of M runs, each with the file that holds them, side by side.

    Returns:
        [M, N, 3, K] int64, the counts of each run in the first one's order of pairs, and [N],
        the slide of each pair.

    Raises:
        InputError: two runs differ in their pairs, slides or true cells.
    """
    path, first = held[0]
    order = np.argsort(first.ids)
    aligned = []
    for other_path, other in held:
        if other.counts.shape[2:] != first.counts.shape[2:]:
            raise InputError(
                f'{other_path}: has {other.counts.shape[2]} cell classes, {path} has '
                f'{first.counts.shape[2]}; want runs of one data set'
            )
        missing = sorted(set(first.ids) ^ set(other.ids))
        if missing:
            lacks, has = (path, other_path) if missing[0] in other.ids else (other_path, path)
            raise InputError(
                f'{lacks}: has no pair {missing[0]}, which {has} has; want runs of one data '
                'set and split'
            )
        places = np.empty(len(order), int)
        places[order] = np.argsort(other.ids)
        counts = other.counts[places]
        differ = (other.slides[places] != first.slides) | (
            (counts[:, 2] != first.counts[:, 2]).any(axis=-1)
        )
        if differ.any():
            raise InputError(
                f'{other_path}: pair {first.ids[differ][0]} has another slide or other true '
                f'cells than in {path}; want runs of one data set and split'
            )
        aligned.append(counts)
    return np.stack(aligned), first.slides


def average(counts: np.ndarray) -> np.ndarray:
    """Averages the counts [M, N, 3, K] of M repeats, pair by pair: [N, 3, K] float64.

    The score of averaged counts is that of all repeats' cells pooled. What then varies in a
    bootstrap are slides and patches; by how much repeats differ, the tables' intervals tell.
    """
    return counts.mean(axis=0)


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


def _classes(paths: Sequence[Path]) -> tuple[str, ...]:
    """Reads the cell classes of runs, which must be the same."""
    classes = [tuple(configuration.load_config(path).data.cell_classes) for path in paths]
    for path, names in zip(paths, classes, strict=True):
        if names != classes[0]:
            raise InputError(
                f'{path}: finds {", ".join(names)}, but {paths[0]} finds {", ".join(classes[0])}; '
                'want runs of one data set'
            )
    return classes[0]
