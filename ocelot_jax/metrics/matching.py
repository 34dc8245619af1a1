"""The official scores: F1 of matched cells, IoU of tissue.

The cell score pools over all patches: per class, predictions by falling confidence each take the
nearest ground-truth cell of their class that is still free and within the cutoff, and are then
true positives, else false positives.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ocelot_jax.metrics.cells import Cells

_EPSILON = 1e-7
# A cutoff is a length over a float32 um/px (3.0 / 0.2 gives 14.9999998), and points lie on whole
# pixels, often at the cutoff exactly: they are within it in spite of the rounding.
_CUTOFF_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Counts:
    """Per-class counts of matched cells, which add up over patches.

    Attributes:
        tp: [K] int64, predictions that took a ground-truth cell.
        fp: [K] int64, predictions that took none.
        gt: [K] int64, ground-truth cells.
    """

    tp: np.ndarray
    fp: np.ndarray
    gt: np.ndarray

    @classmethod
    def zeros(cls, num_classes: int) -> 'Counts':
        """Returns the counts of nothing, the start of a sum."""
        return cls(*(np.zeros(num_classes, np.int64) for _ in range(3)))

    def __add__(self, other: 'Counts') -> 'Counts':
        return Counts(self.tp + other.tp, self.fp + other.fp, self.gt + other.gt)


@dataclasses.dataclass(frozen=True)
class Match:
    """Who took whom in one patch.

    Attributes:
        counts: per-class counts.
        pred_to_true: [n] int64, the ground-truth cell that a prediction took, or -1.
        true_to_pred: [m] int64, the prediction that took a ground-truth cell, or -1.
    """

    counts: Counts
    pred_to_true: np.ndarray
    true_to_pred: np.ndarray


def match_cells(found: Cells, true: Cells, *, distance: float, num_classes: int) -> Match:
    """Matches the cells found in one patch with its ground truth.

    Pooling over patches equals adding the counts of each: a prediction competes only with
    predictions of its own patch and class for cells of that patch, so of the pooled order by
    confidence only the order within a patch matters, and that is the order taken here.

    Predictions of equal confidence go in the order given; of cells equally near, the one of
    lowest index is taken. Label 0 is padding and takes no part.

    Args:
        found: n predictions; points in pixels, labels 1..K, or 0.
        true: m ground-truth cells, in the same pixels.
        distance: cutoff in pixels; a cell at exactly this distance is within it.
        num_classes: K.

    Returns:
        The counts and who took whom.

    Raises:
        ValueError: a label is not in 0..K, or the arrays of one side differ in length.
    """
    pred_points, pred_labels = _check('predictions', found, num_classes)
    true_points, true_labels = _check('ground truth', true, num_classes)
    squared = ((pred_points[:, None] - true_points[None]) ** 2).sum(axis=-1)
    near = squared <= (distance * (1 + _CUTOFF_TOLERANCE)) ** 2
    alike = (pred_labels[:, None] == true_labels[None]) & (pred_labels[:, None] > 0)
    pred, true_row = np.nonzero(near & alike)
    rank = np.empty(len(pred_labels), np.int64)
    rank[np.argsort(-np.asarray(found.scores, np.float64), kind='stable')] = np.arange(len(rank))
    # Predictions by rank, then cells by distance, then by index: the first pair whose both ends
    # are free is what the next prediction takes.
    order = np.lexsort((true_row, squared[pred, true_row], rank[pred]))
    pred_to_true = np.full(len(pred_labels), -1, np.int64)
    true_to_pred = np.full(len(true_labels), -1, np.int64)
    for p, t in zip(pred[order].tolist(), true_row[order].tolist(), strict=True):
        if pred_to_true[p] < 0 and true_to_pred[t] < 0:
            pred_to_true[p], true_to_pred[t] = t, p

    matched = pred_to_true >= 0
    per_class = lambda labels: np.bincount(labels, minlength=num_classes + 1)[1:].astype(np.int64)
    counts = map(per_class, (pred_labels[matched], pred_labels[~matched], true_labels))
    return Match(Counts(*counts), pred_to_true, true_to_pred)


def precision_recall_f1(
    tp: np.ndarray, fp: np.ndarray, gt: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes the official precision, recall and F1 of counts, element by element.

    Args:
        tp: true positives, any shape.
        fp: false positives.
        gt: ground-truth cells.

    Returns:
        Three arrays of that shape, in 0..1; 0 where there is nothing to divide by.
    """
    precision = tp / (tp + fp + _EPSILON)
    recall = tp / (gt + _EPSILON)
    return precision, recall, 2 * precision * recall / (precision + recall + _EPSILON)


