"""Table 7, second row: tissue labels without the large field of view, Pred-to-inter-2."""

from ml_collections import ConfigDict
from ocelot_jax.configs import pred_inter2


def get_config() -> ConfigDict:
    config = pred_inter2.get_config()
    config.data.large_fov = False
    return config
