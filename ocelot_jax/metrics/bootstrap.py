"""A paired bootstrap over slides, over the patches within them, and over seeds.

Patches of one slide are alike, so what may vary is first which slides there are, then which
patches were cut from each. One resample draws S of the S slides with replacement, and from each
that it drew as many patches as the slide has, again with replacement; all models are scored on
the same draw, so that what is hard for all of them leaves their differences alone.

Another seed gives another model. So of a model's n seeds each resample draws n - 1, with
replacement, for each model by itself: with one less than there are the mean of the draw varies as
a mean of n seeds does, where with n it would vary less (Rao and Wu 1988, 'Resampling inference
with complex survey data', JASA 83). Of one seed nothing can be told of others, and it is taken
each time.

What is chance of one seed on one patch alone varies in all three of these draws, so the intervals
of many slides are rather too wide than too narrow (Owen 2007, 'The pigeonhole bootstrap', AOAS 1).
Those of few slides are too narrow: draws of three slides can hardly differ. S slides that all
agree do so by chance with a probability of 2^(1-S), as coins do, so p is never below that.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from ocelot_jax.metrics import matching

_LEVEL = 0.95
RESAMPLES = 10_000


@dataclasses.dataclass(frozen=True)
class Difference:
    """By how much a first model's score is above a second's on the same patches.

    Attributes:
        value: the difference, first less second.
        low: lower end of its 95% interval.
        high: upper end.
        p: two-sided p value of there being no difference.
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero, and there are slides enough to say so."""
        return (self.low > 0 or self.high < 0) and self.p < 1 - _LEVEL


@dataclasses.dataclass(frozen=True)
class Fold:
    """N patches on which all of some models were scored.

    In cross-validation there are several folds, and a seed is another training in each of them.

    Attributes:
        slides: [N], the slide of each patch.
        counts: of each model [n, N, 3, K], by seed and patch, of each class true positives, false
            positives and true cells. The numbers n of seeds may differ.
    """

    slides: np.ndarray
    counts: Sequence[np.ndarray]


def resample(
    folds: Sequence[Fold], rng: np.random.Generator, resamples: int = RESAMPLES
) -> np.ndarray:
    """Sums the counts of each resample of slides, of patches within them, and of seeds.

    Args:
        folds: what was scored; M models in each.
        rng: source of the draws.
        resamples: R.

    Returns:
        [R, M, 3, K], sums over the patches drawn, means over the seeds drawn.
    """
    # by fold, of each patch the counts of all models and seeds in a line
    flat = [np.concatenate([_lines(counts) for counts in fold.counts], axis=1) for fold in folds]
    totals = [np.zeros((resamples, held.shape[1])) for held in flat]
    names = np.unique(np.concatenate([fold.slides for fold in folds]))
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    for slide, name in enumerate(names):
        places = [np.flatnonzero(fold.slides == name) for fold in folds]
        size = sum(map(len, places))
        # A slide drawn m times gives m draws of its n patches: m n draws in one.
        patches = rng.multinomial(drawn[:, slide] * size, np.full(size, 1 / size))
        parts = np.split(patches, np.cumsum([len(place) for place in places[:-1]]), axis=1)
        for index, (place, part) in enumerate(zip(places, parts, strict=True)):
            if len(place):
                totals[index] += part @ flat[index][place]
    of_folds = [
        _draw_seeds(held, fold.counts, rng) for held, fold in zip(totals, folds, strict=True)
    ]
    return np.sum(of_folds, axis=0)


def _lines(counts: np.ndarray) -> np.ndarray:
    """Lays out counts [n, N, 3, K] as [N, n 3 K]."""
    return counts.swapaxes(0, 1).reshape(counts.shape[1], -1).astype(np.float64)


def _draw_seeds(
    totals: np.ndarray, counts: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Averages the totals [R, all n 3 K] of a fold's resamples over seeds: [R, M, 3, K]."""
    means = []
    ends = np.cumsum([len(held) * held[0, 0].size for held in counts])
    for held, of_model in zip(counts, np.split(totals, ends[:-1], axis=1), strict=True):
        seeds = len(held)
        draws = max(seeds - 1, 1)
        drawn = rng.multinomial(draws, np.full(seeds, 1 / seeds), size=len(totals)) / draws
        by_seed = of_model.reshape(len(totals), seeds, *held.shape[2:])
        means.append(np.einsum('rs,rsck->rck', drawn, by_seed))
    return np.stack(means, axis=1)


def total(folds: Iterable[Fold]) -> np.ndarray:
    """Sums counts over the patches of all folds, and averages over seeds: [M, 3, K].

    The scores of averaged counts are those of all seeds' cells pooled.
    """
    by_fold = [[held.mean(axis=0).sum(axis=0) for held in fold.counts] for fold in folds]
    return np.sum(by_fold, axis=0)


def scores(totals: np.ndarray) -> np.ndarray:
    """Scores summed counts officially.

    Args:
        totals: [..., 3, K], of each class true positives, false positives and true cells.

    Returns:
        [..., 1 + K]: mF1, then F1 of each class.
    """
    f1 = matching.precision_recall_f1(*np.moveaxis(totals, -2, 0))[2]
    return np.concatenate([f1.mean(axis=-1, keepdims=True), f1], axis=-1)


def difference(value: float, resampled: np.ndarray, slides: int) -> Difference:
    """Sums up a resampled difference: the percentile interval, and the p that belongs to it.

    Args:
        value: the difference on all patches, each once.
        resampled: [R], that of each resample.
        slides: S, of how many slides.
    """
    low, high = np.quantile(resampled, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    tail = min(np.sum(resampled <= 0), np.sum(resampled >= 0))
    # One is added on both sides, so that p is never 0 (Davison and Hinkley 1997, 4.2).
    p = min(1.0, max(2 * (tail + 1) / (len(resampled) + 1), 2.0 ** (1 - slides)))
    return Difference(float(value), float(low), float(high), float(p))


def compare(
    folds: Sequence[Fold],
    pairs: Sequence[tuple[int, int]],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> list[list[Difference]]:
    """Compares pairs of models, by their places in the folds, on the same draws.

    Returns:
        Of each pair the differences of mF1, and of the F1 of each class; first less second.
    """
    found = []
    values, drawn = scores(total(folds)), scores(resample(folds, rng, resamples))
    slides = len(set().union(*(fold.slides for fold in folds)))
    for first, second in pairs:
        draws = (drawn[:, first] - drawn[:, second]).T
        of = zip(values[first] - values[second], draws, strict=True)
        found.append([difference(*each, slides) for each in of])
    return found
