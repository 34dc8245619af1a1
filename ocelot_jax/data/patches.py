"""Sizes of the patches of a pair."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Patches:
    """Sizes of the square patches that a run was trained on.

    Attributes:
        cell_size: side of the cell patches, pixels.
        cell_mpp: micrometres per pixel of the cell patches.
        tissue_size: side of the tissue patches, pixels.
        tissue_mpp: micrometres per pixel of the tissue patches.
    """

    cell_size: int
    cell_mpp: float
    tissue_size: int
    tissue_mpp: float

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> 'Patches':
        """Those of one pair."""
        sizes = {f'{kind}_size': len(record[f'{kind}_image']) for kind in ('cell', 'tissue')}
        # as few digits as tell the float32 that it is
        mpps = {name: float(str(record[name])) for name in ('cell_mpp', 'tissue_mpp')}
        return cls(**sizes, **mpps)
