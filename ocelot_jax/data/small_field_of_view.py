"""The ablation without the large field of view (Sec. 6.4, Table 7).

The tissue branch sees the cell patch, with the tissue labels of that region.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ocelot_jax.data.outline import Outline


class SmallFieldOfView:
    """A data source whose tissue patches have the field of view of its cell patches."""

    def __init__(self, source: Any):
        self._source = source

    @property
    def outline(self) -> Outline:
        """The pairs' outline, which the tissue patches have no part in."""
        return self._source.outline

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return narrow(self._source[index])


def narrow(record: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces the tissue patch of a record by the cell patch.

    `tissue_image` becomes `cell_image`, `tissue_mask` [H,W,1] the tissue class at the middle of
    each of its pixels, `center` (0.5, 0.5) and `tissue_mpp` `cell_mpp`.
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
