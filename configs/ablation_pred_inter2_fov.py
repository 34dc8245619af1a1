"""Table 7, third row: the large field of view without tissue labels, Pred-to-inter-2."""

from ml_collections import ConfigDict
from ocelot_jax.configs import pred_inter2


def get_config() -> ConfigDict:
    config = pred_inter2.get_config()
    config.tissue_loss_weight = 0.0
    return config
