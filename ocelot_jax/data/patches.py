"""Sizes of the patches of a pair."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ocelot_jax.io.errors import InputError

# Of um/px, beyond which a network is told to be out of its depth.
_TOLERANCE = 1.25


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
        return cls(sizes['cell_size'], mpps['cell_mpp'], sizes['tissue_size'], mpps['tissue_mpp'])

    @property
    def sides_um(self) -> tuple[float, float]:
        """Sides of the cell and the tissue patch, in micrometres."""
        return self.cell_size * self.cell_mpp, self.tissue_size * self.tissue_mpp

    def check(self) -> None:
        """Checks sizes that a user gave.

        Raises:
            InputError: they are none, or the tissue patch is narrower than the cell patch.
        """
        values = dataclasses.astuple(self)
        if not all(0 < value < math.inf for value in values):
            raise InputError(f'--patches: {values}; want numbers above 0')
        cell, tissue = self.sides_um
        if tissue < cell and not math.isclose(tissue, cell):
            raise InputError(
                f'--patches: the tissue patch has {tissue:g} um a side, the cell patch {cell:g}; '
                'want the tissue patch as wide or wider'
            )

    def doubt_of_pairs(
        self, cell_mpps: Iterable[float], tissue_mpps: Iterable[float] = ()
    ) -> str | None:
        """Tells of patches at another um/px than these, for pairs are not resampled.

        Args:
            cell_mpps: um/px of cell patches.
            tissue_mpps: um/px of the tissue patches that the network looks at; none where it
                looks at none.

        Returns:
            A sentence, or None where all lie within a quarter.
        """
        told = [
            doubt
            for doubt in (
                _other_scale('cell', list(cell_mpps), self.cell_mpp),
                _other_scale('tissue', list(tissue_mpps), self.tissue_mpp),
            )
            if doubt
        ]
        return f'{"; ".join(told)}; expect little of it' if told else None

    def doubt_of_slide(self, mpp: float) -> str | None:
        """Tells of a slide with coarser pixels than these: it is read blurred.

        Returns:
            A sentence, or None where they are finer, or coarser by at most a quarter.
        """
        if mpp / self.cell_mpp < _TOLERANCE:
            return None
        return (
            f'the slide has {mpp:.3g} um/px, but the run was trained at {self.cell_mpp:.3g}; '
            'it is magnified and shows less than the run wants to see: expect little of it'
        )


def _other_scale(kind: str, mpps: list[float], own: float) -> str | None:
    outside = [mpp for mpp in mpps if not 1 / _TOLERANCE < mpp / own < _TOLERANCE]
    if not outside:
        return None
    count = f'{len(outside)} of {len(mpps)}' if len(outside) < len(mpps) else 'the'
    return (
        f'{count} {kind} patches have {_range(outside)} um/px, but the run was trained at '
        f'{own:.3g}'
    )


def _range(mpps: list[float]) -> str:
    low, high = (f'{limit:.3g}' for limit in (min(mpps), max(mpps)))
    return low if low == high else f'{low} to {high}'
