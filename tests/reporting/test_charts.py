"""Charts: what is drawn, in colors that a white and a dark page show."""

import base64
import re

import numpy as np
import pytest

from ocelot_jax.metrics.bootstrap import Difference
from ocelot_jax.metrics.intervals import estimate
from ocelot_jax.reporting import charts, experiments

NAMES = [*experiments.TABLE_5, experiments.UNET, experiments.MFOVCE]
LINE = np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.5, 0.4])


def read(picture):
    """An SVG picture as text."""
    kind, _, data = picture.partition(',')
    assert kind == 'data:image/svg+xml;base64'
    return base64.b64decode(data).decode()


def count(text, kind, color):
    """How many shapes have a color as 'fill' or 'stroke'."""
    return len(re.findall(rf'[" ]{kind}: {color}\b', text))


def contrast(color, other):
    """WCAG's contrast of two colors."""

    def luminance(color):
        channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return linear @ (0.2126, 0.7152, 0.0722)

    dark, light = sorted((luminance(color), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_colors_differ_and_are_seen_on_both_pages():
    colors = [charts.color_of(name) for name in [*NAMES, 'any other']]
    assert len(set(colors)) == len(colors)
    for color in colors:
        assert contrast(color, '#ffffff') >= 3
        assert contrast(color, '#12161c') >= 3


def test_variants_have_the_color_of_what_they_vary():
    whole = experiments.FEATURE_SHARING
    for part in (experiments.LABEL_ONLY, experiments.FOV_ONLY):
        assert charts.color_of(experiments.limited(whole, part)) == charts.color_of(whole)
    assert charts.color_of(experiments.UNET) != charts.color_of(experiments.CELL_ONLY)


def test_gains_are_filled_where_they_are_clear():
    clear, unclear = Difference(0.02, 0.01, 0.03, 0.001), Difference(-0.01, -0.03, 0.02, 0.4)
    text = read(charts.draw_gains({'some': {'a': clear, 'b': unclear}, 'more': {'b': clear}}))
    # of the second data set's two dots one is hollow
    for color in ('#2789c4', '#d95f0e'):
        assert count(text, 'fill', color) == 1
        assert count(text, 'stroke', color) >= 2


def test_a_bar_for_each_score():
    bars = [(name, estimate([0.5, 0.6]), None) for name in NAMES]
    text = read(charts.draw_bars(bars))
    for name in NAMES:
        assert count(text, 'fill', charts.color_of(name)) == 1
    assert charts.draw_bars(bars) == charts.draw_bars(bars)  # the same page each time


@pytest.mark.parametrize('repeats', [1, 3])
def test_a_line_for_each_repeat_and_their_mean(repeats):
    text = read(charts.draw_curves({name: [LINE] * repeats for name in NAMES}, ('x', 'y')))
    for name in NAMES:
        drawn = count(text, 'stroke', charts.color_of(name))
        # one of the legend, the mean, and of several repeats each
        assert drawn == 2 + (repeats if repeats > 1 else 0)


def test_means_are_of_what_is_known():
    short = LINE[0][:2], LINE[1][:2] + 0.2
    x, y = charts._mean([LINE, short])
    assert x.tolist() == [1, 2, 3]
    assert y == pytest.approx([0.3, 0.6, 0.4])
