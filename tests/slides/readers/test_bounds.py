"""The part of a slide that was scanned, from the file to what QuPath shows."""

import json

import numpy as np
import openslide
import pytest
from drawn_slides import darkness, draw_slide, write_pyramid
from fake_runs import SMALL, small_config

from ocelot_jax.inference.detector import Detector
from ocelot_jax.slides import geojson, pipeline
from ocelot_jax.slides.slide import Slide

KEYS = ('x', 'y', 'width', 'height')


@pytest.fixture
def path(tmp_path):
    points = np.array([[60.0, 45.0]])
    return write_pyramid(tmp_path / 's.tif', draw_slide(240, 180, 0.5, points, [2]), 0.5)


def state(monkeypatch, values):
    """Has OpenSlide state bounds, as it does for MRXS and SCN."""
    read = openslide.OpenSlide.properties.fget
    told = {f'openslide.bounds-{key}': value for key, value in zip(KEYS, values, strict=False)}
    monkeypatch.setattr(
        openslide.OpenSlide, 'properties', property(lambda slide: dict(read(slide)) | told)
    )


@pytest.mark.parametrize(
    ('values', 'bounds'),
    [
        ((), None),
        (('0', '0', '200', '150'), (0, 0, 200, 150)),
        (('13', '7'), None),
        (('13', '7', '0', '0'), None),
    ],
)
def test_bounds_are_told_where_they_are_whole(path, monkeypatch, values, bounds):
    state(monkeypatch, values)
    with Slide(path) as slide:
        assert slide.bounds == bounds


def test_cells_lie_in_the_bounds(path, tmp_path, monkeypatch):
    detect = Detector(small_config(detection__backend='skimage').detection)
    method = pipeline.Method(darkness, detect, SMALL, ('BC', 'TC'), ('BG', 'CA'))
    places = []
    for number, values in enumerate([(), ('31', '17', '200', '150')]):
        state(monkeypatch, values)
        with Slide(path) as slide:
            plan = pipeline.make_plan(slide, method, everywhere=True)
            result = pipeline.predict_slide(slide, method, plan, tmp_path / str(number), {})
        geojson.write(result, tmp_path / 'cells.geojson')
        [cell] = json.loads((tmp_path / 'cells.geojson').read_text())['features']
        places.append(np.array(cell['geometry']['coordinates']))
    np.testing.assert_allclose(places[0], result.cells.points[0] + 0.5, atol=0.01)
    np.testing.assert_allclose(places[0] - places[1], [31, 17], atol=0.02)
