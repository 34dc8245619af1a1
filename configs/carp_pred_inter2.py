"""Pred-to-inter-2 on CARP (Table 5), and what all configurations on CARP share (Sec. 6.1, 6.2)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import pred_inter2


def get_config() -> ConfigDict:
    return on_carp(pred_inter2.get_config())


def on_carp(config: ConfigDict) -> ConfigDict:
    config.num_epochs = 100
    config.data.source = 'carp'
    config.data.cell_classes = ('TC-', 'TC+')
    return config
