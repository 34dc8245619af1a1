"""What can be told of a split's pairs without a look at their images."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from ocelot_jax.io.errors import InputError


@dataclasses.dataclass(frozen=True)
class Outline:
    """The N pairs of a split.

    Attributes:
        pair_ids: their ids.
        slides: names of their slides.
        cell_counts: [N] int64, their annotated cells.
        cell_mpps: [N] float32, um per pixel of their cell patches.
    """

    pair_ids: tuple[str, ...]
    slides: tuple[str, ...]
    cell_counts: np.ndarray
    cell_mpps: np.ndarray

    @classmethod
    def of(cls, pairs: list[tuple[str, str, int, float]]) -> 'Outline':
        """Puts (id, slide, cells, um/px) of each pair together."""
        ids, slides, counts, mpps = zip(*pairs, strict=True) if pairs else ((), (), (), ())
        return cls(ids, slides, np.array(counts, np.int64), np.array(mpps, np.float32))

    @classmethod
    def join(cls, outlines: Sequence['Outline']) -> 'Outline':
        """Puts the pairs of several splits together, in their order."""
        return cls.of([pair for outline in outlines for pair in outline])

    def __len__(self) -> int:
        return len(self.pair_ids)

    def __iter__(self) -> Iterator[tuple[str, str, int, float]]:
        return zip(self.pair_ids, self.slides, self.cell_counts, self.cell_mpps, strict=True)

    def take(self, rows: Sequence[int]) -> 'Outline':
        """Some of the pairs, in the order of `rows`."""
        pairs = list(self)
        return Outline.of([pairs[row] for row in rows])

    def check_cells(self, max_cells: int) -> None:
        """Raises an InputError if a pair has more cells than a batch can hold."""
        most = int(self.cell_counts.argmax())
        if self.cell_counts[most] > max_cells:
            raise InputError(
                f'config.data.max_cells: pair {self.pair_ids[most]} has '
                f'{self.cell_counts[most]} cells, more than {max_cells}; want at least '
                f'{self.cell_counts[most]}'
            )
