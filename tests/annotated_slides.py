"""Drawn slides, annotated all over, with what QuPath would export of them beside them."""

import numpy as np
import qupath_exports
import shapely
from drawn_slides import draw_slide, spread_cells, write_pyramid

WIDTH, HEIGHT, MPP = 400, 300, 0.5
STROMA = shapely.box(20, 20, 380, 280)
TUMOR = shapely.Polygon([(100, 60), (300, 90), (260, 230), (120, 200)])
NECROSIS = shapely.Point(200, 150).buffer(30)
ROIS = [(60, 40, 220, 200), (290, 40, 60, 120)]  # x, y, width, height: 4 x 3 patches and 1 x 2
NAMES = {1: 'Immune cells', 2: 'Tumor: Positive'}


def features(points, labels):
    """All that is annotated on a slide; cells are places in level-0 pixels."""
    made = [
        qupath_exports.area(STROMA, 'Stroma', id='stroma'),
        qupath_exports.area(TUMOR, 'Tumor', id='tumor'),
        qupath_exports.area(NECROSIS, 'Necrosis', id='necrosis'),
        *(qupath_exports.rectangle(*roi, id=f'roi {i}') for i, roi in enumerate(ROIS)),
    ]
    for i, (place, label) in enumerate(zip(points / MPP, labels, strict=True)):
        made.append(qupath_exports.point_detection(place, NAMES[label], id=f'cell {i}'))
    return made


def write_slide(folder, name, seed, bounds=None, extra=()):
    """A slide, with its cells [n,2] in micrometres and their labels; exported beside it."""
    points, labels = spread_cells(WIDTH * MPP, HEIGHT * MPP, 6.0, np.random.default_rng(seed))
    # as files have them, to hundredths of a pixel
    points = (points / MPP).round(2) * MPP
    image = draw_slide(WIDTH, HEIGHT, MPP, points, labels, seed)
    folder.mkdir(exist_ok=True)
    write_pyramid(folder / f'{name}.tif', image, MPP, (2,))
    made = [*features(points, labels), *extra]
    qupath_exports.write(folder / f'{name}.geojson', made, bounds)
    return points, labels
