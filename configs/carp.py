"""Any model of Table 5 on CARP (Sec. 6.1, 6.2): `--config=configs/carp.py:cell_only`."""

from ml_collections import ConfigDict

from ocelot_jax import configs


def get_config(model: str = 'pred_inter2') -> ConfigDict:
    config = configs.of(model)
    config.num_epochs = 100
    config.data.source = 'carp'
    config.data.cell_classes = ('TC-', 'TC+')
    return config
