"""What can be told of a split's pairs without a look at their images."""

import dataclasses

import numpy as np

from ocelot_jax.io.errors import InputError


@dataclasses.dataclass(frozen=True)
class Outline:
    """The N pairs of a split.

    Attributes:
        pair_ids: their ids.
        cell_counts: [N] int64, their annotated cells.
        cell_mpps: [N] float32, um per pixel of their cell patches.
    """

    pair_ids: tuple[str, ...]
    cell_counts: np.ndarray
    cell_mpps: np.ndarray

    @classmethod
    def of(cls, pairs: list[tuple[str, int, float]]) -> 'Outline':
        """Puts (id, cells, um/px) of each pair together."""
        ids, counts, mpps = zip(*pairs, strict=True)
        return cls(ids, np.array(counts, np.int64), np.array(mpps, np.float32))

    def check_cells(self, max_cells: int) -> None:
        """Raises an InputError if a pair has more cells than a batch can hold."""
        most = int(self.cell_counts.argmax())
        if self.cell_counts[most] > max_cells:
            raise InputError(
                f'config.data.max_cells: pair {self.pair_ids[most]} has '
                f'{self.cell_counts[most]} cells, more than {max_cells}; want at least '
                f'{self.cell_counts[most]}'
            )
