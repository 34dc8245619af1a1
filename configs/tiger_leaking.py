"""Tissue-label leaking on TIGER (Table 5)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import leaking, tiger_pred_inter2


def get_config() -> ConfigDict:
    return tiger_pred_inter2.on_tiger(leaking.get_config())
