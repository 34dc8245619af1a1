"""The networks: arrays in, arrays out."""

from ocelot_jax.models.cell_tissue import CONTEXTS, DIRECTIONS, SHARING_SEAMS, CellTissue
from ocelot_jax.models.mfovce import MFoVCENet
from ocelot_jax.models.resnet import VARIANTS as ENCODERS
from ocelot_jax.models.seams import SEAMS
from ocelot_jax.models.unet import UNet

__all__ = [
    'CONTEXTS',
    'DIRECTIONS',
    'ENCODERS',
    'SEAMS',
    'SHARING_SEAMS',
    'CellTissue',
    'MFoVCENet',
    'UNet',
]
