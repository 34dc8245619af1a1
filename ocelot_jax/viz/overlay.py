"""Pictures of predictions over their pairs, in the colors of the paper's Figures 2 and 6."""

import dataclasses
import functools
import math
import os
from collections.abc import Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerPatch
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Rectangle
from PIL import Image

from ocelot_jax.io import atomic
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.metrics.matching import Match
from ocelot_jax.viz import palette

_DPI = 100
_PANEL = 7.2  # Inches a side of a patch.
_GAP = 0.15
_TITLE = 0.35
_LEGEND = 0.8
_UNKNOWN = 255

_BOX_COLOR = '#ff1414'  # of the cell patch, red
_LINE = 2.0
_DASHES = (0, (2, 1.5))
_FILL = 0.14


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The cells of one patch by what the score makes of them.

    Attributes:
        matched: predictions that took a ground-truth cell.
        missed: ground-truth cells that no prediction took.
        false: predictions that took none.
    """

    matched: Cells
    missed: Cells
    false: Cells


def judge(match: Match, found: Cells, true: Cells) -> Verdict:
    """Sorts predictions and ground-truth cells of a patch by `matching.match_cells` of both."""
    taken = match.pred_to_true >= 0
    return Verdict(matched=found[taken], missed=true[match.true_to_pred < 0], false=found[~taken])


def draw_pair(
    *,
    title: str,
    cell_image: np.ndarray,
    tissue_image: np.ndarray,
    tissue_mask: np.ndarray,
    tissue_pred: np.ndarray | None,
    center: Sequence[float],
    fov_ratio: float,
    verdict: Verdict | Cells,
    radius: float,
    cell_classes: Sequence[str],
) -> np.ndarray:
    """Draws one pair: the tissue patch with its classes, the cell patch with its cells.

    Args:
        title: what to write above the tissue patch, such as the pair's id and organ.
        cell_image: [H, W, 3] uint8.
        tissue_image: [h, w, 3] uint8.
        tissue_mask: [h, w] uint8, the true tissue class, 255 unknown. Class 0 is not outlined.
        tissue_pred: [h, w] integers, the predicted tissue class; None where none is predicted.
        center: relative center (c_x, c_y) of the cell patch in the tissue patch.
        fov_ratio: side of the cell patch over that of the tissue patch, both in micrometres.
        verdict: the cells; where none are predicted, those that are annotated.
        radius: of the circles, in pixels of the cell patch; the match distance tells most.
        cell_classes: names of the labels 1, 2, ...

    Returns:
        [rows, columns, 3] uint8, of one size whatever the patches' sizes.
    """
    width, height = 2 * _PANEL + 3 * _GAP, _PANEL + _TITLE + _GAP
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor='white')
    left, right = (
        figure.add_axes((start / width, _GAP / height, _PANEL / width, _PANEL / height))
        for start in (_GAP, _PANEL + 2 * _GAP)
    )
    _show(left, tissue_image, title)
    _draw_tissue(left, tissue_mask, tissue_pred)
    _draw_box(left, tissue_image.shape, center, fov_ratio)
    _show(right, cell_image, _summary(verdict, cell_classes))
    for spine in right.spines.values():
        spine.set(visible=True, color=_BOX_COLOR, linewidth=_LINE)
    _draw_cells(right, verdict if isinstance(verdict, Verdict) else _unjudged(verdict), radius)
    return _render(figure)


def draw_found(image: np.ndarray, cells: Cells, radius: float) -> np.ndarray:
    """Draws a circle around each cell that was found, where no truth is known.

    Args:
        image: [h, w, 3] uint8.
        cells: in pixels of the image.
        radius: of the circles, in pixels of the image.

    Returns:
        [H, W, 3] uint8, the image enlarged by a whole number to 720 px a side or more.
    """
    height, width = image.shape[:2]
    zoom = math.ceil(_DPI * _PANEL / max(height, width))
    figure = Figure(figsize=(zoom * width / _DPI, zoom * height / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    _show(axes, image, '')
    _draw_cells(axes, _unjudged(cells), radius)
    return _render(figure)


def draw_legend(
    cell_classes: Sequence[str], tissue_classes: Sequence[str], predicted: bool = True
) -> np.ndarray:
    """Draws the legend of `draw_pair`'s pictures, as wide as they are: [rows, columns, 3] uint8.

    The names are of the labels 1, 2, ... and of the tissue classes 0, 1, ...; without anything
    predicted the marks of what became of it are left out.
    """
    figure = Figure(figsize=(2 * _PANEL + 3 * _GAP, _LEGEND), dpi=_DPI, facecolor='white')
    box = Patch(fill=False, edgecolor=_BOX_COLOR, linewidth=_LINE)
    tissue: dict[str, Artist] = {'cell patch': box}
    for value, name in enumerate(tissue_classes[1:], start=1):
        color = palette.tissue_color(value)
        if predicted:
            tissue[f'{name} predicted'] = Patch(
                facecolor=to_rgba(color, _FILL), edgecolor=color, linewidth=_LINE
            )
        label = f'{name} true' if predicted else name
        tissue[label] = Line2D([], [], color=color, linestyle='--', linewidth=_LINE)
    tissue['unknown'] = Patch(facecolor='white', edgecolor='gray', hatch='///')
    cells: dict[str, Artist] = {
        name: Patch(facecolor=palette.cell_color(label), edgecolor='black', linewidth=0.5)
        for label, name in enumerate(cell_classes, start=1)
    }
    if predicted:
        cells |= _legend_of_verdicts()
    for entries, place in ((tissue, 0.25), (cells, 0.75)):
        figure.legend(
            list(entries.values()),
            list(entries),
            loc='center',
            bbox_to_anchor=(place, 0.5),
            ncols=len(entries),
            frameon=False,
            fontsize=12,
            handler_map={Circle: HandlerPatch(patch_func=_legend_circle)},
        )
    return _render(figure)


def write_page(pictures: Sequence[np.ndarray], path: str | os.PathLike[str]) -> None:
    """Writes pictures [rows, columns, 3] uint8 of one width below each other as one PNG.

    It appears whole or not at all; its folder must exist.
    """
    with atomic.replacing(path) as temporary:
        Image.fromarray(np.concatenate(list(pictures))).save(temporary, format='PNG')


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, interpolation='bilinear')
    axes.set_title(title, fontsize=12, loc='left')
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_tissue(axes: Axes, true: np.ndarray, pred: np.ndarray | None) -> None:
    """Fills what is predicted, outlines both; hatches what nobody knows."""
    if np.any(true == _UNKNOWN):
        unknown = axes.contourf(true == _UNKNOWN, [0.5, 1.5], colors='none', hatches=['//'])
        unknown.set(edgecolor='#505050', linewidth=0)
    known = [mask[mask != _UNKNOWN] for mask in (true, pred) if mask is not None]
    highest = int(np.concatenate(known, dtype=np.int64).max(initial=0))
    for label in range(1, highest + 1):
        color = palette.tissue_color(label)
        if pred is not None:
            _outline(axes, pred == label, color, 'solid', fill=_FILL)
        _outline(axes, true == label, color, 'dashed')


def _outline(axes: Axes, region: np.ndarray, color: str, style: str, fill: float = 0.0) -> None:
    if not region.any():
        return
    # A rim of nothing closes the outline at the border of the patch.
    rimmed = np.pad(region.astype(np.float32), 1)
    ticks = [np.arange(-1, size - 1) for size in rimmed.shape[::-1]]
    if fill:
        axes.contourf(*ticks, rimmed, levels=[0.5, 1.5], colors=[color], alpha=fill)
    lines = axes.contour(
        *ticks, rimmed, levels=[0.5], colors=[color], linestyles=[style], linewidths=[_LINE]
    )
    lines.set_path_effects(_halo('black'))


def _draw_box(
    axes: Axes, shape: tuple[int, ...], center: Sequence[float], fov_ratio: float
) -> None:
    size = np.array(shape[1::-1])
    # Pixel centers are at integers, so the patch begins at -0.5.
    x, y = size * (np.asarray(center) - fov_ratio / 2) - 0.5
    width, height = size * fov_ratio
    box = Rectangle((x, y), width, height, fill=False, edgecolor=_BOX_COLOR, clip_on=False)
    box.set(linewidth=_LINE + 0.5, zorder=5)
    axes.add_patch(box)


def _draw_cells(axes: Axes, verdict: Verdict, radius: float) -> None:
    for marks, style in ((verdict.matched, 'solid'), (verdict.missed, (0, (2, 1.5)))):
        for label in np.unique(marks.labels):
            points = marks.points[marks.labels == label]
            circles = EllipseCollection(
                2 * radius,
                2 * radius,
                0,
                units='xy',
                offsets=points,
                offset_transform=axes.transData,
                facecolors='none',
                edgecolors=palette.cell_color(label),
                linewidths=_LINE,
                linestyles=[style],
                path_effects=_halo(palette.ink_on(palette.cell_color(label))),
            )
            axes.add_collection(circles, autolim=False)
    arm = 0.6 * radius * np.array([[[-1, -1], [1, 1]], [[-1, 1], [1, -1]]])
    for label in np.unique(verdict.false.labels):
        points = verdict.false.points[verdict.false.labels == label]
        crosses = LineCollection(
            (points[:, None, None] + arm).reshape(-1, 2, 2),
            colors=palette.cell_color(label),
            linewidths=_LINE,
            path_effects=_halo(palette.ink_on(palette.cell_color(label))),
        )
        axes.add_collection(crosses, autolim=False)


def _legend_of_verdicts() -> dict[str, Artist]:
    ring = functools.partial(Circle, (0, 0), fill=False, edgecolor='#303030', linewidth=_LINE)
    cross = Line2D([], [], color='#303030', linestyle='none', marker='x', markersize=11)
    cross.set_markeredgewidth(_LINE)
    return {'matched': ring(), 'missed': ring(linestyle=_DASHES), 'false': cross}


def _legend_circle(width: float, height: float, **_: object) -> Circle:
    """Makes a legend's circle round, which the default stretches to the entry's width."""
    return Circle((width / 2, height / 2), 0.6 * height)


def _unjudged(cells: Cells) -> Verdict:
    none = Cells.concatenate([])
    return Verdict(matched=cells, missed=none, false=none)


def _summary(verdict: Verdict | Cells, cell_classes: Sequence[str]) -> str:
    if isinstance(verdict, Cells):
        return '   '.join(f'{name}: {verdict.count(i)}' for i, name in enumerate(cell_classes, 1))
    counts = lambda label: ', '.join(
        f'{c.count(label)} {kind}' for kind, c in vars(verdict).items()
    )
    return '   '.join(f'{name}: {counts(label)}' for label, name in enumerate(cell_classes, 1))


def _halo(color: str) -> list[patheffects.AbstractPathEffect]:
    """Sets dark colors off from dark nuclei with white, light ones with black."""
    return [patheffects.withStroke(linewidth=_LINE + 1.5, foreground=color)]


def _render(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
