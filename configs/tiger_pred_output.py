"""Pred-to-output on TIGER (Table 5)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import pred_output, tiger_pred_inter2


def get_config() -> ConfigDict:
    return tiger_pred_inter2.on_tiger(pred_output.get_config())
