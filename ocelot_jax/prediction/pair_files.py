"""The files that are written of pairs."""

import json
import shutil
import tempfile
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
_FOLDERS = ('tissue', 'overlays')
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
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.', dir=folder) as name:
        new = Path(name)
        for kind in _FOLDERS:
            (new / kind).mkdir()
        for pair in found:
            if pair.image is not None:
                picture = overlay.draw_found(pair.image, pair.cells, _RADIUS_UM / pair.mpp)
                Image.fromarray(picture).save(new / f'overlays/{pair.name}.png')
            if pair.tissue is not None:
                Image.fromarray(pair.tissue + np.uint8(1)).save(new / f'tissue/{pair.name}.png')
        _write_cells(found, new / 'cells.csv', cell_classes)
        write_challenge(found, new / 'predictions.json', cell_classes)
        _take_place(new, folder)
    atomic.write_text(folder / RECORD, json.dumps(origin, indent=2) + '\n')


def _take_place(new: Path, folder: Path) -> None:
    """Moves files to where they stay; an earlier prediction goes, once its successor is whole."""
    if (folder / RECORD).exists():
        (folder / RECORD).unlink()
        for kind in _FOLDERS:
            shutil.rmtree(folder / kind, ignore_errors=True)
    for path in sorted(path for path in new.rglob('*') if path.is_file()):
        place = folder / path.relative_to(new)
        place.parent.mkdir(exist_ok=True)
        path.replace(place)


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
