"""Slides drawn by a program, with annotations as QuPath exports them.

Each is one scene of `draw`, all of it at the um/px of a cell patch, with a rim of glass.
"""

import json
import pathlib
import uuid
from typing import Any

import numpy as np
import tifffile
from ocelot_jax.datasets.ocelot_synthetic import draw, tissue

from ocelot_jax.slides import outlines

CELL_NAMES = {1: 'Other', 2: 'Tumor'}
TISSUE_NAMES = {tissue.BACKGROUND: 'Stroma', tissue.CANCER: 'Tumor'}

_MPP = 0.5
_RIM = 64  # px
_GLASS = (243, 243, 245)
_TILE = 256


def write_slides(folder: pathlib.Path, count: int, size: int = 1024, seed: int = 2023) -> None:
    """Writes slides `slide-1.tif` and so on, and beside each its `.geojson`.

    The GeoJSON has a point for each cell, polygons of tissue, none where it is unknown, and a
    rectangle of class ROI around all that is annotated: all but the glass.

    Args:
        folder: made where it is missing.
        count: how many.
        size: side of the tissue, in pixels of 0.5 um; a multiple of 32.
        seed: of everything that is drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    geometry = tissue.Geometry(size=size // 4, cell_mpp=_MPP)
    for number in range(count):
        scene = draw.draw_scene(geometry, seed, 'train', number, ambiguous_share=0.1)
        _, _, look = draw.draw_slide(seed, 'train', number)
        path = folder / f'slide-{number + 1}.tif'
        _write_image(path, draw.render_whole(scene, look))
        features = [_roi(size), *_areas(scene), *_cells(scene, path.stem)]
        document = {'type': 'FeatureCollection', 'features': features}
        path.with_suffix('.geojson').write_text(json.dumps(document) + '\n')


def _write_image(path: pathlib.Path, image: np.ndarray) -> None:
    rim = ((_RIM, _RIM), (_RIM, _RIM))
    slide = np.stack(
        [np.pad(image[..., i], rim, constant_values=level) for i, level in enumerate(_GLASS)], -1
    )
    tifffile.imwrite(
        path,
        slide,
        photometric='rgb',
        tile=(_TILE, _TILE),
        compression='zlib',
        resolution=(1e4 / _MPP,) * 2,
        resolutionunit='CENTIMETER',
    )


def _roi(size: int) -> dict[str, Any]:
    low, high = _RIM, _RIM + size
    ring = [[low, low], [high, low], [high, high], [low, high], [low, low]]
    return _feature('annotation', 'ROI', {'type': 'Polygon', 'coordinates': [ring]}, 'roi')


def _areas(scene: draw.Scene) -> list[dict[str, Any]]:
    scale = scene.geometry.tissue_mpp / _MPP
    features = []
    for value, name in TISSUE_NAMES.items():
        polygons = [
            [(ring * scale + _RIM).tolist() for ring in (polygon.outer, *polygon.holes)]
            for polygon in outlines.trace(scene.tissue.mask == value)
        ]
        if polygons:
            geometry = {'type': 'MultiPolygon', 'coordinates': polygons}
            features.append(_feature('annotation', name, geometry, name))
    return features


def _cells(scene: draw.Scene, slide: str) -> list[dict[str, Any]]:
    extent = scene.geometry.tissue_extent
    places = np.stack([scene.cells.x, scene.cells.y], -1)
    inside = ((places >= 0) & (places < extent)).all(-1)
    corner = (places[inside].astype(np.float64) / _MPP + _RIM).round(2).tolist()
    labels = scene.cells.label[inside].tolist()
    return [
        _feature(
            'detection',
            CELL_NAMES[label],
            {'type': 'Point', 'coordinates': place},
            f'{slide} {number}',
        )
        for number, (place, label) in enumerate(zip(corner, labels, strict=True))
    ]


def _feature(kind: str, name: str, geometry: dict[str, Any], key: str) -> dict[str, Any]:
    """An object of a class, as QuPath writes it; the same `key` has the same id."""
    return {
        'type': 'Feature',
        'id': str(uuid.uuid5(uuid.NAMESPACE_OID, key)),
        'geometry': geometry,
        'properties': {'objectType': kind, 'classification': {'name': name}},
    }
