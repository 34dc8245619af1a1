"""The files that are written of pairs."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ocelot_jax.evaluation import challenge
from ocelot_jax.io import atomic, csv_files
from ocelot_jax.prediction.pairs import FoundPair
from ocelot_jax.viz import overlay

# as large as the distance within which the score matches cells
_RADIUS_UM = 3.0
RECORD = 'origin.json'
_COLUMNS = ('pair', 'x', 'y', 'x_um', 'y_um', 'label', 'class', 'score')


def write(
    found: Sequence[FoundPair],
    folder: Path,
    cell_classes: Sequence[str],
    origin: Mapping[str, Any],
) -> None:
    """Writes `predictions.json` (the challenge's format), `cells.csv`, `tissue/` and `overlays/`.

    The tissue's values are those of OCELOT's annotations: 1, 2, ...; overlays are of the first
    few pairs. `origin.json` is written last, and tells what the others come from. What an
    earlier prediction of pairs left in the folder goes.
    """
    if (folder / RECORD).exists():
        (folder / RECORD).unlink()
        for kind in ('tissue', 'overlays'):
            shutil.rmtree(folder / kind, ignore_errors=True)
    (folder / 'overlays').mkdir(parents=True, exist_ok=True)
    for pair in found:
        if pair.image is not None:
            picture = overlay.draw_found(pair.image, pair.cells, _RADIUS_UM / pair.mpp)
            with atomic.replacing(folder / f'overlays/{pair.name}.png') as path:
                Image.fromarray(picture).save(path)
    for pair in found:
        if pair.tissue is not None:
            (folder / 'tissue').mkdir(exist_ok=True)
            with atomic.replacing(folder / f'tissue/{pair.name}.png') as path:
                Image.fromarray(pair.tissue + np.uint8(1)).save(path)
    _write_cells(found, folder / 'cells.csv', cell_classes)
    write_challenge(found, folder / 'predictions.json', cell_classes)
    atomic.write_text(folder / RECORD, json.dumps(origin, indent=2) + '\n')


def write_challenge(found: Sequence[FoundPair], path: Path, cell_classes: Sequence[str]) -> None:
    """Writes the cells in the challenge's format."""
    challenge.write(path, [pair.cells for pair in found], num_classes=len(cell_classes))


def _write_cells(found: Sequence[FoundPair], path: Path, cell_classes: Sequence[str]) -> None:
    rows = (
        {
            'pair': pair.name,
            'x': f'{x:g}',
            'y': f'{y:g}',
            'x_um': f'{(x + 0.5) * pair.mpp:.2f}',
            'y_um': f'{(y + 0.5) * pair.mpp:.2f}',
            'label': label,
            'class': cell_classes[label - 1],
            'score': f'{score:.4f}',
        }
        for pair in found
        for (x, y), label, score in zip(
            pair.cells.points, pair.cells.labels, pair.cells.scores, strict=True
        )
    )
    csv_files.write_rows(path, _COLUMNS, rows)
