"""Table 7, second row: tissue labels without the large field of view, Feature sharing."""

from ml_collections import ConfigDict
from ocelot_jax.configs import feature_sharing


def get_config() -> ConfigDict:
    config = feature_sharing.get_config()
    config.data.large_fov = False
    return config
