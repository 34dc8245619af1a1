"""A picture of some pairs, to look at before anything is trained on them."""

from collections.abc import Sequence

import numpy as np

from ocelot_jax.annotation.choices import Choices
from ocelot_jax.annotation.writing import Pair
from ocelot_jax.data.release import UNKNOWN
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.viz import overlay

# of the circles: the distance within which a detection will count as a cell
_RADIUS_UM = 3.0


def draw(pairs: Sequence[tuple[Pair, tuple[float, float]]], choices: Choices) -> np.ndarray:
    """Draws pairs below each other, over their legend.

    Args:
        pairs: each with the relative center of its cell patch in its tissue patch.
        choices: how they were made.

    Returns:
        [rows,columns,3] uint8.
    """
    classes, tissue = choices.cell_classes.names, choices.tissue_classes.names
    cell_um, tissue_um = choices.patches.sides_um
    pictures = [
        overlay.draw_pair(
            title=f'{pair.pair_id} ({pair.split})',
            cell_image=pair.cell_image,
            tissue_image=pair.tissue_image,
            tissue_mask=np.where(pair.tissue_mask == UNKNOWN, UNKNOWN, pair.tissue_mask - 1),
            tissue_pred=None,
            center=center,
            fov_ratio=cell_um / tissue_um,
            verdict=Cells.annotated(pair.points, pair.labels),
            radius=_RADIUS_UM / choices.patches.cell_mpp,
            cell_classes=classes,
        )
        for pair, center in pairs
    ]
    return np.concatenate([*pictures, overlay.draw_legend(classes, tissue, predicted=False)])
