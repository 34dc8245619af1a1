"""GeoJSON as QuPath exports it: 0.2 to 0.6, as a collection, a list or a single feature.

Cells are points, each point of a set of points, and objects of type detection or cell, at the
centroid of their nucleus where they have one. Annotations that are polygons are areas.
Coordinates are in QuPath's frame: level-0 pixels from the corner of the slide's bounds, to which
it crops, a pixel's center at +0.5; rounded to 0.01 px.
"""

import collections
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from ocelot_jax.annotation import areas
from ocelot_jax.annotation.annotations import Annotations, Area
from ocelot_jax.annotation.frames import Frame, check_inside
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides.slide import Slide

HOW_TO_EXPORT = 'GeoJSON (in QuPath: File > Export objects as GeoJSON)'

# What QuPath rounds coordinates to.
_PRECISION = 0.01
# The types of objects by their names since 0.3, of 0.2, and of scripts. QuPath takes all others,
# and what states none, as annotations.
_KINDS = {
    'cell': 'cell',
    'pathcellobject': 'cell',
    'detection': 'detection',
    'pathdetectionobject': 'detection',
    'tile': 'tile',
    'pathtileobject': 'tile',
    'tmacore': 'TMA core',
    'tma_core': 'TMA core',
    'tmacoreobject': 'TMA core',
    'root': 'root',
    'pathrootobject': 'root',
    'pathannotationobject': 'annotation',
}
_POLYGONS = ('Polygon', 'MultiPolygon')
_LINES = ('LineString', 'MultiLineString')


class _Gathered:
    """What was found so far, in the file's coordinates."""

    def __init__(self) -> None:
        self.points: list[np.ndarray] = [np.empty((0, 2))]
        self.names: list[str] = []
        self.ids: list[str] = []
        self.areas: list[Area] = []
        self.left_out: collections.Counter[str] = collections.Counter()

    def add_cells(self, points: np.ndarray, name: str, identifier: str) -> None:
        count = len(points)
        numbered = count > 1 and identifier
        self.points.append(points)
        self.names += [name] * count
        self.ids += [f'{identifier}#{i}' if numbered else identifier for i in range(count)]


def parse(data: bytes, path: Path, slide: Slide) -> Annotations:
    """Reads what a file holds.

    Args:
        data: its content.
        path: what it is called, for errors.
        slide: what was annotated.

    Raises:
        InputError: it is no GeoJSON of QuPath's, is empty, holds what is broken, or of another
            plane, or does not lie on the slide.
    """
    found = _Gathered()
    for where, feature in _features(_document(data, path), f'{path}: feature '):
        _add(found, feature, where)
    frame = Frame.of_qupath(slide)
    points = np.concatenate(found.points)
    boxes = [np.tile(points, 2), shapely.bounds([area.geometry for area in found.areas])]
    check_inside(path, frame, np.concatenate([box.reshape(-1, 4) for box in boxes]), slide)
    moved = [
        Area(shapely.transform(area.geometry, frame.to_um), area.name, area.id)
        for area in found.areas
    ]
    return Annotations(
        frame.to_um(points), tuple(found.names), tuple(found.ids), tuple(moved), found.left_out
    )


def _document(data: bytes, path: Path) -> list[Any]:
    """The list of features that the file holds."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: is no JSON ({error}); want {HOW_TO_EXPORT}') from None
    kind = document.get('type') if isinstance(document, dict) else None
    if kind == 'FeatureCollection':
        document = document.get('features')
    elif kind == 'Feature':
        document = [document]
    if not isinstance(document, list):
        raise InputError(f'{path}: has no features; want {HOW_TO_EXPORT}')
    if not document:
        raise InputError(f'{path}: is an empty export; want one with annotations or detections')
    return document


def _features(features: list[Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every feature and those within it, after how to call it in errors."""
    for number, feature in enumerate(features, start=1):
        label = f'{prefix}{number}'
        if not isinstance(feature, dict) or feature.get('type') != 'Feature':
            raise InputError(f'{label} is no GeoJSON feature; want {HOW_TO_EXPORT}')
        if not isinstance(feature.get('properties') or {}, dict):
            raise InputError(f'{label} has no object as properties; want {HOW_TO_EXPORT}')
        identifier = _id(feature)
        yield f'{label} ({identifier})' if identifier else label, feature
        # written where 'include child objects' was chosen
        properties = feature.get('properties') or {}
        children = properties.get('childObjects') or properties.get('children')
        if isinstance(children, list):
            yield from _features(children, f'{label}.')


