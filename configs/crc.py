"""Any model on small patches (128 px), from scratch in 12 epochs: 15 minutes on two cores.

Made for CRCHistoPhenotypes packed in OCELOT's layout at 0.54 and 2.15 um/px. Name the model and
where the pairs are: `--config=configs/crc.py:cell_only --config.data.source=PATH`.
"""

from ml_collections import ConfigDict
from ocelot_jax.configs import pred_inter2_best

from ocelot_jax import configs


def get_config(model: str = 'pred_inter2') -> ConfigDict:
    config = configs.of(model)
    config.num_epochs = 12
    config.data.source = 'crc_pairs_v1.zip'
    config.data.max_cells = 128
    pred_inter2_best.improve(config)
    config.optimizer.warmup_epochs = 0.5
    config.target.disk_radius_um = 1.62
    config.detection.sigma_um = 0.54
    config.detection.min_distance_um = 1.62
    config.detection.threshold = 0.3
    config.detection.max_cells = 256
    return config
