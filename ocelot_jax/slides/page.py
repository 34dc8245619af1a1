"""One page a slide, as a pathologist reads it: a single HTML file that needs no other."""

import base64
import dataclasses
import importlib.resources
import io
import os
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import jinja2
import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from ocelot_jax.io import atomic
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides import maps
from ocelot_jax.slides.result import Sample, SlideResult
from ocelot_jax.slides.summary import Summary
from ocelot_jax.viz import palette

# What the classes of OCELOT are called in full.
_IN_FULL = {
    'BC': 'background cells',
    'TC': 'tumor cells',
    'BG': 'other tissue',
    'CA': 'cancer area',
}
_BAR_SHARE = 0.3  # Of a picture's width, at most, is the scale bar.
_SAMPLE = 720  # Pixels a side.
_QUALITY = 85


class Mark(NamedTuple):
    """A word on a picture: what it names, the word, its place in percent of width and height."""

    kind: str
    text: str
    left: float
    top: float


class Bar(NamedTuple):
    """A scale bar: its length in words, and in percent of the picture's width."""

    text: str
    percent: float


class Picture(NamedTuple):
    """A picture as a data URI, its size in pixels, what it shows, its scale, words on it."""

    source: str
    width: int
    height: int
    alt: str
    bar: Bar
    marks: tuple[Mark, ...] = ()


class Scale(NamedTuple):
    """What the colors of a map mean: CSS colors from `low` to `high`."""

    colors: str
    low: str
    high: str


def write(
    result: SlideResult,
    summary: Summary,
    overlays: Sequence[np.ndarray],
    path: str | os.PathLike[str],
) -> None:
    """Writes the page of a slide; it appears whole or not at all.

    Args:
        result: what was found.
        summary: of the same slide.
        overlays: a picture with cells for each of `result.samples`.
        path: the HTML to write; its folder must exist.
    """
    tumor, among = result.purity_classes or (None, ())
    text = _template().render(
        result=result,
        summary=summary,
        tumor=tumor,
        among=among,
        counted=sum(summary.slide.cells[name] for name in among),
        size_mm=[size * result.mpp / 1000 for size in (result.width, result.height)],
        outline=_draw_outline(result, summary),
        tissue=_draw_tissue(result),
        grid_maps=_draw_grid(result),
        samples=[
            _describe(result, sample, letter, picture)
            for sample, letter, picture in zip(
                result.samples, letters(result), overlays, strict=True
            )
        ],
        cell_color={
            name: palette.cell_color(label)
            for label, name in enumerate(result.cell_classes, start=1)
        },
        tissue_color={
            name: palette.tissue_color(value)
            for value, name in enumerate(result.tissue_classes)
            if value > 0
        },
        in_full=lambda name: _IN_FULL.get(name, name),
    )
    atomic.write_text(path, text)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters['percent'] = lambda v: 'unknown' if v is None else f'{100 * v:.1f}%'
    environment.filters['count'] = lambda v: f'{v:,.0f}'
    environment.filters['density'] = lambda v: 'unknown' if v is None else f'{v:,.0f}'
    environment.filters['area'] = lambda v: f'{v:,.2f}' if v < 100 else f'{v:,.0f}'
    source = importlib.resources.files('ocelot_jax.slides') / 'page.html'
    return environment.from_string(source.read_text('utf-8'))


def _draw_outline(result: SlideResult, summary: Summary) -> Picture:
    size = np.array([result.width, result.height]) * result.mpp
    anchors = 100 * summary.regions.anchors() / size
    marks = [Mark('region', str(n), *place) for n, place in enumerate(anchors.tolist(), start=1)]
    for sample, letter in zip(result.samples, letters(result), strict=True):
        corner = 100 * np.array([sample.x, sample.y]) * result.mpp / size
        marks.append(Mark('window', letter, *corner.tolist()))
    alt = f'The slide with {summary.regions.count} regions of tissue outlined and numbered'
    return _whole(result, maps.draw_outline(result), alt, marks)


def _draw_tissue(result: SlideResult) -> Picture | None:
    if result.tissue is None:
        return None
    names = ', '.join(result.tissue_classes[1:])
    return _whole(result, maps.draw_tissue(result), f'The slide with {names} colored')


def _draw_grid(result: SlideResult) -> list[tuple[str, Picture, Scale, str]]:
    """Draws the maps of purity and densities: for each its title, picture, scale and a note."""
    drawn = []
    label_of = {name: label for label, name in enumerate(result.cell_classes, start=1)}
    if result.purity_classes:
        tumor, among = result.purity_classes
        drawn.append(_draw_purity(result, label_of[tumor], [label_of[name] for name in among]))
    grid = maps.count_on_grid(result)
    side = _length(1000 * grid.side_mm)
    densities = {name: grid.density(label) for name, label in label_of.items()}
    # One scale, so that the classes can be compared.
    known = np.concatenate([d[np.isfinite(d)] for d in densities.values()])
    highest = _round_up(np.quantile(known, 0.99) if known.size else 1)
    scale = Scale(_gradient(maps.DENSITY_COLORS), '0', f'≥ {highest:,.0f} per mm²')
    for name, density in densities.items():
        picture = maps.draw_values(result, density, grid.side_mm, maps.DENSITY_COLORS, highest)
        words = _IN_FULL.get(name, name)
        title = f'Density of {words}' + (f' ({name})' if words != name else '')
        alt = f'{title} in squares of {side}'
        note = f'Cells per mm² of tissue, squares of {side}.'
        drawn.append((title, _whole(result, picture, alt), scale, note))
    return drawn


