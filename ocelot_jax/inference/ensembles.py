"""Several networks as one engine: the mean of what each computes."""

from collections.abc import Sequence

import jax

from ocelot_jax.inference.engine import Engine, Maps


def average(engines: Sequence[Engine]) -> Engine:
    """Makes one engine of several; a single one stays as it is."""
    if len(engines) == 1:
        return engines[0]
    return lambda batch: mean([engine(batch) for engine in engines])


def mean(results: Sequence[Maps]) -> Maps:
    """The mean of several engines' maps, class by class."""
    return jax.tree.map(lambda *maps: sum(maps) / len(maps), *results)
