"""Charts of one data set's experiments, as SVG pictures on white."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ocelot_jax.metrics.bootstrap import Difference
from ocelot_jax.metrics.calibration import Reliability
from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting import experiments
from ocelot_jax.viz import palette

# Of experiments; tables have dots of them, on a white page or a dark one.
_COLORS = {
    experiments.CELL_ONLY: '#7a8590',
    'Pred-to-input': '#2789c4',
    'Pred-to-inter-1': '#009067',
    experiments.PRED_INTER_2: '#d95f0e',
    'Pred-to-output': '#b8508a',
    experiments.FEATURE_SHARING: '#3b5bd0',
    experiments.LEAKING: '#8a5a44',
    experiments.UNET: '#a58200',
    experiments.MFOVCE: '#8661cc',
}
_OTHER = '#83796f'
# of data sets
_SERIES = ('#2789c4', '#d95f0e', '#009067', '#b8508a')
_MISSED = '#d5dae1'

# A chart fills a phone, where a point of its text is a little more than a pixel.
_RC: dict[Any, Any] = {
    'font.size': 9,
    'axes.grid': True,
    'axes.axisbelow': True,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'grid.color': '#e2e6eb',
    'legend.frameon': False,
    'legend.fontsize': 8.5,
    'svg.hashsalt': 'report',  # the same page each time
}
_WIDTH = 4.6  # Inches.
_LINES = 2.9  # Inches of height, without the legend.
_LEGEND_ROW = 0.18
_BAR = 0.3
_GAIN = 0.17  # For each data set's line.
_FRAME = 0.55  # Around bars.
_NARROW = 0.06  # A share of a bar that is too narrow for its number.

# x and y of a line
Line = tuple[np.ndarray, np.ndarray]
# an experiment, its score, and the paper's where it has one
Bar = tuple[str, Estimate, Estimate | None]


def color_of(experiment: str) -> str:
    """Finds an experiment's color; variants have that of what they vary."""
    return _COLORS.get(experiment) or _COLORS.get(experiment.rpartition(', ')[0], _OTHER)


def draw_bars(bars: Sequence[Bar]) -> str:
    """Draws scores in percent, the best on top; a diamond marks the paper's.

    Returns:
        The picture as a data URI, as of all charts.
    """
    figure, axes = _new_chart(_FRAME + _BAR * len(bars))
    bars = sorted(bars, key=lambda bar: -bar[1].mean)
    ends = []
    for place, (experiment, ours, paper) in enumerate(bars):
        mean, half = 100 * ours.mean, 100 * (ours.half_width or 0)
        alpha = 1 if _dashes_of(experiment) == '-' else 0.55
        axes.barh(place, mean, 0.66, color=color_of(experiment), alpha=alpha)
        if half:
            # a score is in 0..100, whatever a few repeats' interval says
            interval = [[min(half, mean)], [min(half, 100 - mean)]]
            axes.errorbar(mean, place, xerr=interval, color='black', capsize=2.5, linewidth=1)
        if paper:
            axes.plot(100 * paper.mean, place, 'D', color='none', mec='black', ms=5)
        ends.append(min(100, max(mean + half, 100 * paper.mean + 1 if paper else 0)))
        axes.text(ends[-1] + 1, place, f'{mean:.1f}', va='center')
    _name_bars(axes, [experiment for experiment, *_ in bars])
    axes.set_xlim(0, max(10, 1.14 * max(ends)))
    return _embed(figure)


def draw_gains(gains: Mapping[str, Mapping[str, Difference]]) -> str:
    """Draws differences with their intervals, hollow where these hold zero.

    Args:
        gains: by what gives them, from the top, and by data set; fractions.
    """
    data_sets = list(dict.fromkeys(data for of in gains.values() for data in of))
    row = max(_BAR, _GAIN * len(data_sets))
    labels = 'mF1, percentage points', ''
    figure, axes = _new_chart(_FRAME + row * len(gains), labels, legend=2 * len(data_sets) - 1)
    axes.axvline(0, color='black', linewidth=1)
    for number, data in enumerate(data_sets):
        color = _SERIES[number % len(_SERIES)]
        shift = (number - (len(data_sets) - 1) / 2) * 0.6 / len(data_sets)
        label: str | None = data
        for place, of in enumerate(gains.values()):
            if data not in of:
                continue
            held = of[data]
            value, low, high = 100 * held.value, 100 * held.low, 100 * held.high
            axes.plot([low, high], [place + shift] * 2, color=color, linewidth=1.4, label=label)
            fill = color if held.is_clear else 'white'
            axes.plot(value, place + shift, 'o', color=color, mfc=fill, ms=5)
            label = None
    _name_bars(axes, list(gains))
    return _embed(figure, legend_columns=1)


def draw_curves(
    lines: Mapping[str, Sequence[Line]],
    labels: tuple[str, str],
    marked: Mapping[str, float] | None = None,
) -> str:
    """Draws lines of each experiment: its repeats thin, their mean bold.

    Args:
        lines: by experiment one of each repeat.
        labels: of the x and the y axis.
        marked: by experiment the x of a dot on the mean; repeats then are not drawn.
    """
    figure, axes = _new_chart(_LINES, labels, legend=len(lines))
    if labels[0] == 'epoch':
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for experiment, repeats in lines.items():
        if len(repeats) > 1 and not marked:
            for x, y in repeats:
                axes.plot(x, y, **_style(experiment, linewidth=0.6, alpha=0.45, label=None))
        x, y = _mean(repeats)
        alone = '' if marked or len(x) > 1 else 'o'
        axes.plot(x, y, **_style(experiment, linewidth=2, marker=alone))
        if marked:
            dot = marked[experiment], np.interp(marked[experiment], x, y)
            axes.plot(*dot, 'o', color=color_of(experiment), ms=6)
    return _embed(figure)


