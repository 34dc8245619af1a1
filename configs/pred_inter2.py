"""Pred-to-inter-2: tissue probabilities after the ASPP (Sec. 5.2); the default model."""

from ml_collections import ConfigDict
from ocelot_jax.configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    return config
