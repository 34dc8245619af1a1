"""Any model of Table 5 on TIGER (Sec. 6.1, 6.2): `--config=configs/tiger.py:cell_only`.

Patches of 128 px at 0.5 and 2 um/px; lengths in micrometres stay as on OCELOT.
"""

from ml_collections import ConfigDict

from ocelot_jax import configs


def get_config(model: str = 'pred_inter2') -> ConfigDict:
    config = configs.of(model)
    config.num_epochs = 150
    config.data.source = 'tiger'
    config.data.cell_classes = ('LC',)
    config.data.tissue_classes = ('BG', 'ST')
    config.data.max_cells = 256
    config.detection.max_cells = 256
    return config
