"""Cells and tissue in pairs of patches."""

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np

from ocelot_jax.inference import loop, prefetch
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Engine
from ocelot_jax.io import progress
from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.prediction.inputs import Pairs

_OVERLAYS = 8
_FIELDS = ('cell_image', 'tissue_image', 'center', 'cell_mpp', 'tissue_mpp')


@dataclasses.dataclass(frozen=True)
class FoundPair:
    """What was found in a pair.

    Attributes:
        name: the pair's.
        mpp: um per pixel of the cell patch.
        cells: points [n,2] float32 in pixels of the cell patch, labels [n] int32, scores [n]
            float32.
        tissue: [h,w] uint8, most likely class of the tissue patch, or of the cell patch where
            `data.large_fov` is false; None without a tissue branch.
        image: [H,W,3] uint8, the cell patch, of the first few pairs; None of the others.
        crowded: whether cells beyond `config.detection.max_cells` were left out.
    """

    name: str
    mpp: float
    cells: Cells
    tissue: np.ndarray | None
    image: np.ndarray | None
    crowded: bool


def predict_pairs(
    pairs: Pairs,
    engine: Engine,
    detect: Detector,
    *,
    batch_size: int,
    large_fov: bool = True,
    maps_tissue: bool = True,
) -> Iterator[FoundPair]:
    """Finds cells and tissue in pairs, whose patches have one size.

    Args:
        pairs: the pairs.
        engine: computes probabilities.
        detect: finds cells in them.
        batch_size: pairs computed at a time.
        large_fov: whether the tissue branch takes the tissue patches; or the cell patches too,
            as in the ablation without the large field of view (Sec. 6.4).
        maps_tissue: whether the network predicts tissue classes.

    Raises:
        InputError: a pair cannot be read, or its patches have another size.
    """
    first = pairs.read(0)

    def read(index: int) -> dict[str, np.ndarray]:
        record = pairs.read(index)
        for kind in ('cell_image', 'tissue_image'):
            height, width = record[kind].shape[:2]
            if (height, width) != first[kind].shape[:2] or height != width:
                raise InputError(
                    f'{pairs.source}: pair {pairs.names[index]}: {kind} is {width} x {height} px; '
                    f'want square patches of one size, {len(first[kind])} px'
                )
        if not large_fov:
            record = record | {
                'tissue_image': record['cell_image'],
                'center': np.full(2, 0.5, np.float32),
                'tissue_mpp': record['cell_mpp'],
            }
        arrays = {name: np.asarray(record[name])[None] for name in _FIELDS}
        return arrays | {'valid': np.ones(1, bool)}

    numbers = range(len(pairs.names))
    with (
        contextlib.closing(prefetch.read_ahead(numbers, read, batch_size)) as batches,
        progress.show('predicting', len(numbers), 'pairs') as shown,
    ):
        found = loop.find(engine, detect, batches, maps_tissue=maps_tissue)
        for batch, cells, tissue, crowded in found:
            for row, index in enumerate(batch['items']):
                yield FoundPair(
                    name=pairs.names[index],
                    mpp=float(batch['cell_mpp'][row]),
                    cells=cells[row],
                    tissue=None if tissue is None else tissue[row],
                    image=batch['cell_image'][row] if index < _OVERLAYS else None,
                    crowded=bool(crowded[row]),
                )
                shown.advance()
