"""The page over all slides of a folder: a table with pictures, which links the slides' pages."""

import collections
import importlib.resources
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from ocelot_jax.io import atomic

PAGE, THUMBNAIL = 'page.html', 'thumbnail.jpg'


def write(rows: Sequence[Mapping[str, Any]], classes: Sequence[str], path: Path) -> None:
    """Writes the page; it appears whole or not at all.

    Args:
        rows: of `slides.csv`, fields by column.
        classes: names of the cells' classes.
        path: the HTML to write, in the folder of the slides' folders.
    """
    counts = collections.Counter(row['status'] for row in rows)
    text = _template().render(
        rows=rows,
        classes=classes,
        counts=sorted(counts.items()),
        pages={row['slide'] for row in rows if (path.parent / row['slide'] / PAGE).exists()},
        page=PAGE,
        thumbnail=THUMBNAIL,
    )
    atomic.write_text(path, text)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # seconds are text, and what is not known is empty
    environment.filters['number'] = lambda value, form: (
        '' if value in (None, '') else format(float(value), form)
    )
    environment.filters['address'] = urllib.parse.quote
    source = importlib.resources.files('ocelot_jax.slides') / 'cohort.html'
    return environment.from_string(source.read_text('utf-8'))
