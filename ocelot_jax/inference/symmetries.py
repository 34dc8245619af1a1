"""Test-time augmentation: the mean over the eight symmetries of the square."""

import jax
import jax.numpy as jnp
import numpy as np

from ocelot_jax.data import augmentation
from ocelot_jax.inference.engine import Batch, Engine, Maps, mean

_IMAGES = ('cell_image', 'tissue_image', 'tissue_mask')


def average(engine: Engine) -> Engine:
    """Makes an engine that sees every pair in all eight orientations, one after the other."""

    def symmetric(batch: Batch) -> Maps:
        orientations = list(np.ndindex(2, 4))
        return mean([_undo(engine(_turn(batch, *way)), *way) for way in orientations])

    return symmetric


def _turn(batch: Batch, flip: int, quarter_turns: int) -> Batch:
    """A batch flipped horizontally, or not, then turned counter-clockwise."""
    turned = dict(batch)
    for name in _IMAGES:
        if name in batch:
            image = np.flip(batch[name], 2) if flip else batch[name]
            turned[name] = np.rot90(image, quarter_turns, (1, 2))
    turn_center = jax.vmap(augmentation.turn, (0, None, None))
    center = turn_center({'center': batch['center']}, bool(flip), quarter_turns)['center']
    return {**turned, 'center': np.asarray(center)}


def _undo(maps: Maps, flip: int, quarter_turns: int) -> Maps:
    """Undoes `_turn` on maps, on the device where they are."""
    xp = jnp if isinstance(maps.cell, jax.Array) else np
    maps = jax.tree.map(lambda x: xp.rot90(x, -quarter_turns, (1, 2)), maps)
    return jax.tree.map(lambda x: xp.flip(x, 2), maps) if flip else maps
