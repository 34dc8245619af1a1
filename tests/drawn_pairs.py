"""Pairs of patches with known cells, drawn, as users give them to be predicted."""

import json

import numpy as np
from drawn_slides import draw_slide
from PIL import Image


def draw_patch(points, size=64, mpp=0.2):
    """A patch with cells of label 2 at `points`, pixels."""
    return draw_slide(size, size, mpp, (np.array(points) + 0.5) * mpp, [2] * len(points))


def write_stacks(folder, count, tissue_count=None, records=None, mode='RGB', size=64):
    """The challenge's input: `count` pairs, each with one cell at (20 + i, 30)."""
    for kind, n in (('cell', count), ('tissue', tissue_count or count)):
        (folder / f'images/{kind}_patches').mkdir(parents=True)
        patches = [draw_patch([(20 + i, 30)] if kind == 'cell' else [], size) for i in range(n)]
        Image.fromarray(np.concatenate(patches)).convert(mode).save(
            folder / f'images/{kind}_patches/000.tif'
        )
    box = {'x_start': 0, 'y_start': 0, 'x_end': 9, 'y_end': 9}
    record = {
        'patch_x_offset': 0.5,
        'patch_y_offset': 0.5,
        'mpp_x': 0.25,
        'mpp_y': 0.25,
        'cell': box | {'resized_mpp_x': 0.2, 'resized_mpp_y': 0.2},
        'tissue': box | {'resized_mpp_x': 0.8, 'resized_mpp_y': 0.8},
    }
    (folder / 'metadata.json').write_text(json.dumps([record] * (records or count)))
    return folder
