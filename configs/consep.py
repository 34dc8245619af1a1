"""Any model on small patches (256 px) at a fine scale, from scratch in 6 epochs, two cores.

Made for CoNSeP packed in OCELOT's layout at 0.27 and 1.07 um/px, with settings of
`configs/crc.py`. A ResNet-18 and few epochs, because a patch has four times the pixels there:
half an hour. Name the model and where the pairs are:
`--config=configs/consep.py:cell_only --config.data.source=PATH`.
"""

from ml_collections import ConfigDict
from ocelot_jax.configs import crc


def get_config(model: str = 'pred_inter2') -> ConfigDict:
    config = crc.get_config(model)
    config.num_epochs = 6
    config.data.source = 'consep_pairs_v1.zip'
    config.data.max_cells = 256
    config.detection.max_cells = 512
    config.model.encoder_name = 'resnet18'
    return config
