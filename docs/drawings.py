"""Draws the figures of the explanations: `python docs/drawings.py`, into `docs/images`.

Both are made by the package's own functions, `alignment`, `windows` and `seams`, on a drawn cancer
area and a small slide, so that a figure cannot tell anything else than the code does.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import ConnectionPatch, Rectangle

from ocelot_jax.data.patches import Patches
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.models import alignment
from ocelot_jax.slides import seams, windows

IMAGES = Path(__file__).parent / 'images'

OCELOT = Patches(cell_size=1024, cell_mpp=0.2, tissue_size=1024, tissue_mpp=0.8)
CENTER = (0.36, 0.58)
RED, OCHRE, INK, BLUE, CREAM = '#d62728', '#b8860b', '#333333', '#dfe9f5', '#f5efdf'


def main():
    """Draws all."""
    # the same bytes each time, and letters that need no font and can be read on a phone
    mpl.rcParams.update(
        {'svg.hashsalt': 'ocelot', 'svg.fonttype': 'path', 'axes.titlesize': 'medium'}
    )
    for name, draw in (('fields_of_view', draw_fields_of_view), ('windows', draw_windows)):
        figure = draw()
        figure.savefig(IMAGES / f'{name}.svg', metadata={'Date': None}, facecolor='white')
        plt.close(figure)


def draw_fields_of_view() -> plt.Figure:
    """A tissue map goes to the cell patch's frame, and a cell map to the tissue patch's."""
    ratio = OCELOT.cell_size * OCELOT.cell_mpp / (OCELOT.tissue_size * OCELOT.tissue_mpp)
    place = (np.float32([CENTER]), np.float32([ratio]))
    tissue = _cancer(64)
    cropped = np.asarray(alignment.crop_upsample(tissue[None, ..., None], *place, (64, 64)))
    padded = np.asarray(alignment.downsample_pad(cropped, *place, (64, 64)))

    figure, axes = plt.subplot_mosaic('AB\nCB', figsize=(6.2, 6.6), layout='constrained')
    figure.get_layout_engine().set(h_pad=0.12)
    axes = [axes[name] for name in 'ABC']
    titles = (
        'tissue patch, as predicted',
        'crop_upsample: cell patch',
        'downsample_pad: back',
    )
    sides = (
        f'1024 px of 0.8 µm = {1024 * 0.8:.0f} µm',
        f'1024 px of 0.2 µm = {1024 * 0.2:.0f} µm',
        'zero around the cell patch',
    )
    maps = (tissue, cropped[0, ..., 0], padded[0, ..., 0])
    for ax, title, side, values in zip(axes, titles, sides, maps, strict=True):
        colors = mpl.colors.LinearSegmentedColormap.from_list('', ['#f4ece4', '#00802a'])
        ax.imshow(values, cmap=colors, vmin=0, vmax=1, extent=(0, 1, 1, 0))
        ax.set(title=title, xlabel=side, xticks=[], yticks=[])
    corner = np.array(CENTER) - ratio / 2
    for ax in (axes[0], axes[2]):
        ax.add_patch(Rectangle(corner, ratio, ratio, fill=False, edgecolor=RED, linewidth=1.8))
    axes[0].plot(*CENTER, '+', color=RED)
    axes[0].annotate(
        f'256 px wide,\ncenter at\n{CENTER}',
        CENTER,
        (0.54, 0.62),
        va='center',
        color=RED,
        arrowprops={'arrowstyle': '-', 'color': RED, 'linewidth': 0.8},
    )
    plt.setp(axes[1].spines.values(), edgecolor=RED, linewidth=1.8)
    for ax, y in ((axes[0], 0), (axes[2], 1)):
        start = (corner[0] + ratio, corner[1] + y * ratio)
        line = ConnectionPatch(start, (0, y), 'data', 'data', axesA=ax, axesB=axes[1])
        line.set(color=RED, linewidth=0.8, linestyle=':')
        figure.add_artist(line)
    return figure


def _cancer(side: int) -> np.ndarray:
    """Probabilities [side,side] of a cancer area with a wavy border, and of a small nest."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    border = 0.42 + 0.08 * np.sin(9 * y) + 0.03 * np.sin(23 * y + 1)
    nest = np.hypot(x - 0.72, (y - 0.3) * 1.3) - 0.09
    return 1 / (1 + np.exp(np.minimum(x - border, nest) * 60))


