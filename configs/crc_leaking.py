"""Tissue-label leaking on small patches; the rest as `crc_pred_inter2`."""

from ml_collections import ConfigDict

from configs import crc_pred_inter2


def get_config() -> ConfigDict:
    config = crc_pred_inter2.get_config()
    config.model.context = 'label'
    config.model.seam = 'input'
    return config
