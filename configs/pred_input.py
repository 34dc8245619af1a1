"""Pred-to-input: tissue probabilities beside the image (Sec. 5.2)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.model.seam = 'input'
    return config