def draw_windows() -> plt.Figure:
    """The windows of a small slide, what each owns, and a cell at a seam."""
    width, height, margin = 3400, 1900, 64
    layout = windows.lay_out(width, height, OCELOT.cell_mpp, OCELOT, margin)
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(6.2, 7), height_ratios=(1.3, 1), layout='constrained'
    )
    _draw_layout(above, layout)
    _draw_seam(below, layout)
    return figure


def _draw_layout(ax: plt.Axes, layout: windows.Layout):
    side = OCELOT.cell_size
    xs, ys = layout.x, layout.y
    for row in range(len(ys.origins)):
        for column in range(len(xs.origins)):
            core = (xs.seams[column], ys.seams[row])
            size = (xs.seams[column + 1] - core[0], ys.seams[row + 1] - core[1])
            shade = BLUE if (row + column) % 2 else CREAM
            ax.add_patch(Rectangle(core, *size, facecolor=shade, edgecolor=INK, linestyle='--'))
    window = len(xs.origins) + 1
    x, y = layout.origin(window)
    ax.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor=RED, linewidth=2))
    ax.text(x + side / 2, y + side / 2, 'a cell window\n1024 px of 0.2 µm', color=RED, ha='center')
    x, y = layout.origin(0)
    ax.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor=OCHRE, linewidth=2))
    ax.text(x + 60, y + 160, 'the first window', color=OCHRE)
    ax.text(xs.seams[2] + 60, 420, 'a core: what its\nwindow owns', va='center')
    ax.annotate(
        'seam',
        (xs.seams[1], 420),
        (xs.seams[1] + 260, 420),
        va='center',
        arrowprops={'arrowstyle': '->', 'color': INK},
    )
    ax.set(xlim=(-60, xs.seams[-1] + 60), ylim=(ys.seams[-1] + 60, -60), xticks=[], yticks=[])
    ax.set_aspect('equal')
    ax.set_title(f'a slide of {xs.seams[-1]} x {ys.seams[-1]} px and its windows')
    ax.set_frame_on(False)


# What is told of three cells at a seam; of each, where the left and the right window see it, in
# pixels from the seam, and how sure they are.
_SEEN = {
    'both own it': [(-1.2, 4, 0.9), (1.4, 4.2, 0.7)],
    'none owns it': [(1.3, 12, 0.6), (-1.1, 12, 0.8)],
    'one owns it': [(-3, 20, 0.6), (-2, 20.3, 0.9)],
}


def _draw_seam(ax: plt.Axes, layout: windows.Layout):
    seam, min_distance = layout.x.seams[1], 7
    x, y, scores = np.array([cell for pair in _SEEN.values() for cell in pair]).T
    points = np.float32(np.stack([x + seam, y], -1))
    cells = Cells(points, np.ones(len(points), np.int32), np.float32(scores))
    seen_by = np.tile([0, 1], len(_SEEN))
    stays = seams.resolve(cells, seen_by, layout, min_distance)

    ax.axvspan(-20, 0, color=CREAM)
    ax.axvspan(0, 20, color=BLUE)
    ax.axvline(0, color=INK, linestyle='--')
    colors = np.array([OCHRE, RED])[seen_by]
    ax.scatter(x, y, 70, np.where(stays, colors, 'white'), edgecolors=colors)
    for row, score in enumerate(scores):
        side = 1 if x[row] > x[row ^ 1] else -1
        ax.text(x[row] + 0.8 * side, y[row], score, color=colors[row], va='center', ha='center')
    for number, text in enumerate(_SEEN):
        ax.text(0, y[2 * number] - 2, text, ha='center', backgroundcolor='white')
    ax.set(xlim=(-9, 9), ylim=(23, 0), xticks=[], yticks=[], xlabel='a seam, magnified')
    ax.set_title('seen by the left and by the right window, with scores; filled: stays')


if __name__ == '__main__':
    main()
