"""Feature sharing: both branches tell each other what they see (Sec. 5.3)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import default


def get_config() -> ConfigDict:
    config = default.get_config()
    config.model.context = 'features'
    return config
