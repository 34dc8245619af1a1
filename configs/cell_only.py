"""Cell-only: the cell branch by itself, the paper's baseline (Sec. 6.3)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.model.context = 'none'
    return config
