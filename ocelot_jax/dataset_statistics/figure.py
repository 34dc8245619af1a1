"""The tables' main numbers as one picture."""

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
):
    """Draws four panels: cells by tissue, tissue by split, pairs by organ, cells by split.

    Bars count distinct patches; black marks are the paper's numbers.

    Args:
        name: of the data set.
        rows: of `statistics_tables.tabulate`.
        cell_classes: names of the cell classes.
        tissue_classes: names of the tissue classes.
        path: the PNG to write; its folder must exist.
    """
    held = {row.key: row for row in rows}
    splits = [split for split in _SPLITS if Key('2', 'total', split, 'pairs') in held]
    figure = Figure(figsize=(13, 8), dpi=110, facecolor='white', layout='constrained')
    axes = figure.subplots(2, 2)
    _draw_cells_by_tissue(axes[0, 0], held, cell_classes, tissue_classes)
    _draw_tissue_by_split(axes[0, 1], held, splits, tissue_classes)
    _draw_pairs_by_organ(axes[1, 0], held, splits)
    _draw_cells_by_split(axes[1, 1], held, splits, cell_classes)
    if any(row.paper is not None for row in rows):
        mark = Line2D([], [], color='black', marker='|', markersize=14, linestyle='none')
        mark.set_markeredgewidth(2.5)
        figure.legend([mark], ["the paper's number"], loc='outside upper right', frameon=False)
    once = any(row.distinct not in (None, row.counted) for row in rows)
    title = f'{name}: cells and pixels of distinct patches' if once else name
    figure.suptitle(title, x=0.01, ha='left', fontsize=14)
    with atomic.replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def _draw_cells_by_tissue(
    axes: Axes, held: dict[Key, Row], cell_classes: Sequence[str], tissue_classes: Sequence[str]
):
    parts = {
        tissue: [_value(held, Key('F.1', tissue, 'all', f'% of {name}')) for name in cell_classes]
        for tissue in _stacked(tissue_classes)
    }
    _draw_bars(axes, cell_classes, parts, _tissue_colors(tissue_classes))
    for place, name in enumerate(cell_classes):
        _mark(axes, place, [_paper(held, Key('3', name, 'all', f'% in {tissue_classes[-1]}'))])
    _finish(axes, 'Cells of each class by tissue class (Table 3)', '% of the cells')


def _draw_tissue_by_split(
    axes: Axes, held: dict[Key, Row], splits: Sequence[str], tissue_classes: Sequence[str]
):
    names = [*splits, 'all']
    totals = [_value(held, Key('A.1a', 'total', name, 'pixels')) for name in names]
    parts = {
        tissue: [
            100 * _value(held, Key('A.1a', tissue, name, 'pixels')) / max(total, 1)
            for name, total in zip(names, totals, strict=True)
        ]
        for tissue in _stacked(tissue_classes)
    }
    _draw_bars(axes, names, parts, _tissue_colors(tissue_classes))
    for place, name in enumerate(names):
        _mark(axes, place, [_paper(held, Key('4', tissue_classes[-1], name, '% of pixels'))])
    _finish(axes, 'Tissue by split (Tables 4, A.1)', '% of the pixels')


def _draw_pairs_by_organ(axes: Axes, held: dict[Key, Row], splits: Sequence[str]):
    organs = [*dict.fromkeys(key.item for key in held if key.table == '2')]
    organs.remove('total')
    keys = {split: [Key('2', organ, split, 'pairs') for organ in organs] for split in splits}
    parts = {split: [_value(held, key) for key in held_keys] for split, held_keys in keys.items()}
    _draw_bars(axes, organs, parts, _SPLITS)
    for place, organ in enumerate(organs):
        _mark(axes, place, _running(_paper(held, keys[split][place]) for split in splits))
        slides = held[Key('2', organ, 'all', 'slides')].counted
        end = sum(values[place] for values in parts.values())
        axes.annotate(
            f'{slides} slide{"s" * (slides != 1)}', (end, place), (6, 0),
            textcoords='offset points', va='center', fontsize=9,
        )  # fmt: skip
    _finish(axes, 'Pairs and slides by organ (Table 2)', 'pairs', room=1.17)


def _draw_cells_by_split(
    axes: Axes, held: dict[Key, Row], splits: Sequence[str], cell_classes: Sequence[str]
):
    keys = {name: [Key('A.1b', name, split, 'cells') for split in splits] for name in cell_classes}
    parts = {name: [_value(held, key) for key in held_keys] for name, held_keys in keys.items()}
    colors = {name: palette.cell_color(label) for label, name in enumerate(cell_classes, 1)}
    _draw_bars(axes, splits, parts, colors)
    for place in range(len(splits)):
        _mark(axes, place, _running(_paper(held, keys[name][place]) for name in cell_classes))
    _finish(axes, 'Cells by split (Table A.1)', 'cells')


def _draw_bars(
    axes: Axes, names: Sequence[str], parts: dict[str, list[float]], colors: dict[str, str]
):
    """Draws a bar for each name, stacked of its parts; bars stand in order from the top."""
    left, longest = np.zeros(len(names)), np.sum(list(parts.values()), axis=0).max()
    for part, values in parts.items():
        bars = axes.barh(range(len(names)), values, _BAR, left, color=colors[part], label=part)
        shown = [f'{value:,.0f}' if value > 0.07 * longest else '' for value in values]
        dark = np.dot(to_rgb(colors[part]), (0.3, 0.6, 0.1)) < 0.45
        axes.bar_label(bars, shown, label_type='center', color='white' if dark else 'black')
        left += values
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(names), _MIN_BARS) - 0.5, -0.5)
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False, loc='upper left', bbox_to_anchor=(1, 1))


def _finish(axes: Axes, title: str, unit: str, room: float = 1.03):
    axes.set(title=title, xlabel=unit, xlim=(0, room * max(axes.dataLim.x1, 1)))


def _mark(axes: Axes, place: int, values: Sequence[float | None]):
    known = [value for value in values if value is not None]
    axes.vlines(known, place - _BAR / 2 - 0.08, place + _BAR / 2 + 0.08, 'black', linewidth=2.5)


def _running(values) -> list[float]:
    """Sums up to each value, as stacked bars do; nothing where one is not known."""
    values = list(values)
    return [] if None in values else np.cumsum(values).tolist()


def _stacked(tissue_classes: Sequence[str]) -> list[str]:
    """Orders tissue classes as they are stacked: the last, which is marked, from zero on."""
    return [*reversed(tissue_classes), UNKNOWN]


def _tissue_colors(tissue_classes: Sequence[str]) -> dict[str, str]:
    background, *others = tissue_classes
    colors = {name: palette.tissue_color(value) for value, name in enumerate(others, 1)}
    return colors | {background: palette.BACKGROUND_COLOR, UNKNOWN: palette.UNKNOWN_COLOR}


def _value(held: dict[Key, Row], key: Key) -> float:
    row = held[key]
    return (row.counted if row.distinct is None else row.distinct) or 0


def _paper(held: dict[Key, Row], key: Key) -> float | None:
    return held[key].paper
