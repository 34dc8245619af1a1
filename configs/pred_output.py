"""Pred-to-output: tissue probabilities after the decoder (Sec. 5.2)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.model.seam = 'decoder'
    return config
