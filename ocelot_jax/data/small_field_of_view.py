"""Pairs robbed of their large field of view, for the data set's ablation (Sec. 6.4, Table 7)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ocelot_jax.data.pair_folder import as_record


class SmallFieldOfView:
    """A data source whose tissue patches show no more than the cell patches.

    Args:
        source: random access to records of pairs.
    """

    def __init__(self, source: Any):
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return narrow(as_record(self._source[index]))

    def __repr__(self) -> str:
        # Grain keeps a source's repr in its checkpoints and compares it on resuming
        return f'SmallFieldOfView({self._source!r})'


def narrow(record: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the cell patch, with the tissue label of its region, in the tissue patch's place.

    Args:
        record: one pair, as `datasets.pair_folder.as_record` gives it.

    Returns:
        The same, but `tissue_image` is `cell_image`, `tissue_mask` [H,W,1] the nearest label at
        each of its pixels, and `center` and `tissue_mpp` say so.
    """
    cell, mask = record['cell_image'], record['tissue_mask']
    cell_um = float(record['cell_mpp']) * np.array(cell.shape[:2])
    tissue_um = float(record['tissue_mpp']) * np.array(mask.shape[:2])
    ratio = cell_um / tissue_um
    indices = []
    for axis, middle in enumerate(record['center'][::-1]):
        n, size = cell.shape[axis], mask.shape[axis]
        # which pixel of the mask holds the middle of each pixel of the cell patch
        places = middle + ratio[axis] * ((np.arange(n) + 0.5) / n - 0.5)
        indices.append(np.clip(np.floor(places * size).astype(int), 0, size - 1))
    rows, columns = indices
    return {
        **record,
        'tissue_image': cell,
        'tissue_mask': mask[rows[:, None], columns],
        'center': np.full(2, 0.5, np.float32),
        'tissue_mpp': np.float32(record['cell_mpp']),
    }
