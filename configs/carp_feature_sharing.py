"""Feature sharing on CARP (Table 5)."""

from ml_collections import ConfigDict
from ocelot_jax.configs import carp_pred_inter2, feature_sharing


def get_config() -> ConfigDict:
    return carp_pred_inter2.on_carp(feature_sharing.get_config())
