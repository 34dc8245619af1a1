"""From batches to cells, counts and scores."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from ocelot_jax import augment, detection, input_pipeline, metrics, network

Batch = dict[str, Any]
Predictor = Callable[[Any, Batch], tuple[detection.Cells, np.ndarray | None]]


class Prediction(NamedTuple):
    """What was found in one pair, and what is there.

    Attributes:
        index: row of the pair in its source.
        points: [n,2] float32, (x, y) of the cells found, in pixels of the cell patch.
        labels: [n] int32, their classes, 1..K.
        scores: [n] float32, their confidences.
        tissue: [h,w] uint8, most likely tissue class, None without a tissue branch.
        true_points: [m,2] float32, the true cells.
        true_labels: [m] int32, their classes.
        true_tissue: [h,w] uint8, the true tissue classes, 255 unknown.
        distance: cutoff of a match, in pixels of the cell patch.
    """

    index: int
    points: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    tissue: np.ndarray | None
    true_points: np.ndarray
    true_labels: np.ndarray
    true_tissue: np.ndarray
    distance: float


class Evaluation(NamedTuple):
    """What a split's N pairs came to; every array adds over pairs.

    Attributes:
        counts: [N,3,K] int64, of each cell class the true positives, false positives and true
            cells, as in `metrics.Counts`.
        confusion: [N,T,T] int64, tissue pixels by true and predicted class; zeros without a
            tissue branch.
    """

    counts: np.ndarray
    confusion: np.ndarray


def probabilities(
    model: network.Model, variables: Any, batch: Batch
) -> tuple[jax.Array, jax.Array | None]:
    """Class probabilities of both patches.

    Args:
        model: from `network.create_model`.
        variables: the model's.
        batch: a batch of `input_pipeline`.

    Returns:
        [B,H,W,1+K] of the cell patch, and [B,h,w,T] of the tissue patch or None.
    """
    outputs = model.apply(variables, network.model_inputs(batch), train=False)
    return jax.tree.map(jax.nn.softmax, (outputs['cell_logits'], outputs['tissue_logits']))


def symmetric_probabilities(
    model: network.Model, variables: Any, batch: Batch
) -> tuple[jax.Array, jax.Array | None]:
    """`probabilities` averaged over the eight symmetries of the square, one after the other."""
    names = ('cell_image', 'tissue_image', 'tissue_mask', 'center', 'cell_points', 'cell_labels')
    pairs = {name: batch[name] for name in names}
    turns_back = [lambda x, k=k: jnp.rot90(x, -k, (1, 2)) for k in range(4)]

    def one(orientation: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array | None]:
        flip, quarter_turns = orientation
        turned = jax.vmap(augment.turn, (0, None, None))(pairs, flip, quarter_turns)

        def undo(x: jax.Array) -> jax.Array:
            x = jax.lax.switch(quarter_turns, turns_back, x)
            return jnp.where(flip, x[:, :, ::-1], x)

        return jax.tree.map(undo, probabilities(model, variables, {**batch, **turned}))

    orientations = (jnp.arange(8) >= 4, jnp.arange(8) % 4)
    return jax.tree.map(lambda x: x.mean(0), jax.lax.map(one, orientations))


def create_predictor(config: ml_collections.ConfigDict, cell_mpp: float) -> Predictor:
    """Makes the function that finds cells and tissue in a batch, on all local devices.

    Args:
        config: as `configs/default.py`.
        cell_mpp: micrometres per pixel of the cell patches; makes pixels of the config's lengths.

    Returns:
        `predict(variables, batch)`, where `variables` are replicated over the local devices
        and `batch` is a batch of `input_pipeline`, to the cells of its B patches and the most
        likely tissue class [B,h,w] uint8 (None where no branch learns it), as NumPy arrays.
    """
    model = network.create_model(config)
    settings = {
        'sigma': detection.to_pixels(config.detection.sigma_um, cell_mpp),
        'min_distance': detection.to_whole_pixels(config.detection.min_distance_um, cell_mpp),
        'threshold': config.detection.threshold,
        'max_cells': config.detection.max_cells,
    }
    if config.detection.backend not in ('jax', 'skimage'):
        raise ValueError(
            f'config.detection.backend: {config.detection.backend!r}; want jax or skimage'
        )
    on_device = config.detection.backend == 'jax'

    compute = symmetric_probabilities if config.test_time_augmentation else probabilities

    @jax.pmap
    def predict_step(variables: Any, batch: Batch) -> tuple[Any, jax.Array | None]:
        probs, tissue = compute(model, variables, batch)
        if tissue is not None:
            tissue = tissue.argmax(-1).astype(jnp.uint8) if config.tissue_loss_weight else None
        return detection.detect(probs, **settings) if on_device else probs, tissue

    def predict(variables: Any, batch: Batch) -> tuple[detection.Cells, np.ndarray | None]:
        result = predict_step(variables, input_pipeline.shard(batch, jax.local_device_count()))
        cells, tissue = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), result)
        if not on_device:
            cells = detection.detect_skimage(cells, **settings)
        return cells, tissue

    return predict


def predictions(
    predict: Predictor, variables: Any, source: Any, config: ml_collections.ConfigDict
) -> Iterator[Prediction]:
    """Finds cells and tissue in every pair of a split, each once; of several hosts each its part.

    Args:
        predict: from `create_predictor`.
        variables: the model's, replicated over the local devices.
        source: data source of the split.
        config: as `configs/default.py`.
    """
    overflowed = 0
    batches = input_pipeline.eval_batches(
        source,
        batch_size=config.data.batch_size,
        max_cells=config.data.max_cells,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    for batch in batches:
        cells, tissue = predict(variables, batch)
        overflowed += np.count_nonzero((cells.num_peaks > cells.count) & batch['valid'])
        for row in np.flatnonzero(batch['valid']):
            found, true = cells.count[row], batch['cell_count'][row]
            yield Prediction(
                index=int(batch['index'][row]),
                points=cells.points[row, :found],
                labels=cells.labels[row, :found],
                scores=cells.scores[row, :found],
                tissue=None if tissue is None else tissue[row],
                true_points=batch['cell_points'][row, :true],
                true_labels=batch['cell_labels'][row, :true],
                true_tissue=batch['tissue_mask'][row],
                distance=config.match_distance_um / float(batch['cell_mpp'][row]),
            )
    if overflowed:
        logging.warning(
            '%d patches have more peaks than config.detection.max_cells = %d; '
            'the lowest were left out, a larger value keeps them',
            overflowed,
            config.detection.max_cells,
        )


def match(prediction: Prediction, config: ml_collections.ConfigDict) -> metrics.Match:
    """Matches the found cells of one pair with the true ones."""
    return metrics.match_cells(
        prediction.points,
        prediction.labels,
        prediction.scores,
        prediction.true_points,
        prediction.true_labels,
        distance=prediction.distance,
        num_classes=len(config.data.cell_classes),
    )


def evaluate(
    predictions: Iterable[Prediction], num_pairs: int, config: ml_collections.ConfigDict
) -> Evaluation:
    """Scores the predictions of a split, over all hosts.

    Args:
        predictions: those of this process.
        num_pairs: N, of the whole split.
        config: as `configs/default.py`.
    """
    num_cells, num_tissues = len(config.data.cell_classes), len(config.data.tissue_classes)
    counts = np.zeros((num_pairs, 3, num_cells), np.int64)
    confusion = np.zeros((num_pairs, num_tissues, num_tissues), np.int64)
    for prediction in predictions:
        found = match(prediction, config).counts
        counts[prediction.index] = found.tp, found.fp, found.gt
        if prediction.tissue is not None:
            confusion[prediction.index] = metrics.confusion(
                prediction.tissue, prediction.true_tissue, num_tissues
            )
    if jax.process_count() > 1:
        # each pair was one process's; the others hold zeros
        gathered = multihost_utils.process_allgather((counts, confusion))
        counts, confusion = (x.sum(0) for x in gathered)
    return Evaluation(counts, confusion)


def scores(
    evaluation: Evaluation, config: ml_collections.ConfigDict, rows: Any = slice(None)
) -> dict[str, float]:
    """The official cell scores and the tissue IoU over all pairs, or over some `rows`."""
    counts = metrics.Counts(*evaluation.counts[rows].sum(0))
    result = metrics.f1_scores(counts, config.data.cell_classes)
    confusion = evaluation.confusion[rows].sum(0)
    if confusion.any():
        result |= metrics.iou_scores(confusion, config.data.tissue_classes)
    return result
