"""U-Net on the cell patch alone (Table C.1)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import cell_only


def get_config() -> ConfigDict:
    config = cell_only.get_config()
    config.model.architecture = 'unet'
    return config
