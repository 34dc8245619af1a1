"""Charts as SVG inside a page: text stays text, and colors follow the page's light or dark."""

import io
import re

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from ocelot_jax.reporting import experiments

# Inches. A chart fills a phone, where a point of its text is a little less than a pixel.
WIDTH = 4.6
FONT = 9

# Stand-ins that become the page's colors; page.html has the values of both themes.
INK, QUIET, GRID, MISSED = '#000001', '#000002', '#000003', '#000004'
_SERIES = {
    experiments.CELL_ONLY: '#000011',
    'Pred-to-input': '#000012',
    'Pred-to-inter-1': '#000013',
    experiments.PRED_INTER_2: '#000014',
    'Pred-to-output': '#000015',
    experiments.FEATURE_SHARING: '#000016',
    experiments.LEAKING: '#000017',
    experiments.UNET: '#000018',
    experiments.MFOVCE: '#000019',
}
_OTHER = '#00001a'
_NAMES = {INK: 'ink', QUIET: 'quiet', GRID: 'grid', MISSED: 'missed', _OTHER: 'series-other'}
_NAMES |= {color: f'series-{number}' for number, color in enumerate(_SERIES.values(), start=1)}


def color_of(experiment: str) -> str:
    """Finds the stand-in for an experiment's color; variants have that of what they vary."""
    if experiment in _SERIES:
        return _SERIES[experiment]
    return _SERIES.get(experiment.rpartition(', ')[0], _OTHER)


def variable_of(experiment: str) -> str:
    """Names the page's variable that holds an experiment's color."""
    return f'--{_NAMES[color_of(experiment)]}'


def dashes_of(experiment: str) -> str:
    """Finds an experiment's line style, which tells variants from what they vary."""
    if experiment.endswith(experiments.LABEL_ONLY):
        return '--'
    return ':' if experiment.endswith(experiments.FOV_ONLY) else '-'


def new_chart(height: float) -> tuple[Figure, Axes]:
    """Makes a figure with axes, as high as given, in inches."""
    with matplotlib.rc_context(_rc('')):
        figure = Figure(figsize=(WIDTH, height), layout='constrained')
        axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def render(figure: Figure, name: str) -> str:
    """Writes a figure as an `<svg>` element that fills its place.

    Args:
        figure: of `new_chart`.
        name: of the chart, of which there is one on the page; keeps its ids apart.
    """
    stream = io.StringIO()
    with matplotlib.rc_context(_rc(name)):
        FigureCanvasSVG(figure).print_svg(stream, metadata={'Date': None})
    text = stream.getvalue()
    text = text[text.index('<svg') :]
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', '<g', text)  # the same in every chart
    text = re.sub(r' (width|height)="[\d.]+pt"', '', text, count=2)
    for stand_in, variable in _NAMES.items():
        text = text.replace(stand_in, f'var(--{variable})')
    return text.strip()


def _rc(name: str) -> dict:
    return {
        'svg.fonttype': 'none',
        'svg.hashsalt': name or None,
        'font.size': FONT,
        'text.color': INK,
        'axes.edgecolor': QUIET,
        'axes.labelcolor': QUIET,
        'axes.facecolor': 'none',
        'figure.facecolor': 'none',
        'xtick.color': QUIET,
        'ytick.color': QUIET,
        'xtick.labelcolor': INK,
        'ytick.labelcolor': INK,
        'grid.color': GRID,
        'grid.linewidth': 0.7,
        'axes.grid': True,
    }
