"""What workers of a test's cluster do: they import it, so it is no part of a test."""

import functools
import os
import signal

from drawn_slides import darkness
from ocelot_jax.configs import default

from ocelot_jax.data.patches import Patches
from ocelot_jax.inference.detector import Detector
from ocelot_jax.slides import geojson, outputs, pipeline, prediction, summary, tissue_map
from ocelot_jax.slides.slide import Slide

PATCHES = Patches(64, 0.5, 64, 2.0)


def prepare(output, log, deadly=None):
    """Makes what predicts a slide and notes that in `log`.

    The first process that is at the slide `deadly` is killed in the middle of it, once: where
    `log` has no file of that name beside it yet. Changes modules of the process.
    """
    pipeline._SAVE_SECONDS = 0.0
    outputs.write = write_few
    settings = default.get_config().detection
    settings.update(backend='skimage', sigma_um=0.5, min_distance_um=1.5, max_cells=256)
    detect = Detector(settings)
    return functools.partial(_perform, detect=detect, output=output, log=log, deadly=deadly)


def write_few(result, folder):
    """Leaves out what takes long: pictures, and what needs pyarrow."""
    geojson.write(result, folder / 'cells.geojson')
    tissue_map.write(result, folder / 'tissue.ome.tif')
    numbers = summary.summarise(result)
    summary.write_csv(result, numbers, folder / 'summary.csv', folder / 'regions.csv')
    summary.write_json(result, numbers, folder / 'summary.json')


def _perform(name, path, detect, output, log, deadly):
    marker, batches = log.with_name(f'killed-{name}'), 0

    def engine(batch):
        nonlocal batches
        batches += 1
        if name == deadly and batches == 3 and not marker.exists():
            marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return darkness(batch)

    method = pipeline.Method(engine, detect, PATCHES, ('BC', 'TC'), ('BG', 'CA'))
    with Slide(path, name=name) as slide:
        done = prediction.predict(slide, method, output, identity={}, origin={'runs': []})
    with log.open('a') as file:
        file.write(f'{name} {batches}\n')
    return done


def prepare_deadly():
    """Makes what kills its process by the task 'deadly', as a damaged file may."""

    def perform(name, payload):
        if name == 'deadly':
            os.kill(os.getpid(), signal.SIGSEGV)
        return payload

    return perform
