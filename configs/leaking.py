"""Tissue-label leaking: the true tissue at the input (Sec. 4.2)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import pred_input


def get_config() -> ConfigDict:
    config = pred_input.get_config()
    config.model.context = 'label'
    return config
