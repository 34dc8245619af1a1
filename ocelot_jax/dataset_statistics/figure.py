"""The tables' main numbers as one picture."""

import itertools
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ocelot_jax.dataset_statistics.paper import Key
from ocelot_jax.dataset_statistics.tables import UNKNOWN, Row
from ocelot_jax.io import atomic
from ocelot_jax.viz import palette

_SPLITS = {'train': '#4c72b0', 'validation': '#dd8452', 'test': '#55a868'}
_BAR = 0.62
# Places for bars in a panel, so that a single one is no wall.
_MIN_BARS = 4


def write(
    name: str,
    rows: Sequence[Row],
    cell_classes: Sequence[str],
    tissue_classes: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Draws four panels: cells by tissue, tissue by split, pairs by organ, cells by split.

    Bars count distinct patches; black marks are the paper's numbers. The folder must exist.
    """
    held = {row.key: row for row in rows}
    splits = [split for split in _SPLITS if Key('2', 'total', split, 'pairs') in held]
    figure = Figure(figsize=(13, 8), dpi=110, facecolor='white', layout='constrained')
    axes = figure.subplots(2, 2)
    _draw_tissue(axes[0], held, splits, cell_classes, tissue_classes)
    _draw_pairs_by_organ(axes[1, 0], held, splits)
    colors = {name: palette.cell_color(label) for label, name in enumerate(cell_classes, 1)}
    keys = {name: [Key('A.1b', name, split, 'cells') for split in splits] for name in cell_classes}
    _draw_counts(axes[1, 1], held, splits, keys, colors)
    _finish(axes[1, 1], 'Cells by split (Table A.1)', 'cells')
    if any(row.paper is not None for row in rows):
        mark = Line2D([], [], color='black', marker='|', markersize=14, linestyle='none')
        mark.set_markeredgewidth(2.5)
        figure.legend([mark], ["the paper's number"], loc='outside upper right', frameon=False)
    once = any(row.distinct not in (None, row.counted) for row in rows)
    title = f'{name}: cells and pixels of distinct patches' if once else name
    figure.suptitle(title, x=0.01, ha='left', fontsize=14)
    with atomic.replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def _draw_tissue(
    axes: Sequence[Axes],
    held: dict[Key, Row],
    splits: Sequence[str],
    cell_classes: Sequence[str],
    tissue_classes: Sequence[str],
) -> None:
    """Draws shares of the tissue classes: of the cells by class, and of the pixels by split."""
    by_class, by_split = axes
    colors = {name: palette.tissue_color(value) for value, name in enumerate(tissue_classes)}
    colors |= {tissue_classes[0]: palette.BACKGROUND_COLOR, UNKNOWN: palette.UNKNOWN_COLOR}
    names = [*splits, 'all']
    totals = [max(_value(held, Key('A.1a', 'total', name, 'pixels')), 1) for name in names]
    # the last class, which is marked, is stacked from zero on
    cells, pixels = {}, {}
    for tissue in (*reversed(tissue_classes), UNKNOWN):
        keys = [Key('F.1', tissue, 'all', f'% of {name}') for name in cell_classes]
        cells[tissue] = [_value(held, key) for key in keys]
        counts = [_value(held, Key('A.1a', tissue, name, 'pixels')) for name in names]
        pixels[tissue] = [100 * n / total for n, total in zip(counts, totals, strict=True)]
    last = tissue_classes[-1]
    _draw_bars(by_class, cell_classes, cells, colors)
    for place, name in enumerate(cell_classes):
        _mark(by_class, place, [_paper(held, Key('3', name, 'all', f'% in {last}'))])
    _finish(by_class, 'Cells of each class by tissue class (Table 3)', '% of the cells')
    _draw_bars(by_split, names, pixels, colors)
    for place, name in enumerate(names):
        _mark(by_split, place, [_paper(held, Key('4', last, name, '% of pixels'))])
    _finish(by_split, 'Tissue by split (Tables 4, A.1)', '% of the pixels')


def _draw_pairs_by_organ(axes: Axes, held: dict[Key, Row], splits: Sequence[str]) -> None:
    organs = [*dict.fromkeys(key.item for key in held if key.table == '2')]
    organs.remove('total')
    keys = {split: [Key('2', organ, split, 'pairs') for organ in organs] for split in splits}
    ends = _draw_counts(axes, held, organs, keys, _SPLITS)
    for place, organ in enumerate(organs):
        slides = held[Key('2', organ, 'all', 'slides')].counted
        axes.annotate(
            f'{slides} slide{"s" * (slides != 1)}', (ends[place], place), (6, 0),
            textcoords='offset points', va='center', fontsize=9,
        )  # fmt: skip
    _finish(axes, 'Pairs and slides by organ (Table 2)', 'pairs', room=1.17)


def _draw_counts(
    axes: Axes,
    held: dict[Key, Row],
    names: Sequence[str],
    keys: dict[str, list[Key]],
    colors: dict[str, str],
) -> np.ndarray:
    """Draws bars stacked of counts, and the paper's sums where all are known; gives the ends."""
    parts = {part: [_value(held, key) for key in of_part] for part, of_part in keys.items()}
    ends = _draw_bars(axes, names, parts, colors)
    for place in range(len(names)):
        paper = [held[of_part[place]].paper for of_part in keys.values()]
        known = [value for value in paper if value is not None]
        _mark(axes, place, [*itertools.accumulate(known)] if len(known) == len(paper) else [])
    return ends


def _draw_bars(
    axes: Axes, names: Sequence[str], parts: dict[str, list[float]], colors: dict[str, str]
) -> np.ndarray:
    """Draws a bar for each name, stacked of its parts, in order from the top; gives the ends."""
    left, longest = (
        np.zeros(len(names)),
        max(map(sum, zip(*parts.values(), strict=True)), default=0),
    )
    for part, values in parts.items():
        bars = axes.barh(range(len(names)), values, _BAR, left, color=colors[part], label=part)
        shown = [f'{value:,.0f}' if value > 0.07 * longest else '' for value in values]
        dark = np.dot(to_rgb(colors[part]), (0.3, 0.6, 0.1)) < 0.45
        axes.bar_label(bars, shown, label_type='center', color='white' if dark else 'black')
        left += values
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(names), _MIN_BARS) - 0.5, -0.5)
    axes.spines[['top', 'right']].set_visible(False)
    if parts:
        axes.legend(frameon=False, loc='upper left', bbox_to_anchor=(1, 1))
    return left


def _finish(axes: Axes, title: str, unit: str, room: float = 1.03) -> None:
    axes.set(title=title, xlabel=unit, xlim=(0, room * max(axes.dataLim.x1, 1)))


def _mark(axes: Axes, place: int, values: Sequence[float | None]) -> None:
    known = [value for value in values if value is not None]
    axes.vlines(known, place - _BAR / 2 - 0.08, place + _BAR / 2 + 0.08, 'black', linewidth=2.5)


def _paper(held: dict[Key, Row], key: Key) -> float | None:
    """The paper's number; None where there is none, as of the background alone."""
    return held[key].paper if key in held else None


def _value(held: dict[Key, Row], key: Key) -> float:
    row = held[key]
    return (row.counted if row.distinct is None else row.distinct) or 0
