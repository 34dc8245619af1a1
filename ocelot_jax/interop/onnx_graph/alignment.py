"""`models.alignment` on [B,C,H,W] maps, as products with two matrices of weights."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ocelot_jax.interop.onnx_graph.graph import Value

WEIGHTS = 'alignment/weights'
"""Prefix of the names of the matrices of weights."""


class Place(NamedTuple):
    """Where the cell patch lies in the tissue patch: relative center, ratio of the sides.

    All are [B,1,1,1].
    """

    x: Value
    y: Value
    ratio: Value

    @classmethod
    def of(cls, center: Value, ratio: Value) -> 'Place':
        """That of `center` [B,2] and `ratio` [B]."""
        graph = center.graph
        column = np.array([-1, 1, 1, 1])
        x, y = (graph.add('Gather', center, np.array(i), axis=1) for i in (0, 1))
        return cls(*(graph.add('Reshape', value, column) for value in (x, y, ratio)))


def crop_upsample(features: Value, place: Place, size: tuple[int, int]) -> Value:
    """Brings a map of the tissue patch into the cell patch's frame (Fig. 5a)."""

    def weights(center: Value, old: int, new: int) -> Value:
        step = place.ratio * (old / new)
        return _weights(step, (center - place.ratio * 0.5) * float(old), old, new)

    return _resample(features, place, size, weights)


def downsample_pad(features: Value, place: Place, size: tuple[int, int]) -> Value:
    """Brings a map of the cell patch into the tissue patch's frame (Fig. 5b)."""

    def weights(center: Value, old: int, new: int) -> Value:
        step = (old / new) / place.ratio
        return _weights(step, (0.5 - center / place.ratio) * float(old), old, new)

    return _resample(features, place, size, weights)


def _resample(
    features: Value,
    place: Place,
    size: tuple[int, int],
    weights: Callable[[Value, int, int], Value],
) -> Value:
    rows = weights(place.y, features.size[0], size[0])
    columns = weights(place.x, features.size[1], size[1])
    columns = columns.graph.add('Transpose', columns, perm=[0, 1, 3, 2])
    return (rows @ (features @ columns)).of_size(size)


def _weights(step: Value, start: Value, old: int, new: int) -> Value:
    """Weights [B,1,new,old] that interpolate linearly, or average where the map shrinks.

    `step` is the distance of two new pixels, `start` the place of the first one's corner, both
    [B,1,1,1] in old pixels.
    """
    graph = step.graph
    sample = step * (np.arange(new) + 0.5)[:, None] + (start - 0.5)
    distance = graph.add('Abs', sample - np.arange(old, dtype=np.float32))
    reach = graph.add('Max', step, 1.0)
    weights = graph.add('Relu', 1.0 - distance / reach)
    # a place between two pixels has a weight of at least one half for one of them
    total = graph.add('ReduceSum', weights, np.array([-1]), keepdims=1)
    weights = weights / graph.add('Max', total, 0.5)
    ends = graph.add('GreaterOrEqual', sample, -0.5), graph.add('LessOrEqual', sample, old - 0.5)
    inside = graph.add('And', *ends)
    return graph.add('Mul', weights, graph.add('Cast', inside, to=1), name=WEIGHTS)
