"""Counts of several models on the same patches, and by how much the models differ on them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics import bootstrap
from ocelot_jax.metrics.bootstrap import RESAMPLES, Difference, Fold
from ocelot_jax.runs.files import PairRecords

# with fewer a difference of nothing is called clear in more than 5 of 100 comparisons
_FEW_SLIDES = 10

# the counts of a run's pairs, and the file that holds them
Counted = tuple[Path, PairRecords]


class Scored(NamedTuple):
    """The counts of one model on the pairs of one fold.

    Attributes:
        slides: [N], the slide of each pair.
        counts: [n, N, 3, K] int64, by seed and pair, see `PairRecords`.
    """

    slides: np.ndarray
    counts: np.ndarray


# of one model by fold; without cross-validation there is fold 0 alone
Model = Mapping[int, Scored]


class Compared(NamedTuple):
    """By how much one model's scores are above another's.

    Attributes:
        differences: of mF1 and of each class's F1, first less second.
        scores: [2, 1 + K], of both.
        folds: those in which both have runs; nothing else is compared.
        pairs: how many pairs of patches there are.
        slides: of how many slides.
    """

    differences: list[Difference]
    scores: np.ndarray
    folds: tuple[int, ...]
    pairs: int
    slides: int


def align(
    held: Mapping[int, Sequence[Counted]], reference: Mapping[int, Counted] | None = None
) -> dict[int, Scored]:
    """Puts the counts of a model's runs in one order of pairs.

    Args:
        held: by fold those of each seed.
        reference: by fold whose order it is; that of the first run where it has none.

    Raises:
        InputError: two runs of a fold differ in their pairs, slides or true cells.
    """
    model = {}
    for fold, seeds in held.items():
        first = (reference or {}).get(fold, seeds[0])
        counts, slides = same_pairs([first, *seeds])
        model[fold] = Scored(slides, counts[1:])
    return model


def compare(
    models: Sequence[Model],
    pairs: Sequence[tuple[int, int]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Compared | None]:
    """Compares pairs of models, by their places, on the folds that both have.

    A model beside itself stands for two of its kind: the seeds of each are drawn by themselves, so
    that the interval tells what cannot be told from nothing.

    Args:
        models: all in the same order of pairs.
        pairs: which to compare.
        seed: of the bootstrap's draws.
        resamples: their number.

    Returns:
        Of each pair; None where no fold has both.
    """
    # those on the same folds are compared on the same draws, which take the most time
    by_folds: dict[tuple[int, ...], list[int]] = {}
    for place, (first, second) in enumerate(pairs):
        common = tuple(sorted(models[first].keys() & models[second].keys()))
        by_folds.setdefault(common, []).append(place)
    found: list[Compared | None] = [None] * len(pairs)
    for common, places in by_folds.items():
        if not common:
            continue
        # the second of a model's own kind is another member
        seats = [((a, 0), (b, int(a == b))) for a, b in (pairs[place] for place in places)]
        members = list(dict.fromkeys(seat for both in seats for seat in both))
        folds = [
            Fold(models[members[0][0]][fold].slides, [models[m][fold].counts for m, _ in members])
            for fold in common
        ]
        beside = [(members.index(first), members.index(second)) for first, second in seats]
        differences = bootstrap.compare(folds, beside, np.random.default_rng(seed), resamples)
        scores = bootstrap.scores(bootstrap.total(folds))
        slides = np.concatenate([fold.slides for fold in folds])
        for place, both, of in zip(places, beside, differences, strict=True):
            found[place] = Compared(of, scores[[*both]], common, len(slides), len(set(slides)))
    return found


def caveats(models: Mapping[str, Model]) -> list[str]:
    """Tells which models lack folds that others have or have one seed, and that slides are few."""
    folds = set().union(*models.values())
    told = []
    for name, model in models.items():
        missing = sorted(folds - model.keys())
        if not model:
            told.append(f'{name} is not compared: no run of it was evaluated on the split.')
        elif missing:
            listed = ', '.join(map(str, missing))
            told.append(f'{name} has no runs of fold {listed}: compared on the others.')
    single = [
        name
        for name, model in models.items()
        if any(len(scored.counts) == 1 for scored in model.values())
    ]
    if single:
        told.append(
            f'One seed alone: {"; ".join(single)}. The intervals tell nothing of its other seeds.'
        )
    slides = set[str]().union(*(s.slides for model in models.values() for s in model.values()))
    if 0 < len(slides) < _FEW_SLIDES:
        told.append(
            f'{len(slides)} slides alone: the intervals are too narrow, and p is at least '
            f'{2.0 ** (1 - len(slides)):.2g}.'
        )
    return told


def same_pairs(held: Sequence[Counted]) -> tuple[np.ndarray, np.ndarray]:
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
