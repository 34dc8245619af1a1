"""A page of pairs with the cells that were matched, missed and false."""

from collections.abc import Sequence
from pathlib import Path

import ml_collections

from ocelot_jax.evaluation.scoring import PairResult
from ocelot_jax.viz import overlay


def write(results: Sequence[PairResult], path: Path, config: ml_collections.ConfigDict) -> None:
    """Draws the pairs whose pictures were kept on one page, as PNG."""
    classes = tuple(config.data.cell_classes)
    page = [overlay.draw_legend(classes, tuple(config.data.tissue_classes))]
    for result in results:
        if not result.pictures:
            continue
        pair = result.pictures
        cell_um = float(pair['cell_mpp']) * pair['cell_image'].shape[1]
        tissue_um = float(pair['tissue_mpp']) * pair['tissue_image'].shape[1]
        picture = overlay.draw_pair(
            title=f'{result.pair_id} {result.organ}',
            cell_image=pair['cell_image'],
            tissue_image=pair['tissue_image'],
            tissue_mask=result.true_tissue,
            tissue_pred=result.tissue,
            center=pair['center'],
            fov_ratio=cell_um / tissue_um,
            verdict=overlay.judge(result.match, result.found, result.true),
            radius=result.distance,
            cell_classes=classes,
        )
        page.append(picture)
    overlay.write_page(page, path)
