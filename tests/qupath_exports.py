"""Exports as QuPath 0.2 to 0.6 writes them: GeoJSON of objects, and tables of measurements.

Features are made of places in level-0 pixels of the whole slide, where pixel `i` covers `i` to
`i + 1` (so a pixel's center lies at +0.5, and a place in micrometres is `place * mpp`). `write`
and `write_table` turn them into QuPath's frame, which is cropped to the slide's bounds, and round
to two decimals as QuPath does.

    features = [
        qupath_exports.points([(10.5, 20.5), (30.5, 20.5)], 'Tumor'),
        qupath_exports.cell(nucleus.buffer(4), 'Tumor: Positive', nucleus=nucleus),
        qupath_exports.area(shapely.Polygon(shell, holes), 'Stroma'),
        qupath_exports.rectangle(0, 0, 512, 512),
    ]
    qupath_exports.write(tmp_path / 'slide.geojson', features, bounds=slide.bounds)
"""

import csv
import gzip
import json
import uuid

import numpy as np
import shapely

COLORS = {'Tumor': [200, 0, 0], 'Stroma': [150, 200, 150], 'ROI': [255, 255, 0]}
LEGACY_TYPES = {
    'annotation': 'PathAnnotationObject',
    'cell': 'PathCellObject',
    'detection': 'PathDetectionObject',
    'tile': 'PathTileObject',
    'tmaCore': 'TMACoreObject',
}


def points(places, name='', **options):
    """What the points tool makes: one annotation of one or more [n,2] places."""
    places = np.reshape(places, (-1, 2))
    geometry = shapely.Point(places[0]) if len(places) == 1 else shapely.MultiPoint(places)
    return feature('annotation', geometry, name, **options)


def point_detection(place, name='', **options):
    """A detection that is a point, as this project writes them and QuPath exports them again."""
    return feature('detection', shapely.Point(place), name, **options)


def cell(outline, name='', nucleus=None, **options):
    """What cell detection makes: the cell's polygon, and its nucleus' where it has one."""
    made = feature('cell', outline, name, measurements={'Cell: Area': outline.area}, **options)
    return made if nucleus is None else {**made, 'nucleusGeometry': _geometry(nucleus)}


def detection(outline, name='', **options):
    """What StarDist and the like make: a polygon without a nucleus of its own."""
    return feature('detection', outline, name, **options)


def area(geometry, name='', **options):
    """What somebody drew: a polygon or multipolygon, with or without holes."""
    return feature('annotation', geometry, name, **options)


def rectangle(x, y, width, height, name='ROI', **options):
    """What the rectangle tool makes."""
    return area(shapely.box(x, y, x + width, y + height), name, **options)


def ellipse(x, y, width, height, name='', **options):
    """What the ellipse tool makes, which is a polygon in GeoJSON."""
    turns = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ring = np.stack(
        [(1 + np.cos(turns)) * width / 2 + x, (1 + np.sin(turns)) * height / 2 + y], -1
    )
    made = area(shapely.Polygon(ring), name, **options)
    made['geometry']['isEllipse'] = True
    return made


def feature(kind, geometry, name='', *, id=None, plane=None, locked=False, measurements=None):
    """An object of QuPath's as a feature, in the frame of the whole slide.

    Args:
        kind: its `objectType`: annotation, detection, cell, tile, tmaCore.
        geometry: of shapely.
        name: its class; of a derived class all names, as in 'Tumor: Positive'; '' for none.
        id: a UUID that QuPath gave; made where None.
        plane: (z, t) where it is not in the first.
        locked: whether it was locked in QuPath.
        measurements: numbers by name.
    """
    properties = {'objectType': kind}
    if name:
        parts = name.split(': ')
        properties['classification'] = {
            **({'name': name} if len(parts) == 1 else {'names': parts}),
            'color': COLORS.get(parts[0], [100, 100, 100]),
        }
    if locked:
        properties['isLocked'] = True
    if measurements:
        properties['measurements'] = measurements
    geometry = _geometry(geometry)
    if plane is not None:
        geometry['plane'] = {'c': -1, 'z': plane[0], 't': plane[1]}
    return {
        'type': 'Feature',
        'id': id or str(uuid.uuid4()),
        'geometry': geometry,
        'properties': properties,
    }


