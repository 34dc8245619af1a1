"""The one loop from batches to cells: for evaluation, tuning, and prediction."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from ocelot_jax.inference import devices
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Batch, Engine
from ocelot_jax.metrics.cells import Cells

Result = TypeVar('Result')


def run(
    engine: Engine,
    read_cells: Callable[[Any, np.ndarray], Result],
    batches: Iterable[Batch],
    *,
    maps_tissue: bool = True,
) -> Iterator[tuple[Batch, Result, np.ndarray | None]]:
    """Computes batches one ahead: the device is busy while the host uses the last results.

    Args:
        engine: computes probabilities.
        read_cells: from probabilities [B,H,W,1+K] and um/px [B] of the cell patches to a tree of
            arrays, on the device if it can.
        batches: see `engine.Engine`; whatever else they hold is passed on.
        maps_tissue: whether the classes of the tissue branch mean something.

    Yields:
        The batch; what `read_cells` gave, as NumPy arrays; and the most likely tissue classes
        [T,h,w] uint8, or None.

    Raises:
        OutOfMemoryError: a batch does not fit into a device's memory.
    """
    last = None
    with devices.exhaustion_as_error(
        'want fewer pairs at a time: a smaller --batch_size where there is one, else a smaller '
        'config.data.batch_size'
    ):
        for batch in batches:
            maps = engine(batch)
            tissue = _classes(maps.tissue) if maps_tissue and maps.tissue is not None else None
            current = batch, (read_cells(maps.cell, batch['cell_mpp']), tissue)
            if last is not None:
                yield last[0], *jax.tree.map(np.asarray, last[1])
            last = current
        if last is not None:
            yield last[0], *jax.tree.map(np.asarray, last[1])


def find(
    engine: Engine, detect: Detector, batches: Iterable[Batch], *, maps_tissue: bool = True
) -> Iterator[tuple[Batch, list[Cells], np.ndarray | None, np.ndarray]]:
    """Finds the cells of batches; warns in the end where `max_cells` was too small.

    Arguments are those of `run`; the rows where `valid` [B] of a batch is false are padding.

    Yields:
        The batch; the cells of each of its B cell patches; the tissue classes or None; and
        whether each cell patch, [B] bool, is crowded: cells beyond `max_cells` were left out.
    """
    count = 0
    for batch, padded, tissue in run(engine, detect, batches, maps_tissue=maps_tissue):
        crowded = (padded.num_peaks > padded.count) & batch['valid']
        count += int(crowded.sum())
        yield batch, [padded.of_patch(row) for row in range(len(padded.count))], tissue, crowded
    if doubt := detect.doubt_of_crowded(count):
        logging.warning('%s', doubt)


@jax.jit
def _classes(tissue: Any) -> jax.Array:
    """The most likely class of each pixel, uint8; NumPy would take ten times as long."""
    return jnp.argmax(tissue, -1).astype(jnp.uint8)
