"""Cell-only on CARP (Table 5)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import carp_pred_inter2, cell_only


def get_config() -> ConfigDict:
    return carp_pred_inter2.on_carp(cell_only.get_config())
