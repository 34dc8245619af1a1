"""A paired bootstrap over slides, and over the patches within them.

Patches of one slide are alike, so what may vary is first which slides there are, then which
patches were cut from each. One resample draws S of the S slides with replacement, and from each
that it drew as many patches as the slide has, again with replacement; all models are scored on
the same draw, so that what is hard for all of them leaves their differences alone.
"""

import dataclasses

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
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def resample(
    counts: np.ndarray, slides: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> np.ndarray:
    """Sums the counts of each resample of slides and of patches within them.

    Args:
        counts: [N, ...], of N patches; all that lies behind the first axis is drawn together.
        slides: [N], the slide of each patch.
        rng: source of the draws.
        resamples: R.

    Returns:
        [R, ...], sums over the patches drawn.
    """
    names, members = np.unique(slides, return_inverse=True)
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    totals = np.zeros((resamples, flat.shape[1]))
    for slide in range(len(names)):
        held = flat[members == slide]
        # A slide drawn m times gives m draws of its n patches: m n draws in one.
        patches = rng.multinomial(drawn[:, slide] * len(held), np.full(len(held), 1 / len(held)))
        totals += patches @ held
    return totals.reshape(resamples, *counts.shape[1:])


def scores(totals: np.ndarray) -> np.ndarray:
    """Scores summed counts officially.

    Args:
        totals: [..., 3, K], of each class true positives, false positives and true cells.

    Returns:
        [..., 1 + K]: mF1, then F1 of each class.
    """
    f1 = matching.precision_recall_f1(*np.moveaxis(totals, -2, 0))[2]
    return np.concatenate([f1.mean(axis=-1, keepdims=True), f1], axis=-1)


def difference(value: float, resampled: np.ndarray) -> Difference:
    """Sums up a resampled difference: the percentile interval, and the p that belongs to it.

    Args:
        value: the difference on all patches, each once.
        resampled: [R], that of each resample.
    """
    low, high = np.quantile(resampled, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    tail = min(np.sum(resampled <= 0), np.sum(resampled >= 0))
    # One is added on both sides, so that p is never 0 (Davison and Hinkley 1997, 4.2).
    p = min(1.0, 2 * (tail + 1) / (len(resampled) + 1))
    return Difference(float(value), float(low), float(high), float(p))


def compare(
    first: np.ndarray,
    second: np.ndarray,
    slides: np.ndarray,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> list[Difference]:
    """Compares two models on the same patches, by their counts [N, 3, K] as of `scores`.

    The slides [N] and the draws are as of `resample`.

    Returns:
        The differences of mF1, and of the F1 of each class; first less second.
    """
    both = np.stack([first, second], axis=1)
    resampled = scores(resample(both, slides, rng, resamples))
    values = np.subtract(*scores(both.sum(axis=0)))
    draws = (resampled[:, 0] - resampled[:, 1]).T
    return [difference(*of) for of in zip(values, draws, strict=True)]
