"""Tissue-label leaking on CARP (Table 5)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import carp_pred_inter2, leaking


def get_config() -> ConfigDict:
    return carp_pred_inter2.on_carp(leaking.get_config())
