"""From batches to cells, counts and scores."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ocelot_jax.data import augmentation
from ocelot_jax.data.batches import arrays, eval_batches, shard
from ocelot_jax.inference import detection
from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics import matching
from ocelot_jax.models import factory

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
    model: factory.Model, variables: Any, batch: Batch
) -> tuple[jax.Array, jax.Array | None]:
    """Class probabilities of both patches.

    Args:
        model: from `network.create_model`.
        variables: the model's.
        batch: a batch of `input_pipeline`, of which `cell_image` [B,H,W,3], `tissue_image`
            [T,h,w,3], `center` [B,2], `cell_mpp` [B] and `tissue_mpp` [B] are read, and
            `tissue_mask` by a model that is told the tissue. Where T is less than B, the tissue
            patches are shared: B/T cell patches in a row lie in each. A model that lets the
            tissue branch know of no cell patch then computes each tissue patch once.

    Returns:
        [B,H,W,1+K] of the cell patches, and [T,h,w,T'] of the tissue patches or None; of what a
        shared tissue patch was found to be in sight of each of its cell patches, the mean.
    """
    inputs = augmentation.model_inputs(batch)
    count = len(inputs['tissue_image'])
    if not factory.shares_tissue(model):
        shared = len(inputs['cell_image']) // count
        inputs['tissue_image'] = jnp.repeat(inputs['tissue_image'], shared, axis=0)
    outputs = model.apply(variables, inputs, train=False)
    cell, tissue = jax.tree.map(jax.nn.softmax, (outputs['cell_logits'], outputs['tissue_logits']))
    if tissue is not None and len(tissue) > count:
        tissue = tissue.reshape(count, -1, *tissue.shape[1:]).mean(1)
    return cell, tissue


def symmetric_probabilities(
    model: factory.Model, variables: Any, batch: Batch
) -> tuple[jax.Array, jax.Array | None]:
    """`probabilities` averaged over the eight symmetries of the square, one after the other."""
    # apart, because tissue patches may be fewer
    sides = [
        {name: batch[name] for name in names if name in batch}
        for names in (('cell_image', 'center'), ('tissue_image', 'tissue_mask'))
    ]
    turns_back = [lambda x, k=k: jnp.rot90(x, -k, (1, 2)) for k in range(4)]

    def one(orientation: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array | None]:
        flip, quarter_turns = orientation
        cell, tissue = (
            jax.vmap(augmentation.turn, (0, None, None))(side, flip, quarter_turns)
            for side in sides
        )

        def undo(x: jax.Array) -> jax.Array:
            x = jax.lax.switch(quarter_turns, turns_back, x)
            return jnp.where(flip, x[:, :, ::-1], x)

        return jax.tree.map(undo, probabilities(model, variables, {**batch, **cell, **tissue}))

    orientations = (jnp.arange(8) >= 4, jnp.arange(8) % 4)
    return jax.tree.map(lambda x: x.mean(0), jax.lax.map(one, orientations))


def create_probabilities(
    config: ml_collections.ConfigDict, ensemble: bool = False
) -> Callable[[Any, Batch], tuple[jax.Array, jax.Array | None]]:
    """Makes the function that a configuration's network computes, not compiled.

    Args:
        config: as `configs/default.py`; with `test_time_augmentation` it is
            `symmetric_probabilities`, otherwise `probabilities`.
        ensemble: whether to take the variables of several networks, as `stack` joins them, and
            to give the mean of what each computes.

    Returns:
        `compute(variables, batch)`.
    """
    model = factory.create_model(config)
    single = symmetric_probabilities if config.test_time_augmentation else probabilities
    compute = functools.partial(single, model)
    if not ensemble:
        return compute

    def mean(members: Any, batch: Batch) -> tuple[jax.Array, jax.Array | None]:
        results = jax.vmap(compute, (0, None))(members, batch)
        return jax.tree.map(lambda x: x.mean(0), results)

    return mean


def stack(members: Sequence[Any]) -> Any:
    """Joins the variables of several networks leaf by leaf, along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


class Engine(Protocol):
    """What computes probabilities: the jitted network, or another program's copy of it."""

    def __call__(self, batch: Batch) -> tuple[Any, Any]:
        """Computes class probabilities, as `probabilities` does.

        Args:
            batch: uint8 `cell_image` [B,H,W,3] and `tissue_image` [T,h,w,3], `center` [B,2],
                `cell_mpp` and `tissue_mpp` [B]; T divides B.

        Returns:
            [B,H,W,1+K] and [T,h,w,T'] or None; arrays of JAX or NumPy.
        """


def create_engine(config: ml_collections.ConfigDict, variables: Any, ensemble: bool) -> Engine:
    """Makes the engine that runs the network on all local devices.

    Args:
        config: as `configs/default.py`.
        variables: the model's, or those of several as `stack` joins them.
        ensemble: whether they are of several.
    """
    devices = jax.local_devices()
    mesh = jax.make_mesh((len(devices),), ('batch',), (AxisType.Auto,), devices=devices)
    everywhere, by_rows = PartitionSpec(), PartitionSpec('batch')
    compute = jax.jit(
        jax.shard_map(
            create_probabilities(config, ensemble),
            mesh=mesh,
            in_specs=(everywhere, by_rows),
            out_specs=by_rows,
            check_vma=False,
        )
    )
    variables = jax.device_put(variables, NamedSharding(mesh, everywhere))

    def engine(batch: Batch) -> tuple[jax.Array, jax.Array | None]:
        return compute(variables, arrays(batch))

    return engine


class Detector:
    """Finds cells in class probabilities, as a configuration wants it.

    Args:
        config: as `configs/default.py`.
        cell_mpp: micrometres per pixel of the cell patches; makes pixels of the config's lengths.

    Attributes:
        min_distance: least distance between two cells, in whole pixels.
        reach: how far a pixel can be from another and still decide whether that is a cell.
    """

    def __init__(self, config: ml_collections.ConfigDict, cell_mpp: float):
        self._detect = {'jax': detection.detect, 'skimage': detection.detect_skimage}.get(
            config.detection.backend
        )
        if self._detect is None:
            raise InputError(
                f'config.detection.backend: {config.detection.backend!r}; want jax or skimage'
            )
        self.on_device = config.detection.backend == 'jax'
        self._settings = {
            'sigma': detection.to_pixels(config.detection.sigma_um, cell_mpp),
            'min_distance': detection.to_whole_pixels(config.detection.min_distance_um, cell_mpp),
            'threshold': config.detection.threshold,
            'max_cells': config.detection.max_cells,
        }

    @property
    def min_distance(self) -> int:
        return self._settings['min_distance']

    @property
    def reach(self) -> int:
        return self.min_distance + detection.smoothing_radius(self._settings['sigma'])

    def __call__(self, probs: Any) -> detection.Cells:
        """Finds the cells in [B,H,W,1+K]."""
        return self._detect(probs, **self._settings)


def create_predictor(
    config: ml_collections.ConfigDict, cell_mpp: float, ensemble: bool = False
) -> Predictor:
    """Makes the function that finds cells and tissue in a batch, on all local devices.

    Args:
        config: as `configs/default.py`.
        cell_mpp: micrometres per pixel of the cell patches; makes pixels of the config's lengths.
        ensemble: see `create_probabilities`.

    Returns:
        `predict(variables, batch)`, where `variables` are replicated over the local devices
        and `batch` is a batch of `input_pipeline`, to the cells of its B patches and the most
        likely tissue class [B,h,w] uint8 (None where no branch learns it), as NumPy arrays.
    """
    compute = create_probabilities(config, ensemble)
    detect = Detector(config, cell_mpp)

    @jax.pmap
    def predict_step(variables: Any, batch: Batch) -> tuple[Any, jax.Array | None]:
        probs, tissue = compute(variables, batch)
        if tissue is not None:
            tissue = tissue.argmax(-1).astype(jnp.uint8) if config.tissue_loss_weight else None
        return detect(probs) if detect.on_device else probs, tissue

    def predict(variables: Any, batch: Batch) -> tuple[detection.Cells, np.ndarray | None]:
        result = predict_step(variables, shard(batch, jax.local_device_count()))
        cells, tissue = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), result)
        return cells if detect.on_device else detect(cells), tissue

    return predict


def create_engine_predictor(config: ml_collections.ConfigDict, cell_mpp: float) -> Predictor:
    """As `create_predictor`, but what it makes wants an `Engine` in the variables' place."""
    detect = Detector(config, cell_mpp)

    def predict(engine: Engine, batch: Batch) -> tuple[detection.Cells, np.ndarray | None]:
        probs, tissue = engine(batch)
        cells = jax.tree.map(np.asarray, detect(probs))
        if tissue is None or not config.tissue_loss_weight:
            return cells, None
        return cells, np.asarray(tissue).argmax(-1).astype(np.uint8)

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
    batches = eval_batches(
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


def match(prediction: Prediction, config: ml_collections.ConfigDict) -> matching.Match:
    """Matches the found cells of one pair with the true ones."""
    return matching.match_cells(
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
            confusion[prediction.index] = matching.confusion(
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
    counts = matching.Counts(*evaluation.counts[rows].sum(0))
    result = matching.f1_scores(counts, config.data.cell_classes)
    confusion = evaluation.confusion[rows].sum(0)
    if confusion.any():
        result |= matching.iou_scores(confusion, config.data.tissue_classes)
    return result
