"""Table 7, third row: the large field of view without tissue labels, Feature sharing."""

from ml_collections import ConfigDict
from ocelot_jax.configs import feature_sharing


def get_config() -> ConfigDict:
    config = feature_sharing.get_config()
    config.tissue_loss_weight = 0.0
    return config
