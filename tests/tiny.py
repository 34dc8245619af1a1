"""A network of one layer a branch, for what does not depend on the network at all.

As a configuration (`--config=tests/tiny.py`) it replaces every network of the process.
"""

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict
from ocelot_jax.configs import default

from ocelot_jax.models import factory, layers


class Tiny(nn.Module):
    """A convolution, batch statistics and dropout; the tissue's probabilities reach the cells."""

    axis_name: str | None = None

    STRIDE = 1

    @nn.compact
    def __call__(self, batch, train):
        branch = lambda classes, name: Branch(classes, self.axis_name, name=name)
        tissue = branch(2, 'tissue')(batch['tissue_image'], train)
        share = nn.softmax(tissue).mean((1, 2), keepdims=True)
        image = batch['cell_image']
        share = jnp.broadcast_to(share, (*image.shape[:3], 2))
        cell = branch(3, 'cell')(jnp.concatenate([image, share], -1), train)
        return {'cell_logits': cell, 'tissue_logits': tissue}


class Branch(nn.Module):
    classes: int
    axis_name: str | None

    @nn.compact
    def __call__(self, x, train):
        x = layers.ConvBN(4, kernel=3, axis_name=self.axis_name)(x, train)
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(self.classes)(x)


def create_model(config, axis_name=None):
    return Tiny(axis_name)


def get_config() -> ConfigDict:
    factory.create_model = create_model
    return create_config()


def create_config(**changes) -> ConfigDict:
    """For pairs of `conftest.make_release`; `changes` are fields, dots as double underscores."""
    config = default.get_config()
    config.data.batch_size = 2
    config.data.max_cells = 16
    config.detection.max_cells = 64
    config.optimizer.average_decay = 0.9
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in changes.items()})
    return config
