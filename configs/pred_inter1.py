"""Pred-to-inter-1: tissue probabilities after the encoder (Sec. 5.2)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.model.seam = 'encoder'
    return config
