"""What people annotated on a slide, whatever file it comes from.

All places are micrometres from the whole slide's top left corner: pixel `i` at `m` um/px covers
`i * m` to `(i + 1) * m`, and its center lies at `(i + 0.5) * m`.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import shapely


@dataclasses.dataclass(frozen=True)
class Area:
    """A region that somebody drew.

    Attributes:
        geometry: a valid polygon or multipolygon, in micrometres.
        name: its class, as the file names it; '' where it has none.
        id: as the file has it; '' where it has none.
    """

    geometry: shapely.Polygon | shapely.MultiPolygon
    name: str
    id: str = ''


@dataclasses.dataclass(frozen=True)
class Annotations:
    """What was annotated on a slide.

    Attributes:
        points: [n,2] float64, cells, in micrometres.
        names: [n], the class of each cell, as the file names it; '' where it has none.
        ids: [n], as the file has them; '' where it has none.
        areas: regions of tissue, and those that say where annotation is complete.
        left_out: how many objects of the file were not taken, by the reason in words.
    """

    points: np.ndarray
    names: tuple[str, ...]
    ids: tuple[str, ...]
    areas: tuple[Area, ...]
    left_out: Mapping[str, int]
