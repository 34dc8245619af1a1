"""Tissue as annotations: valid, as large as the map's pixels, and where QuPath shows them."""

import dataclasses
import json

import numpy as np
import pytest

from ocelot_jax.slides import annotations, outlines
from ocelot_jax.viz import palette


def written(base, path, tissue, **changes):
    annotations.write(dataclasses.replace(base, tissue=tissue, **changes), path)
    return json.loads(path.read_text('utf-8'))['features']


def total(feature):
    rings = [ring for polygon in feature['geometry']['coordinates'] for ring in polygon]
    return sum(outlines.area(np.array(ring)) for ring in rings)


@pytest.mark.parametrize(
    ('bounds', 'corner'),
    [(None, (20, 30)), ((7, 13, 400, 300), (13, 17)), ((0, 29, 900, 300), (20, 1))],
)
def test_they_lie_where_qupath_shows_the_tissue(base, tmp_path, bounds, corner):
    tissue = np.zeros((200, 200), np.uint8)
    tissue[3:9, 2:8] = 1
    tissue[5:7, 3:5] = 255
    tissue[12:22, 25:26] = 2
    changes = {'tissue_classes': ('BG', 'CA', 'stroma "<>"'), 'width': 2000, 'height': 2000}
    changes |= {'mpp': 0.3, 'tissue_mpp': 3.0, 'bounds': bounds}
    cancer, stroma = written(base, tmp_path / 'a.geojson', tissue, **changes)
    [[outer, hole]] = cancer['geometry']['coordinates']
    assert np.min(outer, axis=0).tolist() == list(corner)
    assert np.max(outer, axis=0).tolist() == [corner[0] + 60, corner[1] + 60]
    assert np.min(hole, axis=0).tolist() == [corner[0] + 10, corner[1] + 20]
    assert total(cancer) == 32 * 100
    properties = stroma['properties']
    assert properties['objectType'] == 'annotation'
    assert properties['classification'] == {
        'name': 'stroma "<>"',
        'color': palette.rgb(palette.tissue_color(2)),
    }
    assert properties['measurements'] == {'Resolution um per px': 3}


@pytest.mark.parametrize('bounds', [(7, 13, 401, 303), (0, 0, 55, 1999), (99, 1, 1, 1)])
def test_they_end_where_qupaths_picture_ends(base, tmp_path, bounds):
    """Where a pixel of the map reaches over its border."""
    changes = {'width': 2000, 'height': 2000, 'mpp': 0.3, 'tissue_mpp': 3.0, 'bounds': bounds}
    tissue = np.ones((200, 200), np.uint8)
    [cancer] = written(base, tmp_path / 'a.geojson', tissue, **changes)
    [[outer]] = cancer['geometry']['coordinates']
    assert np.min(outer) >= 0
    assert (np.max(outer, axis=0) <= bounds[2:]).all()


def test_large_maps_are_taken_coarsely(base, tmp_path, monkeypatch):
    """Areas stay as they are; ever coarser where there are too many pixels."""
    tissue = np.zeros((640, 640), np.uint8)
    tissue[64:320, 128:192] = 1
    changes = {'mpp': 0.5, 'tissue_mpp': 0.5, 'width': 640, 'height': 640}
    for most, mpp in ((1 << 24, 4.0), (1000, 16.0)):
        monkeypatch.setattr(annotations, '_MAX_PIXELS', most)
        [cancer] = written(base, tmp_path / 'a.geojson', tissue, **changes)
        assert cancer['properties']['measurements'] == {'Resolution um per px': mpp}
        assert total(cancer) == 256 * 64


def test_without_tissue_there_is_no_annotation(base, tmp_path):
    for value in (0, 255):
        assert written(base, tmp_path / 'a.geojson', np.full((5, 7), value, np.uint8)) == []