def draw_precision_recall(lines: Mapping[str, Line]) -> str:
    """Draws precision against recall in percent; a dot marks all cells that were found."""
    figure, axes = _new_chart(_LINES, ('recall, %', 'precision, %'), legend=len(lines))
    for experiment, (recall, precision) in lines.items():
        axes.plot(100 * recall, 100 * precision, **_style(experiment))
        axes.plot(100 * recall[-1], 100 * precision[-1], 'o', color=color_of(experiment), ms=4)
    # where recall is below a tenth of its end, precision jumps: it is of few cells
    settled = [precision[recall >= recall[-1] / 10] for recall, precision in lines.values()]
    lowest = min(precision.min() for precision in settled)
    axes.set(xlim=(0, 100), ylim=(max(0, 10 * np.floor(10 * lowest) - 10), 102))
    return _embed(figure)


def draw_reliability(held: Mapping[str, Reliability]) -> str:
    """Draws how often cells of a confidence are right, against that confidence.

    The legend has the expected calibration error, percentage points.
    """
    labels = 'confidence, %', 'true cells among them, %'
    figure, axes = _new_chart(_LINES, labels, legend=len(held))
    axes.plot([0, 100], [0, 100], color='gray', linewidth=1, linestyle='--')
    for experiment, of in held.items():
        style = _style(experiment, marker='o', markersize=3)
        style['label'] = f'{experiment}: {100 * of.error:.1f}'
        axes.plot(100 * of.confidence, 100 * of.share, **style)
    axes.set(xlim=(0, 100), ylim=(0, 102))
    return _embed(figure)


def draw_stacks(shares: Mapping[str, Sequence[float]], parts: Sequence[int], unit: str) -> str:
    """Draws a bar for each experiment, stacked of classes found.

    Args:
        shares: by experiment the length of each part, as a fraction.
        parts: the cell class 1..K of each part; 0 for none.
        unit: label of the axis.
    """
    figure, axes = _new_chart(_FRAME + _BAR * len(shares), (unit, ''))
    longest = max(sum(lengths) for lengths in shares.values())
    for place, lengths in enumerate(shares.values()):
        left = 0.0
        for part, length in zip(parts, lengths, strict=True):
            color = palette.cell_color(part) if part else _MISSED
            axes.barh(place, 100 * length, 0.74, 100 * left, color=color)
            if length > _NARROW * longest:
                axes.text(
                    100 * (left + length / 2), place, f'{100 * length:.0f}', fontsize=8,
                    ha='center', va='center', color=palette.ink_on(color),
                )  # fmt: skip
            left += length
    _name_bars(axes, list(shares))
    axes.set_xlim(0, 100 * (longest or 1))
    axes.grid(visible=False)
    return _embed(figure)


def _new_chart(
    height: float, labels: tuple[str, str] = ('', ''), legend: int = 0
) -> tuple[Figure, Axes]:
    """Makes a figure, inches high without its legend of so many lines, with named axes."""
    with matplotlib.rc_context(_RC):
        rows = (legend + 1) // 2
        figure = Figure(figsize=(_WIDTH, height + _LEGEND_ROW * rows), layout='constrained')
        axes = figure.add_subplot(xlabel=labels[0], ylabel=labels[1])
    return figure, axes


def _embed(figure: Figure, legend_columns: int = 2) -> str:
    """Writes a figure as a data URI; lines with labels get a legend below."""
    stream = io.BytesIO()
    with matplotlib.rc_context(_RC):
        handles, labels = figure.axes[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc='outside lower center', ncols=legend_columns)
        figure.savefig(stream, format='svg', metadata={'Date': None})
    return 'data:image/svg+xml;base64,' + base64.b64encode(stream.getvalue()).decode()


def _style(experiment: str, **more: object) -> dict[str, Any]:
    """How an experiment's line is drawn."""
    return {
        'label': experiment,
        'color': color_of(experiment),
        'linestyle': _dashes_of(experiment),
        'linewidth': 1.6,
        **more,
    }


def _dashes_of(experiment: str) -> str:
    """Finds an experiment's line style, which tells variants from what they vary."""
    if experiment.endswith(experiments.LABEL_ONLY):
        return '--'
    return ':' if experiment.endswith(experiments.FOV_ONLY) else '-'


def _name_bars(axes: Axes, names: Sequence[str]) -> None:
    """Names bars at 0, 1, ... from the top on; a long name breaks after its comma."""
    broken = [name.replace(', ', ',\n') if len(name) > 18 else name for name in names]
    axes.set_yticks(range(len(names)), broken, linespacing=0.9)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis='y')
    axes.tick_params(axis='y', length=0)


def _mean(repeats: Sequence[Line]) -> Line:
    """Averages lines where they are known, at all places of any."""
    places = np.unique(np.concatenate([x for x, _ in repeats]))
    values = np.full((len(repeats), len(places)), np.nan)
    for row, (x, y) in zip(values, repeats, strict=True):
        row[np.searchsorted(places, x)] = y
    known = np.isfinite(values).any(axis=0)
    return places[known], np.nanmean(values[:, known], axis=0)
