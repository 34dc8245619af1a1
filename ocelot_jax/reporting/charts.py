"""Charts of one data set's experiments; each says one thing."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy import optimize

from ocelot_jax.metrics.calibration import Reliability
from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting import svg
from ocelot_jax.reporting.svg import INK, MISSED, QUIET
from ocelot_jax.viz import palette

_LINES = 3.1  # Inches of height.
_BAR = 0.3  # Of a bar, inches.
_FRAME = 0.55  # Around bars.
_LABEL_GAP = 0.056  # Between labels, of the axes' height.
_NARROW = 0.06  # A share of a bar that is too narrow for its number.

# x and y of a line
Line = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Bar:
    """A score with its interval.

    Attributes:
        experiment: whose it is.
        ours: of the runs.
        paper: the paper's; None where it has none.
    """

    experiment: str
    ours: Estimate
    paper: Estimate | None


def draw_bars(bars: Sequence[Bar], name: str) -> str:
    """Draws scores in percent, the best on top; a diamond marks the paper's.

    Args:
        bars: at least one.
        name: of the chart.

    Returns:
        An `<svg>` element, as all charts.
    """
    figure, axes = svg.new_chart(_FRAME + _BAR * len(bars))
    bars = sorted(bars, key=lambda bar: -bar.ours.mean)
    ends = []
    for place, bar in enumerate(bars):
        mean, half = 100 * bar.ours.mean, 100 * (bar.ours.half_width or 0)
        solid = svg.dashes_of(bar.experiment) == '-'
        color = svg.color_of(bar.experiment)
        axes.barh(place, mean, 0.66, color=color, alpha=1 if solid else 0.55)
        if half:
            # a score is in 0..100, whatever a few repeats' interval says
            ends_at = [[min(half, mean)], [min(half, 100 - mean)]]
            axes.errorbar(mean, place, xerr=ends_at, color=INK, capsize=2.5, linewidth=1)
        if bar.paper:
            axes.plot(100 * bar.paper.mean, place, 'D', color='none', mec=INK, mew=1.1, ms=5)
        ends.append(min(100, max(mean + half, 100 * bar.paper.mean + 1 if bar.paper else 0)))
        axes.annotate(
            f'{mean:.1f}',
            (ends[-1], place),
            (4, 0),
            textcoords='offset points',
            va='center',
            color=INK,
            fontsize=svg.FONT,
        )
    axes.set_yticks(range(len(bars)), [_broken(bar.experiment) for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, max(10, 1.14 * max(ends)))
    axes.grid(visible=False, axis='y')
    axes.tick_params(axis='y', length=0)
    return svg.render(figure, name)


def draw_curves(lines: Mapping[str, Sequence[Line]], labels: tuple[str, str], name: str) -> str:
    """Draws lines of each experiment: its repeats thin, their mean bold.

    Args:
        lines: by experiment one of each repeat.
        labels: of the x and the y axis.
        name: of the chart.
    """
    figure, axes = svg.new_chart(_LINES)
    ends = {}
    for experiment, repeats in lines.items():
        style = {'color': svg.color_of(experiment), 'linestyle': svg.dashes_of(experiment)}
        if len(repeats) > 1:
            for x, y in repeats:
                axes.plot(x, y, linewidth=0.6, alpha=0.45, **style)
        x, y = _mean(repeats)
        axes.plot(x, y, linewidth=2, marker='' if len(x) > 1 else 'o', **style)
        ends[experiment] = (x[-1], y[-1])
    _finish_lines(axes, labels, ends)
    return svg.render(figure, name)


def draw_thresholds(
    lines: Mapping[str, Sequence[Line]], chosen: Mapping[str, Sequence[float]], name: str
) -> str:
    """Draws mF1 in percent against the detection threshold; dots mark the ones chosen.

    Args:
        lines: by experiment one of each repeat.
        chosen: by experiment the threshold of each repeat.
        name: of the chart.
    """
    figure, axes = svg.new_chart(_LINES)
    ends = {}
    for experiment, repeats in lines.items():
        color = svg.color_of(experiment)
        x, y = _mean(repeats)
        axes.plot(x, y, linewidth=2, color=color, linestyle=svg.dashes_of(experiment))
        marked = np.mean(chosen[experiment])
        axes.plot(marked, np.interp(marked, x, y), 'o', color=color, ms=6)
        ends[experiment] = (x[-1], y[-1])
    _finish_lines(axes, ('threshold of confidence', 'mF1, %'), ends)
    return svg.render(figure, name)


def draw_precision_recall(lines: Mapping[str, Line], name: str) -> str:
    """Draws precision against recall in percent; a dot marks all cells that were found.

    Args:
        lines: recall and precision by experiment.
        name: of the chart.
    """
    figure, axes = svg.new_chart(_LINES)
    for experiment, (recall, precision) in lines.items():
        style = {'color': svg.color_of(experiment), 'linestyle': svg.dashes_of(experiment)}
        axes.plot(100 * recall, 100 * precision, linewidth=1.6, **style)
        axes.plot(100 * recall[-1], 100 * precision[-1], 'o', color=style['color'], ms=4)
    ends = {experiment: (100 * r[-1], 100 * p[-1]) for experiment, (r, p) in lines.items()}
    lowest = min(precision.min() for precision in _settled(lines))
    axes.set(xlim=(0, 100), ylim=(max(0, 10 * np.floor(10 * lowest) - 10), 102))
    _finish_lines(axes, ('recall, %', 'precision, %'), ends)
    return svg.render(figure, name)


def draw_reliability(held: Mapping[str, Reliability], name: str) -> str:
    """Draws how often cells of a confidence are right, against that confidence.

    Args:
        held: by experiment.
        name: of the chart.
    """
    figure, axes = svg.new_chart(_LINES)
    axes.plot([0, 100], [0, 100], color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    ends, told = {}, {}
    for experiment, of in held.items():
        style = {'color': svg.color_of(experiment), 'linestyle': svg.dashes_of(experiment)}
        x, y = 100 * of.confidence, 100 * of.share
        axes.plot(x, y, linewidth=1.6, marker='o', markersize=3, **style)
        ends[experiment] = (x[-1], y[-1])
        told[experiment] = f'{experiment} {100 * of.error:.1f}'
    axes.set(xlim=(0, 100), ylim=(0, 102))
    _finish_lines(axes, ('confidence, %', 'true cells among them, %'), ends, told)
    return svg.render(figure, name)


def draw_stacks(
    shares: Mapping[str, Sequence[float]], parts: Sequence[int], unit: str, name: str
) -> str:
    """Draws a bar for each experiment, stacked of classes found.

    Args:
        shares: by experiment the height of each part, as a fraction.
        parts: the cell class 1..K of each part; 0 for none.
        unit: label of the axis.
        name: of the chart.
    """
    figure, axes = svg.new_chart(_FRAME + _BAR * len(shares))
    longest = max(sum(heights) for heights in shares.values())
    for place, heights in enumerate(shares.values()):
        left = 0.0
        for part, height in zip(parts, heights, strict=True):
            axes.barh(place, 100 * height, 0.74, 100 * left, color=_part_color(part))
            if height > _NARROW * longest:
                text = axes.text(100 * (left + height / 2), place, f'{100 * height:.0f}')
                text.set(ha='center', va='center', color=_text_color(part), fontsize=svg.FONT - 1)
            left += height
    axes.set_yticks(
        range(len(shares)), [_broken(experiment) for experiment in shares], linespacing=0.9
    )
    axes.set_ylim(len(shares) - 0.4, -0.6)
    axes.set(xlabel=unit, xlim=(0, 100 * (longest or 1)))
    axes.grid(visible=False)
    axes.tick_params(axis='y', length=0)
    return svg.render(figure, name)


def _settled(lines: Mapping[str, Line]) -> list[np.ndarray]:
    """Precision where recall is above a tenth of its end: of few cells it jumps."""
    return [precision[recall >= recall[-1] / 10] for recall, precision in lines.values()]


def _mean(repeats: Sequence[Line]) -> Line:
    """Averages lines where they are known, at all places of any."""
    places = np.unique(np.concatenate([x for x, _ in repeats]))
    values = np.full((len(repeats), len(places)), np.nan)
    for row, (x, y) in zip(values, repeats, strict=True):
        row[np.searchsorted(places, x)] = y
    known = np.isfinite(values).any(axis=0)
    return places[known], np.nanmean(values[:, known], axis=0)


def _finish_lines(
    axes: Axes,
    labels: tuple[str, str],
    ends: Mapping[str, tuple[float, float]],
    told: Mapping[str, str] | None = None,
):
    """Labels axes, and lines at their right ends, where labels keep apart from each other."""
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.margins(x=0.02)
    low, high = axes.get_ylim()
    names = sorted(ends, key=lambda name: ends[name][1])
    texts = [_broken((told or {}).get(name, name)) for name in names]
    sizes = np.array([_LABEL_GAP * (1 + text.count('\n')) for text in texts])
    wanted = np.array([(ends[name][1] - low) / (high - low) for name in names])
    for name, text, place in zip(names, texts, _spread(wanted, sizes), strict=True):
        axes.annotate(
            text,
            ends[name],
            (1.04, place),
            textcoords='axes fraction',
            va='center',
            color=svg.color_of(name),
            fontsize=svg.FONT - 0.5,
            linespacing=1.0,
            annotation_clip=False,
            arrowprops={
                'arrowstyle': '-', 'color': svg.color_of(name), 'linewidth': 0.5,
                'shrinkA': 0, 'shrinkB': 2, 'relpos': (0, 0.5), 'alpha': 0.7,
            },
        )  # fmt: skip


def _spread(wanted: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Moves places apart so that intervals around them do not overlap, inside 0..1.

    Args:
        wanted: [n] places in rising order.
        sizes: [n] lengths of the intervals.
    """
    gaps = np.concatenate([[0], np.cumsum((sizes[1:] + sizes[:-1]) / 2)])
    # Least squares under "no overlap" is isotonic regression of what is left without the gaps.
    left = optimize.isotonic_regression(wanted - gaps).x
    return np.clip(left, 0, 1 - gaps[-1]) + gaps


def _broken(name: str) -> str:
    """Breaks a long name after its comma."""
    return name.replace(', ', ',\n') if len(name) > 18 else name


def _part_color(part: int) -> str:
    return palette.cell_color(part) if part else MISSED


def _text_color(part: int) -> str:
    if not part:
        return INK
    red, green, blue = (int(palette.cell_color(part)[i : i + 2], 16) for i in (1, 3, 5))
    return 'white' if 0.3 * red + 0.6 * green + 0.1 * blue < 128 else 'black'
