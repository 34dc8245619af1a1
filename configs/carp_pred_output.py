"""Pred-to-output on CARP (Table 5)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import carp_pred_inter2, pred_output


def get_config() -> ConfigDict:
    return carp_pred_inter2.on_carp(pred_output.get_config())
