"""The files that are written of a slide."""

import importlib.util
import os
from pathlib import Path

from PIL import Image

from ocelot_jax.io import atomic
from ocelot_jax.io.errors import OutputError
from ocelot_jax.slides import annotations, cohort_page, geojson, page, summary, tables, tissue_map
from ocelot_jax.slides.result import SlideResult
from ocelot_jax.viz import overlay

# written last
SUMMARY = 'summary.json'

# as large as the distance within which the score matches cells
_RADIUS_UM = 3.0
# pixels of its longer side
_THUMBNAIL = 256


def write(result: SlideResult, folder: Path) -> None:
    """Writes what was found on a slide.

    `cells.csv`, `cells.parquet`, `cells.geojson` for QuPath (`cells.geojson.gz` from 1,000,000
    cells), `cells.h5ad` where AnnData is installed, `tissue.ome.tif` and `tissue.geojson` where
    there is a tissue branch, `overlay_A.png` and so on for each sample, `thumbnail.jpg`,
    `page.html`, `summary.csv`, `regions.csv`, and last `summary.json`: where it is, all are there
    and whole.

    Args:
        result: what was found.
        folder: an empty folder to write to.

    Raises:
        OutputError: something cannot be written.
    """
    try:
        tables.write(result, folder / 'cells.csv', folder / 'cells.parquet')
        geojson.write(result, folder / geojson.name_file(result))
        if importlib.util.find_spec('anndata') is not None:
            # it came with h5py, which nothing else here needs
            from ocelot_jax.slides import h5ad

            h5ad.write(result, folder / 'cells.h5ad')
        if result.tissue is not None:
            tissue_map.write(result, folder / 'tissue.ome.tif')
            annotations.write(result, folder / 'tissue.geojson')
        overlays = []
        for letter, sample in zip(page.letters(result), result.samples, strict=True):
            cells = page.cells_of(result, sample)
            overlays.append(overlay.draw_found(sample.image, cells, _RADIUS_UM / sample.mpp))
            with atomic.replacing(folder / f'overlay_{letter}.png') as temporary:
                # a sixth longer than by default, in a fifth of the time
                Image.fromarray(overlays[-1]).save(temporary, 'PNG', compress_level=1)
        with atomic.replacing(folder / cohort_page.THUMBNAIL) as temporary:
            small = Image.fromarray(result.thumbnail)
            small.thumbnail((_THUMBNAIL, _THUMBNAIL))
            small.save(temporary, 'JPEG', quality=85)
        numbers = summary.summarise(result)
        page.write(result, numbers, overlays, folder / cohort_page.PAGE)
        summary.write_csv(result, numbers, folder / 'summary.csv', folder / 'regions.csv')
        summary.write_json(result, numbers, folder / SUMMARY)
    except OSError as error:
        # libraries' own words are long, or lack the system's reason
        reason = os.strerror(error.errno) if error.errno else ' '.join(str(error).split())
        raise OutputError(
            f'{folder}: outputs of slide {result.name} cannot be written ({reason}); '
            'want a folder that can be written and has room'
        ) from error