def f1_scores(counts: Counts, class_names: Sequence[str]) -> dict[str, float]:
    """Computes the official score and its parts.

    Args:
        counts: counts summed over the patches to be scored, K classes.
        class_names: K names, of labels 1..K.

    Returns:
        'mF1', and per class 'F1/<name>', 'Pre/<name>' and 'Rec/<name>', in 0..1. A class with
        neither predictions nor ground truth has F1 0 and counts in the mean, as officially.
    """
    precision, recall, f1 = precision_recall_f1(counts.tp, counts.fp, counts.gt)
    scores = {'mF1': float(f1.mean())}
    for i, name in enumerate(class_names):
        scores[f'F1/{name}'] = float(f1[i])
        scores[f'Pre/{name}'] = float(precision[i])
        scores[f'Rec/{name}'] = float(recall[i])
    return scores


def score_cells(
    found: Sequence[Cells],
    true: Sequence[Cells],
    *,
    mpp: float | Sequence[float],
    class_names: Sequence[str],
    distance_um: float = 3.0,
) -> dict[str, float]:
    """Computes the official score of cells against cells, pooled over patches (Sec. 4.2).

    Args:
        found: the cells found in each patch; points in pixels, labels 1..K.
        true: the cells that are there, patch by patch in the same order and pixels.
        mpp: micrometres per pixel, of all patches or of each.
        class_names: K names, of labels 1..K.
        distance_um: how far a cell may be found from the true one, micrometres.

    Returns:
        As `f1_scores`.

    Raises:
        ValueError: there are not as many patches of each, a label is not in 0..K, or the arrays
            of some cells differ in length.
    """
    counts = Counts.zeros(len(class_names))
    distances = distance_um / np.broadcast_to(mpp, len(true))
    for one, other, distance in zip(found, true, distances, strict=True):
        counts += match_cells(one, other, distance=distance, num_classes=len(class_names)).counts
    return f1_scores(counts, class_names)


@functools.partial(jax.jit, static_argnames='num_classes')
def confusion(mask_pred: jax.Array, mask_true: jax.Array, num_classes: int) -> jax.Array:
    """Counts pixels by true and predicted tissue class; runs on the device.

    Args:
        mask_pred: integers 0..T-1, any shape.
        mask_true: integers of the same shape; a pixel that is not 0..T-1 (255, unknown) counts
            for nothing.
        num_classes: T.

    Returns:
        [T, T] int32, rows true, columns predicted; additive (sum many batches as int64).
    """
    mask_true = mask_true.astype(jnp.int32)
    index = mask_true * num_classes + mask_pred.astype(jnp.int32)
    index = jnp.where(mask_true < num_classes, index, num_classes**2).reshape(-1, 1)
    hits = index == jnp.arange(num_classes**2)
    return hits.sum(axis=0, dtype=jnp.int32).reshape(num_classes, num_classes)


def iou_scores(confusion: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Computes intersection over union per tissue class and its mean.

    Args:
        confusion: [T, T], rows true, columns predicted.
        names: T class names.

    Returns:
        'mIoU' and per class 'IoU/<name>'. A class that is absent from both prediction and ground
        truth has no IoU: it is NaN and does not count in the mean (NaN where no class counts).
    """
    confusion = np.asarray(confusion, np.float64)
    both = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    iou = np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)
    present = iou[either > 0]
    mean = float(present.mean()) if len(present) else float('nan')
    return {'mIoU': mean} | {
        f'IoU/{name}': float(value) for name, value in zip(names, iou, strict=True)
    }


def _check(side: str, cells: Cells, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    points = np.asarray(cells.points, np.float64).reshape(-1, 2)
    labels = np.asarray(cells.labels, np.int64).reshape(-1)
    if not len(points) == len(labels) == len(cells.scores):
        raise ValueError(
            f'{side}: {len(points)} points, {len(labels)} labels, {len(cells.scores)} scores; '
            'want as many of each'
        )
    wrong = labels[(labels < 0) | (labels > num_classes)]
    if len(wrong):
        raise ValueError(f'{side}: label {wrong[0]}, wanted 0 to {num_classes}')
    return points, labels