def _add(found: _Gathered, feature: dict[str, Any], where: str) -> None:
    kind = _kind(feature)
    geometry = feature.get('geometry')
    if kind == 'root':
        return
    if not geometry:
        found.left_out['objects without a shape'] += 1
        return
    if not isinstance(geometry, dict) or 'type' not in geometry:
        raise InputError(f'{where} has no geometry with a type; want {HOW_TO_EXPORT}')
    _check_plane(feature, where)
    if kind in ('tile', 'TMA core'):
        found.left_out[f'{kind}s'] += 1
        return
    shape, name, identifier = geometry['type'], _class(feature, where), _id(feature)
    if shape in ('Point', 'MultiPoint'):
        coordinates = geometry.get('coordinates')
        places = [coordinates] if shape == 'Point' else coordinates
        found.add_cells(_places(places, where), name, identifier)
    elif shape in _POLYGONS:
        polygon = _polygon(feature, kind, where)
        if polygon.is_empty:
            found.left_out['shapes without area'] += 1
        elif kind == 'annotation':
            found.areas.append(Area(polygon, name, identifier))
        else:
            found.add_cells(shapely.get_coordinates(polygon.centroid), name, identifier)
    else:
        found.left_out['lines' if shape in _LINES else f'shapes of type {shape}'] += 1


def _kind(feature: dict[str, Any]) -> str:
    properties = feature.get('properties') or {}
    stated = [properties.get(key) for key in ('objectType', 'object_type', 'type')]
    # 0.2 wrote the type as the id
    kind = next((name for name in [*stated, feature.get('id')] if isinstance(name, str)), '')
    return _KINDS.get(kind.lower(), 'annotation')


def _id(feature: dict[str, Any]) -> str:
    identifier = feature.get('id')
    if identifier is None or str(identifier).lower() in _KINDS:
        return ''
    return str(identifier)


def _class(feature: dict[str, Any], where: str) -> str:
    """The name of its class, of a derived class all names, as QuPath shows it."""
    classification = (feature.get('properties') or {}).get('classification')
    names: list[Any] = []
    while isinstance(classification, dict):
        several = classification.get('names')
        names[:0] = several if isinstance(several, list) else [classification.get('name')]
        classification = classification.get('parentClass')  # before 0.4
    if classification is not None:
        names = [classification]
    names = [name for name in names if name is not None]
    if not all(isinstance(name, str) for name in names):
        raise InputError(f'{where} has {names} as its class; want text')
    return ': '.join(names)


def _check_plane(feature: dict[str, Any], where: str) -> None:
    for holder in (feature['geometry'], feature.get('properties') or {}):
        plane = holder.get('plane')
        plane = plane if isinstance(plane, dict) else {}
        z, t = (plane.get(axis, 0) for axis in 'zt')
        if z or t:
            raise InputError(
                f'{where} is of the plane z={z}, t={t}; want z=0, t=0, the only plane that is '
                'read: delete what is in others, or move it there in QuPath, and export again'
            )


def _polygon(
    feature: dict[str, Any], kind: str, where: str
) -> shapely.Polygon | shapely.MultiPolygon:
    """The valid polygon that says where a feature is; empty where it has no area."""
    geometry = feature['geometry']
    nucleus = feature.get('nucleusGeometry')
    if kind == 'cell' and isinstance(nucleus, dict) and nucleus.get('type') in _POLYGONS:
        geometry, where = nucleus, f'{where}: its nucleus'
    rings = geometry.get('coordinates')
    rings = rings if geometry['type'] == 'MultiPolygon' else [rings]
    try:
        parts = [[_places(ring, where) for ring in part] for part in rings]
        polygons = [shapely.Polygon(part[0], part[1:]) for part in parts if part]
    except InputError:
        raise
    except (TypeError, ValueError):
        raise InputError(
            f'{where} has no rings of at least 4 places as its coordinates; want {HOW_TO_EXPORT}'
        ) from None
    polygon = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    mended = areas.mended(polygon, _PRECISION)
    if mended is None:
        reason = re.sub(r'\[(\S+) (\S+)\]', r' at (\1, \2) px', shapely.is_valid_reason(polygon))
        raise InputError(
            f'{where} is no simple polygon ({reason}); want one that does not cross itself: '
            'mend it in QuPath and export again'
        )
    return mended


def _places(coordinates: Any, where: str) -> np.ndarray:
    """Checks [n,2] numbers; GeoJSON allows a third, the height."""
    try:
        places = np.asarray(coordinates)
    except ValueError:  # of unequal lengths
        places = np.empty(0, object)
    if places.dtype.kind not in 'iuf' or places.ndim != 2 or places.shape[1] not in (2, 3):
        shown = json.dumps(coordinates)
        shown = shown if len(shown) <= 60 else f'{shown[:57]}...'
        raise InputError(f'{where} has {shown} as coordinates; want numbers, [x, y] each')
    if not np.isfinite(places).all():
        raise InputError(f'{where} has coordinates that are not finite; want numbers, [x, y] each')
    return places[:, :2].astype(np.float64)
