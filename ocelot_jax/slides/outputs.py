"""Everything that is written of a slide."""

import os
import pathlib

from PIL import Image

from ocelot_jax.io import atomic
from ocelot_jax.io.errors import OutputError
from ocelot_jax.slides import geojson, page, summary, tables, tissue_map
from ocelot_jax.slides.result import SlideResult
from ocelot_jax.viz import overlay

# As large as the distance within which the score matches cells.
_RADIUS_UM = 3.0
_DONE = 'summary.json'


def write_outputs(result: SlideResult, folder: str | os.PathLike):
    """Writes what was found on a slide.

    `cells.csv`, `cells.parquet`, `cells.geojson` for QuPath, `tissue.ome.tif` where there is a
    tissue branch, `overlay_A.png` and so on for each sample, `page.html`, `summary.csv`, and
    last `summary.json`. Every file appears whole or not at all, and where `summary.json` is,
    all are there and of one result: it goes first where it stood before.

    Args:
        result: what was found.
        folder: where to write; made where it is not there.

    Raises:
        OSError: if something cannot be written; one line says what and why.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _DONE).unlink(missing_ok=True)
        _write_all(result, folder)
    except OSError as error:
        # pyarrow's own words are long.
        reason = os.strerror(error.errno) if error.errno else ' '.join(str(error).split())
        raise OutputError(
            f'{folder}: outputs of slide {result.name} cannot be written ({reason}); '
            'want a folder that can be written and has room'
        ) from error


def _write_all(result: SlideResult, folder: pathlib.Path):
    tables.write(result, folder / 'cells.csv', folder / 'cells.parquet')
    geojson.write(result, folder / 'cells.geojson')
    if result.tissue is not None:
        tissue_map.write(result, folder / 'tissue.ome.tif')
    overlays = {}
    for letter, sample in zip(page.letters(result), result.samples, strict=True):
        cells = page.cells_of(result, sample)
        picture = overlay.draw_found(sample.image, cells, _RADIUS_UM / sample.mpp)
        overlays[f'overlay_{letter}.png'] = picture
        with atomic.replacing(folder / f'overlay_{letter}.png') as temporary:
            Image.fromarray(picture).save(temporary, format='PNG')
    # Of a result that had more samples, or a tissue branch.
    for old in folder.glob('overlay_*.png'):
        if old.name not in overlays:
            old.unlink()
    if result.tissue is None:
        (folder / 'tissue.ome.tif').unlink(missing_ok=True)
    numbers = summary.summarise(result)
    page.write(result, numbers, list(overlays.values()), folder / 'page.html')
    summary.write_csv(result, numbers, folder / 'summary.csv')
    summary.write_json(result, numbers, folder / _DONE)
