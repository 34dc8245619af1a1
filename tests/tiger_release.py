"""A small TIGER in the layout of the real one, for the tests of its builder.

Every pixel's color tells its place on its slide, so that a patch tells where it was cut.
"""

import json

import numpy as np
from PIL import Image

ROOT = 'tiger/wsirois/roi-level-annotations'

# Name of the slide, left, top, width, height.
REGIONS = [
    ('TCGA-A1-A0SK-01Z-00-DX1.A44D70FA-4D96', 100, 200, 1000, 960),
    ('TCGA-A1-A0SK-01Z-00-DX1.A44D70FA-4D96', 1200, 200, 640, 700),
    ('TCGA-A2-A0CM-01Z-00-DX1.AC4901DE-4B6D', 50, 60, 513, 900),
    ('TCGA-A2-A0CM-01Z-00-DX2.0D1D21CE-74C2', 300, 700, 777, 888),
    ('TCGA-E2-A1L7-01Z-00-DX1.F6B7C5D6-8E0C', 7, 11, 512, 512),
    ('TCGA-OL-A97C-01Z-00-DX1.5EA0FF72-1B92', 0, 0, 700, 400),  # holds no tissue patch
]
CELL_ROIS = [
    (REGIONS[0][0], 500, 590, 200, 150),  # 16 tissue patches
    (REGIONS[0][0], 300, 250, 128, 128),
    (REGIONS[0][0], 972, 1032, 140, 141),  # the lower right corner, and beyond it
    (REGIONS[0][0], 600, 300, 127, 200),  # too narrow
    (REGIONS[0][0], 600, 800, 200, 127),  # too low
    (REGIONS[0][0], 60, 400, 150, 150),  # starts left of its region
    (REGIONS[1][0], 1330, 330, 256, 300),
    (REGIONS[2][0], 51, 300, 130, 129),
    (REGIONS[3][0], 700, 1200, 300, 133),
    (REGIONS[3][0], 600, 1000, 131, 190),
    (REGIONS[4][0], 7, 11, 128, 128),
    (REGIONS[4][0], 391, 395, 128, 128),
    (REGIONS[4][0], 136, 139, 128, 128),  # one pixel off the grid
    (REGIONS[5][0], 100, 100, 200, 200),
]
OTHERS = [
    ('100B', 300, 100, 1100, 1600),
    ('100S', 10, 20, 1600, 1030),
    ('TC_S01_P000054_C0001_B101', 500, 400, 1025, 1025),
    ('122S', 90, 1000, 1200, 1100),
    ('114S', 0, 10, 1024, 1300),  # not larger than 1024
    ('130S', 0, 10, 1300, 1024),
]
# Files of cells in TCGA's slides show other colors than the regions that they lie in.
SHIFT = 4096


def file_name(slide, left, top, width, height):
    return f'{slide}_[{left}, {top}, {left + width}, {top + height}].png'


def color(x, y):
    """The color at a place of a slide: x < 2048 and y < 8192 are told by it."""
    return np.stack([x % 256, y % 256, x // 256 + 8 * (y // 256)], -1).astype(np.uint8)


def place(pixel):
    """The place that has a color."""
    r, g, b = (int(v) for v in pixel)
    return r + 256 * (b % 8), g + 256 * (b // 8)


def tissue(x, y):
    """TIGER's tissue class at a place of a slide."""
    return ((x // 37 + 3 * (y // 29)) % 8).astype(np.uint8)


def grid(left, top, width, height):
    y, x = np.mgrid[top : top + height, left : left + width]
    return x, y


def draw_boxes(rng, width, height):
    """Boxes of many kinds; those that stick out keep their center inside."""
    boxes = [
        (round(float(x - w / 2), 2), round(float(y - h / 2), 2), w, h)
        for x, y, w, h in zip(
            rng.uniform(0, width, 30), rng.uniform(0, height, 30),
            rng.integers(6, 20, 30).tolist(), rng.integers(6, 20, 30).tolist(), strict=True,
        )
    ]  # fmt: skip
    # Centers on the borders of patches, of the image, and just beside them.
    for x in (0, 0.5, 127.5, 128, 128.5, 512, width - 0.5):
        for y in (0, 128, 640, height - 0.5):
            if x < width and y < height:
                boxes.append((x - 8, y - 9, 16, 18))
    return boxes


def write_tiger(root, regions=REGIONS, cell_rois=CELL_ROIS, others=OTHERS, seed=0):
    """Writes a small TIGER in the layout of the real one; returns the boxes by file name."""
    rng = np.random.default_rng(seed)
    content = {
        'images': [],
        'annotations': [],
        'categories': [{'id': 1, 'name': 'lymphocytes and plasma cells'}],
    }
    boxes_by_name = {}
    for folder in ('tissue-bcss', 'tissue-cells'):
        for kind in ('images', 'masks'):
            (root / folder / kind).mkdir(parents=True)
    for folder, rois in (('tissue-bcss', regions), ('tissue-cells', [*cell_rois, *others])):
        for roi in rois:
            slide, *box = roi
            x, y = grid(*box)
            own = folder == 'tissue-cells' and slide.startswith('TCGA')
            name = file_name(*roi)
            image, mask = color(x, y + own * SHIFT), np.full_like(x, 7) if own else tissue(x, y)
            Image.fromarray(image).save(root / folder / 'images' / name)
            Image.fromarray(mask.astype(np.uint8)).save(root / folder / 'masks' / name)
            if folder == 'tissue-bcss':
                continue
            boxes_by_name[name] = boxes = draw_boxes(rng, *box[2:])
            image_id = 7 + len(content['images'])
            content['images'].append(
                {
                    'id': image_id,
                    'file_name': f'tissue-cells/images/{name}',
                    'width': box[2],
                    'height': box[3],
                }
            )
            for own_box in boxes:
                content['annotations'].append(
                    {
                        'id': len(content['annotations']),
                        'image_id': image_id,
                        'category_id': 1,
                        'bbox': own_box,
                    }
                )
    (root / 'tissue-cells/tiger-coco.json').write_text(json.dumps(content))
    return boxes_by_name
