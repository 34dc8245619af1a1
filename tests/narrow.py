"""An encoder of one block a stage, for what does not depend on depth: it compiles sooner.

Importing this makes it known. It is a configuration too: Pred-to-inter-2 on this encoder.
"""

from ml_collections import ConfigDict

from ocelot_jax import configs
from ocelot_jax.models import ENCODERS, resnet

ENCODER = 'resnet10'
ENCODERS[ENCODER] = resnet.Variant((1, 1, 1, 1))

# Tiny data: to compile well takes longer than to compute badly.
COMPILER_OPTIONS = {'xla_backend_optimization_level': 0, 'xla_cpu_use_fusion_emitters': False}
XLA_FLAGS = ' '.join(f'--{name}={str(value).lower()}' for name, value in COMPILER_OPTIONS.items())


def get_config(name: str = 'pred_inter2') -> ConfigDict:
    config = configs.of(name)
    config.model.encoder_name = ENCODER
    return config