def write(path, features, bounds=None, style='collection'):
    """Writes what 'File > Export objects as GeoJSON' writes; gzipped where `path` ends with .gz.

    Args:
        path: the file.
        features: of the functions above.
        bounds: (x, y, width, height) of the slide, where it has some; QuPath crops to them.
        style: 'collection' (a FeatureCollection, the default since 0.3), 'list' (0.4 and later
            without that option), 'single' (the first feature alone) or 'legacy' (0.2 and 0.3: a
            list, types as ids, classes with a packed color, measurements as a list).
    """
    corner = (0, 0) if bounds is None else bounds[:2]
    moved = [_in_frame(one, corner) for one in features]
    if style == 'legacy':
        moved = [_legacy(one) for one in moved]
    document = {
        'collection': {'type': 'FeatureCollection', 'features': moved},
        'single': moved[0] if moved else {},
    }.get(style, moved)
    text = json.dumps(document, indent=2 if style != 'collection' else None).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == '.gz' else text)
    return path


def write_table(
    path, image, features, mpp=None, bounds=None, delimiter='\t', encoding='utf-8', decimal='.'
):
    """Writes what 'Measure > Export measurements' writes: one row an object, at its centroid.

    Args:
        path: the file.
        image: what QuPath calls the image, the slide's file name; or a name for each feature.
        features: of the functions above.
        mpp: um/px where QuPath knew it, then centroids are micrometres, else pixels.
        bounds: as of `write`.
        delimiter: between fields.
        encoding: of the text.
        decimal: what numbers have as their point.
    """
    unit = 'px' if mpp is None else 'µm'
    corner = (0, 0) if bounds is None else bounds[:2]
    images = [image] * len(features) if isinstance(image, str) else image
    head = ['Image', 'Object ID', 'Object type', 'Name', 'Classification', 'Parent', 'ROI']
    head += [f'Centroid X {unit}', f'Centroid Y {unit}', 'Num points']
    with path.open('w', newline='', encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(head)
        for one, shown in zip(features, images, strict=True):
            outline = shapely.geometry.shape(one['geometry'])
            place = shapely.get_coordinates(outline.centroid)[0] - corner
            numbers = [f'{value:.2f}'.replace('.', decimal) for value in place * (mpp or 1)]
            kind = one['properties']['objectType'].capitalize()
            is_points = 'Point' in outline.geom_type
            shape, count = outline.geom_type, ''
            if is_points:
                shape, count = 'Points', len(shapely.get_coordinates(outline))
            row = [shown, one['id'], kind, '', class_of(one), 'Root object (Image)', shape]
            writer.writerow([*row, *numbers, count])
    return path


def class_of(one):
    """The class of a feature, as QuPath shows it; '' for none."""
    classification = one['properties'].get('classification', {})
    return classification.get('name') or ': '.join(classification.get('names', []))


def _geometry(geometry):
    # through JSON, for shapely gives tuples
    return json.loads(json.dumps(shapely.geometry.mapping(geometry)))


def _in_frame(one, corner):
    moved = dict(one)
    for key in {'geometry', 'nucleusGeometry'} & one.keys():
        shifted = _shift(one[key]['coordinates'], corner)
        moved[key] = {**one[key], 'coordinates': shifted}
    return moved


def _shift(coordinates, corner):
    if isinstance(coordinates[0], list):
        return [_shift(entry, corner) for entry in coordinates]
    return [round(value - start, 2) for value, start in zip(coordinates, corner, strict=True)]


def _legacy(one):
    properties = dict(one['properties'])
    kind = properties.pop('objectType')
    made = None
    for name in class_of(one).split(': ') if class_of(one) else []:
        red, green, blue = properties['classification']['color']
        packed = (255 << 24 | red << 16 | green << 8 | blue) - (1 << 32)
        made = {**({'parentClass': made} if made else {}), 'name': name, 'colorRGB': packed}
    if made:
        properties['classification'] = made
    numbers = properties.get('measurements', {})
    properties['measurements'] = [{'name': key, 'value': numbers[key]} for key in numbers]
    return {**one, 'id': LEGACY_TYPES[kind], 'properties': {'isLocked': False, **properties}}
