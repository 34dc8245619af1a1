"""Pred-to-inter-2 on small patches (128 px), from scratch in 12 epochs: an hour on two cores.

Made for CRCHistoPhenotypes packed in OCELOT's layout at 0.54 and 2.15 um/px; give its place:
`--config.data.source=PATH`.
"""

from ml_collections import ConfigDict

from configs import pred_inter2


def get_config() -> ConfigDict:
    config = pred_inter2.get_config()
    config.num_epochs = 12
    config.data.source = 'crc_pairs_v1.zip'
    config.data.max_cells = 128
    config.target.disk_radius_um = 1.62
    config.detection.sigma_um = 0.54
    config.detection.min_distance_um = 1.62
    config.detection.max_cells = 256
    return config
