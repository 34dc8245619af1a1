"""The networks: arrays in, arrays out.

`factory` makes them from a configuration, `card` describes them. May import io.
"""

from ocelot_jax.models.cell_tissue import BRANCHES, SEAMS, CellTissue
from ocelot_jax.models.deeplab import DeepLabV3Plus
from ocelot_jax.models.factory import create_model
from ocelot_jax.models.mfovce import MFoVCENet
from ocelot_jax.models.resnet import VARIANTS as ENCODERS
from ocelot_jax.models.unet import UNet

__all__ = [
    'BRANCHES',
    'ENCODERS',
    'SEAMS',
    'CellTissue',
    'DeepLabV3Plus',
    'MFoVCENet',
    'UNet',
    'create_model',
]
