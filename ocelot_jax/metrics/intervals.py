"""Means over repeats with the interval that the paper gives (Sec. 6.2)."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over repeats.

    Attributes:
        mean: of the repeats.
        half_width: half of its 95% confidence interval; None of a single repeat.
        count: the number of repeats; None where it is the paper's, which had five.
    """

    mean: float
    half_width: float | None
    count: int | None = None


def estimate(values: Sequence[float]) -> Estimate | None:
    """Averages repeats, with the 95% confidence interval by Student's t.

    Args:
        values: a score of each repeat.

    Returns:
        The mean and half of its interval; None where there are no values.
    """
    count = len(values)
    if not count:
        return None
    mean = float(np.mean(values))
    if count == 1:
        return Estimate(mean, None, 1)
    error = np.std(values, ddof=1) / np.sqrt(count)
    return Estimate(mean, float(stats.t.ppf((1 + _LEVEL) / 2, count - 1) * error), count)
