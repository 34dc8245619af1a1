"""The cells of a patch or a slide: the one type that holds them."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np


@dataclasses.dataclass(frozen=True)
class Cells:
    """Cells, found or annotated.

    Attributes:
        points: [n,2] (x, y) in pixels, pixel centers at integers.
        labels: [n] integers, classes 1..K.
        scores: [n] confidences in 0..1; 1 where a person annotated the cell.
    """

    points: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    @classmethod
    def annotated(cls, points: np.ndarray, labels: np.ndarray) -> Self:
        """Cells that a person marked."""
        return cls(points, labels, np.ones(len(labels), np.float32))

    @classmethod
    def concatenate(cls, parts: Sequence['Cells']) -> Self:
        """The cells of several parts, in their order; without parts none."""
        empty = cls(np.zeros((0, 2), np.float32), np.zeros(0, np.int32), np.zeros(0, np.float32))
        fields = [field.name for field in dataclasses.fields(cls)]
        held = parts or [empty]
        return cls(*(np.concatenate([getattr(part, name) for part in held]) for name in fields))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: np.ndarray | slice) -> Self:
        """Some of the cells, by NumPy's indexing."""
        return dataclasses.replace(
            self, points=self.points[rows], labels=self.labels[rows], scores=self.scores[rows]
        )

    def count(self, label: int) -> int:
        """The number of cells of a class."""
        return int(np.sum(self.labels == label))
