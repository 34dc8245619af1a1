"""The report as one HTML file that needs no other."""

import importlib.resources
import os
from collections.abc import Sequence
from pathlib import Path

import jinja2

from ocelot_jax.io import atomic
from ocelot_jax.reporting import charts, table_files
from ocelot_jax.reporting.candidates import Candidates
from ocelot_jax.reporting.collect import Collection
from ocelot_jax.reporting.sections import Section
from ocelot_jax.reporting.tables import Table


def write(
    root: Path,
    found: Collection,
    tables: Sequence[Table],
    sections: Sequence[Section],
    candidates: Sequence[Candidates],
    path: str | os.PathLike,
):
    """Writes the page as HTML to a folder that exists; it appears whole or not at all."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters['shown'] = table_files.shown
    environment.filters['points'] = lambda v: f'{100 * v:+.1f}'.replace('-', '−')
    environment.filters['p_value'] = lambda v: '< 0.001' if v < 0.001 else f'{v:.3f}'
    environment.globals['spanned'] = table_files.spanned
    environment.globals['paper_score'] = table_files.paper_score
    environment.globals['color'] = charts.color_of
    source = importlib.resources.files('ocelot_jax.reporting') / 'page.html'
    text = environment.from_string(source.read_text('utf-8')).render(
        root=root, found=found, tables=tables, sections=sections, candidates=candidates
    )
    atomic.write_text(path, text)
