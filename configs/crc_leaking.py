"""Tissue-label leaking on small patches; it is steady as it is, without averages."""

from ml_collections import ConfigDict

from configs import crc_pred_inter2


def get_config() -> ConfigDict:
    config = crc_pred_inter2.get_config()
    config.model.context = 'label'
    config.model.seam = 'input'
    config.optimizer.average_decay = 0.0
    config.test_time_augmentation = False
    return config
