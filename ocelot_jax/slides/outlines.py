"""Polygons along the edges of a mask's pixels.

A polygon's area is that of its pixels. Pixels that touch at a corner alone belong to two polygons,
and no ring visits a place twice: valid geometries, as QuPath and GIS programs want them.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.ndimage


@dataclasses.dataclass(frozen=True)
class Polygon:
    """A connected piece of pixels; rings are [n, 2] int64 corners (x, y), the last as the first.

    Attributes:
        outer: its border, clockwise as one sees the picture.
        holes: of it, the other way round.
    """

    outer: np.ndarray
    holes: list[np.ndarray]


def trace(mask: np.ndarray) -> list[Polygon]:
    """Finds the pieces of a [h, w] bool mask: pixels that are connected along edges."""
    pieces, count = scipy.ndimage.label(mask)
    outer = [np.empty((0, 2))] * count
    holes: list[list[np.ndarray]] = [[] for _ in range(count)]
    for piece, ring in _rings(pieces):
        if area(ring) > 0:
            outer[piece - 1] = ring
        else:
            holes[piece - 1].append(ring)
    return [Polygon(*each) for each in zip(outer, holes, strict=True)]


def area(ring: np.ndarray) -> float:
    """Computes what a ring encloses, below 0 for a hole."""
    # from its first corner: far from the map's, products would lose the last digits
    x, y = (ring - ring[0]).astype(np.float64).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def _rings(pieces: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each ring with the number of its piece."""
    edges, owners, following = _edges(pieces)
    places, after = (edges // 4).tolist(), following.tolist()
    done = bytearray(len(places))
    for first, owner in enumerate(owners.tolist()):
        path: list[int] = []
        at: dict[int, int] = {}
        edge = first
        while not done[edge]:
            done[edge] = True
            start = at.get(places[edge])
            if start is not None:  # for the second time: what lies between is a ring of its own
                ring, path = path[start:], path[:start]
                for passed in ring:
                    del at[places[passed]]
                yield owner, _corners(edges[ring], pieces.shape[1] + 1)
            at[places[edge]] = len(path)
            path.append(edge)
            edge = after[edge]
        if path:
            yield owner, _corners(edges[path], pieces.shape[1] + 1)


def _edges(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the edges around the pieces' pixels, which lie at the right of each.

    Returns:
        [n] int64, 4 * the place where each begins + its direction, and a place is y * (w + 1) + x;
        [n] the piece of each; [n] the number of the edge that follows each.
    """
    padded = np.pad(pieces, 1)
    inner, width = padded[1:-1, 1:-1], pieces.shape[1] + 1
    outside = padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2]
    parts = []
    # a pixel's upper edge begins at its upper left corner, and so on clockwise
    for direction, (beside, (x, y)) in enumerate(
        zip(outside, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True)
    ):
        rows, columns = np.nonzero((inner > 0) & (inner != beside))
        code = 4 * ((rows + y) * width + columns + x) + direction
        parts.append((code, inner[rows, columns]))
    codes, owners = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(codes)
    codes, owners = codes[order], owners[order]
    directions, step = codes % 4, np.array([1, width, -1, -width])
    end = 4 * (codes // 4 + step[directions])
    after = np.full(len(codes), -1)
    # to the right first, which goes round the same pixel where two touch at a corner alone
    for turn in (3, 0, 1):
        wanted = end + (directions + turn) % 4
        number = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        after = np.where(codes[number] == wanted, number, after) if len(codes) else after
    return codes, owners, after


def _corners(edges: np.ndarray, width: int) -> np.ndarray:
    """Drops the places where a closed ring goes straight on: [n, 2] int64, (x, y)."""
    direction = edges % 4
    corners = edges[direction != np.roll(direction, 1)] // 4
    return np.stack([corners % width, corners // width], axis=1)[[*range(len(corners)), 0]]