def _draw_purity(
    result: SlideResult, tumor: int, among: Sequence[int]
) -> tuple[str, Picture, Scale, str]:
    grid = maps.count_on_grid(result, enough=maps.MIN_CELLS)
    side = _length(1000 * grid.side_mm)
    purity = grid.purity(tumor, among)
    picture = maps.draw_values(result, purity, grid.side_mm, maps.PURITY_COLORS, 1)
    if np.isfinite(purity).any():
        note = f'Squares of {side} with {maps.MIN_CELLS} cells or more.'
    else:
        note = f'No square of {side} holds the {maps.MIN_CELLS} cells that a purity takes.'
    scale = Scale(_gradient(maps.PURITY_COLORS), '0%', '100%')
    return (
        'Tumor purity',
        _whole(result, picture, f'Tumor purity in squares of {side}'),
        scale,
        note,
    )


def _describe(
    result: SlideResult, sample: Sample, letter: str, drawn: np.ndarray
) -> dict[str, Any]:
    """Gathers what the page says of a sample."""
    inside = cells_of(result, sample)
    counts = {name: inside.count(n) for n, name in enumerate(result.cell_classes, start=1)}
    height, width = sample.image.shape[:2]
    scale = min(1, _SAMPLE / max(drawn.shape[:2]))
    small = Image.fromarray(drawn).resize(
        [max(1, round(scale * size)) for size in drawn.shape[1::-1]], Image.Resampling.LANCZOS
    )
    cells = ', '.join(f'{count} {name}' for name, count in counts.items())
    alt = f'Window {letter} of the slide with a circle around each cell: {cells}'
    return {
        'letter': letter,
        'picture': _embed(np.asarray(small), alt, width * sample.mpp),
        'size': f'{width * sample.mpp:,.0f} × {height * sample.mpp:,.0f} µm',
        'place': [f'{place * result.mpp / 1000:.2f}' for place in (sample.x, sample.y)],
        'counts': counts,
    }


def cells_of(result: SlideResult, sample: Sample) -> Cells:
    """Selects the cells inside a sample, in pixels of its image with centers at integers."""
    corner = np.array([sample.x, sample.y])
    points = (result.cells.points + 0.5 - corner) * (result.mpp / sample.mpp) - 0.5
    height, width = sample.image.shape[:2]
    inside = ((points >= -0.5) & (points < np.array([width, height]) - 0.5)).all(axis=1)
    return dataclasses.replace(result.cells, points=points)[inside]


def letters(result: SlideResult) -> list[str]:
    """Names the samples A, B, ..., Z, A2, B2, ..."""
    letters = string.ascii_uppercase
    return [
        letters[n % 26] + (str(n // 26 + 1) if n >= 26 else '') for n in range(len(result.samples))
    ]


def _whole(
    result: SlideResult, picture: np.ndarray, alt: str, marks: Sequence[Mark] = ()
) -> Picture:
    return _embed(picture, alt, result.width * result.mpp)._replace(marks=tuple(marks))


def _embed(picture: np.ndarray, alt: str, width_um: float) -> Picture:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, 'JPEG', quality=_QUALITY, subsampling=0)
    source = 'data:image/jpeg;base64,' + base64.b64encode(stream.getvalue()).decode()
    height, width = picture.shape[:2]
    bar = _round_down(_BAR_SHARE * width_um)
    return Picture(source, width, height, alt, Bar(_length(bar), 100 * bar / width_um))


def _length(micrometres: float) -> str:
    return f'{micrometres / 1000:g} mm' if micrometres >= 100 else f'{micrometres:g} µm'


def _gradient(colors: str) -> str:
    stops = matplotlib.colormaps[colors](np.linspace(0, 1, 9))
    return ', '.join(to_hex(stop) for stop in stops)


def _round_down(value: float) -> float:
    """Finds the largest 1, 2 or 5 times a power of ten that is not above the value."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * max(digit for digit in (1, 2, 5) if digit * power <= value * (1 + 1e-9)))


def _round_up(value: float) -> float:
    """Finds the next two-digit number at or above the value, 1 at least."""
    power = 10.0 ** (np.floor(np.log10(max(value, 1))) - 1)
    return float(max(1, np.ceil(value / power - 1e-9) * power))
