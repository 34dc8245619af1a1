"""Smooth random fields that have a value at every point of a slide.

A field is a lattice of normal deviates and a rule to interpolate it, so that the same field can
be looked at with any pixel size: this is what makes a cell patch and its tissue patch agree.
"""

import dataclasses

import numpy as np
from scipy import ndimage

# Standard deviation of white noise after interpolation with cubic B-splines in two dimensions.
_SPLINE_SCALE = 0.479


def generator(*entropy: int) -> np.random.Generator:
    """Returns the random generator that belongs to a tuple of non-negative integers."""
    return np.random.Generator(np.random.PCG64(entropy))


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logistic function, computed without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * values))


@dataclasses.dataclass(frozen=True)
class Field:
    """A periodic random field of mean 0 and standard deviation about 1.

    Attributes:
        lattice: [n, n] float32, the values at the lattice's nodes.
        step: distance of two nodes, um.
    """

    lattice: np.ndarray
    step: float

    def on_grid(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Returns the field [len(y), len(x)] on the grid of columns x and rows y, um."""
        # Row by row of a band matrix: the threads of a dense product cost more than they save.
        column, across = _spline_weights(x / self.step)
        row, down = _spline_weights(y / self.step)
        rows = np.arange(row.min() - 1, row.max() + 3)
        nodes = self.lattice.take(rows, axis=0, mode='wrap').T
        stripes = np.ascontiguousarray(_interpolate(nodes, column, across).T)
        return _interpolate(stripes, row - rows[0], down) / np.float32(_SPLINE_SCALE)

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Returns the field [n] at the points (x, y), um."""
        values = np.zeros(np.shape(x), np.float32)
        column, across = _spline_weights(x / self.step)
        row, down = _spline_weights(y / self.step)
        size = len(self.lattice)
        for i in range(4):
            for j in range(4):
                nodes = self.lattice[(row + i - 1) % size, (column + j - 1) % size]
                values += down[i] * across[j] * nodes
        return values / np.float32(_SPLINE_SCALE)


def field(rng: np.random.Generator, step: float, extent: float) -> Field:
    """Draws a field whose period exceeds `extent` where 256 nodes of `step` reach that far, um."""
    nodes = int(min(256, np.ceil(extent / step) + 4))
    return Field(rng.standard_normal((nodes, nodes), np.float32), step)


def sample_warped(lattice: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Interpolates a periodic lattice linearly at u (columns) and v (rows), in nodes."""
    return ndimage.map_coordinates(
        lattice, np.stack([v, u]), order=1, mode='grid-wrap', prefilter=False
    )


def _interpolate(nodes: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns [n, k]: sums over four neighbors `first` - 1 to + 2 [n] of periodic nodes [m, k]."""
    return sum(
        weights[i][:, None] * nodes.take(first + i - 1, axis=0, mode='wrap') for i in range(4)
    )


def _spline_weights(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nodes [n] below positions [n] and the weights [4, n] of nodes -1, 0, 1, 2."""
    node = np.floor(positions).astype(int)
    t = np.asarray(positions - node, np.float32)
    # Cubic B-splines: twice continuously differentiable, so that no lattice shows.
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    return node, np.stack(weights) / np.float32(6)
