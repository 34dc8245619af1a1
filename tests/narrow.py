"""An encoder of one block a stage, for what does not depend on depth: it compiles sooner.

Importing this makes it known. It is a configuration too: Pred-to-inter-2 on this encoder.
"""

from ml_collections import ConfigDict

from ocelot_jax import configs
from ocelot_jax.models import ENCODERS, resnet

ENCODER = 'resnet10'
ENCODERS[ENCODER] = resnet.Variant((1, 1, 1, 1))


def get_config(name: str = 'pred_inter2') -> ConfigDict:
    config = configs.of(name)
    config.model.encoder_name = ENCODER
    return config
