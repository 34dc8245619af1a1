"""Slides with known cells, drawn, and a stand-in for a network that sees them."""

import numpy as np
import tifffile
from PIL import Image

from ocelot_jax.inference.engine import Maps

GLASS, TISSUE = (245, 243, 246), (225, 150, 190)
COLORS = {1: (60, 60, 160), 2: (120, 20, 60)}  # of cells, by label
RADIUS_UM = 3.0


def draw_slide(width, height, mpp, cells_um, labels, seed=0):
    """Tissue with cells at `cells_um` [n,2] micrometres from the corner, a rim of glass."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), GLASS, np.uint8)
    rim = int(min(width, height) * 0.08)
    inner = image[rim : height - rim, rim : width - rim]
    inner[:] = TISSUE
    inner += rng.integers(0, 12, inner.shape, np.uint8)
    reach = int(np.ceil(RADIUS_UM / mpp)) + 1
    for (x, y), label in zip(np.asarray(cells_um) / mpp - 0.5, labels, strict=True):
        rows = np.arange(max(0, int(y) - reach), min(height, int(y) + reach + 2))
        columns = np.arange(max(0, int(x) - reach), min(width, int(x) + reach + 2))
        distance = np.hypot(columns - x, rows[:, None] - y)
        place = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        # darkest in the middle, or else nothing says where a cell is
        depth = np.clip((1 - (distance * mpp / RADIUS_UM) ** 2), 0, None)[..., None]
        place[:] = np.rint(place + depth * (np.array(COLORS[label]) - place))
    return image


def spread_cells(width_um, height_um, spacing_um, rng, rim=0.12):
    """Cells in a jittered grid, at least `spacing_um` apart, inside the tissue."""
    edge = rim * min(width_um, height_um)
    step = 1.6 * spacing_um
    x, y = np.meshgrid(
        np.arange(edge, width_um - edge, step), np.arange(edge, height_um - edge, step)
    )
    points = np.stack([x.ravel(), y.ravel()], -1)
    points += rng.uniform(-0.3, 0.3, points.shape) * spacing_um
    return points, rng.integers(1, 3, len(points))


def write_pyramid(path, image, mpp, ratios=(), **options):
    """Writes a tiled TIFF with levels shrunk by `ratios`, as OpenSlide reads it."""
    with tifffile.TiffWriter(path) as writer:
        shared = {'tile': (128, 128), 'photometric': 'rgb', 'compression': 'zlib', **options}
        for i, ratio in enumerate((1, *ratios)):
            size = [round(n / ratio) for n in image.shape[1::-1]]
            level = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
            density = {}
            if mpp is not None:
                density = {'resolution': (1e4 / mpp / ratio,) * 2, 'resolutionunit': 'CENTIMETER'}
            writer.write(level, subfiletype=int(i > 0), **shared, **density)
    return path


def darkness(batch, xp=np):
    """Class probabilities [B,H,W,3] of a network that knows the colors above, and tissue's.

    What it says of a pixel depends on nothing but its color, in whatever window it is.
    """
    image = xp.asarray(batch['cell_image']).astype('float32')
    green, red = image[..., 1], image[..., 0]
    cell = xp.clip((130 - green) / 130, 0, 1)
    second = xp.clip((red - 60) / 60, 0, 1)
    cells = xp.stack([1 - cell, cell * (1 - second), cell * second], -1)
    tissue = xp.asarray(batch['tissue_image']).astype('float32')
    pink = (tissue[..., 1] < 200).astype('float32')
    return Maps(cells, xp.stack([1 - pink, pink], -1))
