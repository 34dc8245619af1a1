"""The networks: arrays in, arrays out."""

from ocelot_jax.models.cell_tissue import CONTEXTS, CellTissue
from ocelot_jax.models.deeplab import SEAMS

__all__ = ['CONTEXTS', 'SEAMS', 'CellTissue']
