"""What the cells of a split tell beyond one score: precision by recall, calibration, confusion."""

import dataclasses

import jax
import numpy as np
import scipy  # loads optimize where it is used, which many commands do not

# no confidence is surer than this, so that one cell cannot decide
_SUREST = 1e-6
# their powers stay within float32
_COLDEST, _HOTTEST = 0.2, 50.0

Array = np.ndarray | jax.Array


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How often cells of a confidence are true ones.

    Attributes:
        confidence: [b] mean confidence of the cells in each bin that holds any.
        share: [b] share of them that are matched.
        count: [b] how many they are.
        error: expected calibration error: the mean distance of the two, weighted by `count`
            (Guo et al. 2017).
    """

    confidence: np.ndarray
    share: np.ndarray
    count: np.ndarray
    error: float


def precision_recall(
    scores: np.ndarray, matched: np.ndarray, num_true: int
) -> tuple[np.ndarray, np.ndarray]:
    """Computes precision and recall at each confidence that a threshold may take.

    Cells are matched by falling confidence, so those above a threshold are matched the same
    with or without the rest.

    Args:
        scores: [n], confidences of the cells found.
        matched: [n] bool, which are true positives.
        num_true: number of true cells.

    Returns:
        Recall and precision [m], by falling threshold, one for each distinct confidence.
    """
    order = np.argsort(-scores, kind='stable')
    hits = np.cumsum(matched[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))[: len(order)]
    return hits[last] / max(num_true, 1), hits[last] / (last + 1)


def reliability(scores: np.ndarray, matched: np.ndarray, bins: int = 10) -> Reliability:
    """Compares confidences [n] with how often they are right, in bins of equal width over 0..1."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    total = lambda values: np.bincount(place, values, minlength=bins)[held]
    count = count[held]
    confidence, share = total(scores) / count, total(matched.astype(float)) / count
    error = float(np.sum(count * np.abs(confidence - share)) / max(count.sum(), 1))
    return Reliability(confidence, share, count, error)


def temper(scores: Array, temperature: float) -> Array:
    """Divides the log-odds of confidences by a temperature; their order stays.

    A temperature above 1 makes sure ones less sure (Guo et al. 2017, here of one class against the
    rest, as a peak is a cell of its class or is not).

    Args:
        scores: [...] f32 or f64 in [0, 1], of NumPy or JAX.
        temperature: from 0.2 to 50.

    Returns:
        [...] of the same kind.
    """
    odds = 1 / scores.clip(_SUREST, 1 - _SUREST) - 1
    return 1 / (1 + odds ** (1 / temperature))


def fit_temperature(scores: np.ndarray, matched: np.ndarray) -> float:
    """Finds the temperature under which the cells' confidences explain best which are true ones.

    Args:
        scores: [n] confidences.
        matched: [n] bool, which cells are matched.

    Returns:
        The temperature of least log loss, from 0.2 to 50; 1 where all are right, or none, or
        there are none.
    """
    if matched.all() or not matched.any():
        return 1.0

    def log_loss(exponent: float) -> float:
        probs = np.clip(temper(scores, np.exp(exponent)), _SUREST, 1 - _SUREST)
        return -float(np.mean(np.log(np.where(matched, probs, 1 - probs))))

    bounds = np.log([_COLDEST, _HOTTEST])
    return float(np.exp(scipy.optimize.minimize_scalar(log_loss, bounds=bounds).x))


def confusion(found: np.ndarray, true: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts cells by their true class and the class found.

    Args:
        found: [n] integers, 1..K, or 0 where no cell was found.
        true: [n] integers, 1..K, or 0 where no cell is.
        num_classes: K.

    Returns:
        [1 + K, 1 + K] int64, rows true, columns found.
    """
    size = num_classes + 1
    return np.bincount(true * size + found, minlength=size * size).reshape(size, size)
