"""Pred-to-inter-2 on TIGER (Table 5), and what all configurations on TIGER share (Sec. 6.1, 6.2).

Patches of 128 px at 0.5 and 2 um/px; lengths in micrometres stay as on OCELOT.
"""

from ml_collections import ConfigDict
from ocelot_jax.configs import pred_inter2


def get_config() -> ConfigDict:
    return on_tiger(pred_inter2.get_config())


def on_tiger(config: ConfigDict) -> ConfigDict:
    config.num_epochs = 150
    config.data.source = 'tiger'
    config.data.cell_classes = ('LC',)
    config.data.tissue_classes = ('BG', 'ST')
    config.data.max_cells = 256
    config.detection.max_cells = 256
    return config
