"""MFoVCE-Net: both fields of view, no tissue labels (Table C.1)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import cell_only


def get_config() -> ConfigDict:
    config = cell_only.get_config()
    config.model.architecture = 'mfovce'
    return config
