"""Stand-ins for networks, whose maps depend on everything that an engine is given."""

import jax.numpy as jnp
import numpy as np


class RampModel:
    """Sees where it looks, by fixed weights that know no symmetry; `weight` scales all."""

    STRIDE = 1

    def apply(self, variables, batch, train, mutable=()):
        height, width = batch['cell_image'].shape[1:3]
        ramp = jnp.linspace(-1, 1, height)[:, None] * 2 + jnp.linspace(-1, 1, width)[None]
        weights = jnp.stack([ramp, -ramp, 0.5 + 0 * ramp], -1)
        shift = (batch['center'] * jnp.array([3.0, 1.0])).sum(-1)[:, None, None, None]
        cell = batch['cell_image'] * weights + shift * jnp.arange(3.0)
        tissue = batch['tissue_image'][..., :2] * ramp[..., None]
        scale = variables['weight']
        outputs = {'cell_logits': cell * scale, 'tissue_logits': tissue * scale}
        return (outputs, {}) if mutable else outputs


ONE = {'weight': np.float32(1)}


def make_batch(pairs=2, side=8, seed=0):
    """Pairs of noise, images uint8."""
    rng = np.random.default_rng(seed)
    image = lambda: rng.integers(0, 256, (pairs, side, side, 3), np.uint8)
    return {
        'cell_image': image(),
        'tissue_image': image(),
        'tissue_mask': np.zeros((pairs, side, side), np.uint8),
        'center': rng.random((pairs, 2), np.float32),
        'cell_mpp': np.full(pairs, 0.5, np.float32),
        'tissue_mpp': np.full(pairs, 2.0, np.float32),
        'valid': np.ones(pairs, bool),
    }


def share_tissue(batch):
    """Two cell patches in each tissue patch: sharing it, and with one each."""
    rng = np.random.default_rng(1)
    cells = ('cell_image', 'center', 'cell_mpp', 'tissue_mpp', 'valid')
    more = {name: np.repeat(batch[name], 2, 0) for name in cells}
    more['cell_image'] = rng.integers(0, 256, more['cell_image'].shape, np.uint8)
    more['center'] = rng.random(more['center'].shape, np.float32)
    shared = {**more, 'tissue_image': batch['tissue_image']}
    return shared, {**more, 'tissue_image': np.repeat(batch['tissue_image'], 2, 0)}
