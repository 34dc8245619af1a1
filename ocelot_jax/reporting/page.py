"""The report as one HTML file that needs no other."""

import importlib.resources
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from ocelot_jax.io import atomic
from ocelot_jax.metrics.bootstrap import Difference
from ocelot_jax.reporting import charts, lever_files, table_files
from ocelot_jax.reporting import levers as levers_lib
from ocelot_jax.reporting.candidates import Candidates
from ocelot_jax.reporting.collect import Collection
from ocelot_jax.reporting.levers import Lever, Levers
from ocelot_jax.reporting.sections import Section
from ocelot_jax.reporting.tables import Table


def write(
    root: Path,
    found: Collection,
    levers: Sequence[Levers],
    tables: Sequence[Table],
    sections: Sequence[Section],
    candidates: Sequence[Candidates],
    path: str | os.PathLike[str],
) -> None:
    """Writes the page as HTML to a folder that exists; it appears whole or not at all."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters['shown'] = table_files.shown
    for of in (
        lever_files.points,
        lever_files.percent,
        lever_files.seconds,
        lever_files.p_value,
    ):
        environment.filters[of.__name__] = of
    environment.globals['spanned'] = table_files.spanned
    environment.globals['paper_score'] = table_files.paper_score
    environment.globals['color'] = charts.color_of
    source = importlib.resources.files('ocelot_jax.reporting') / 'page.html'
    named = levers_lib.by_name(levers)
    gains = _gains(levers, named)
    environment.globals['by_class'] = lever_files.by_class
    environment.globals['resolution'] = lever_files.resolution
    text = environment.from_string(source.read_text('utf-8')).render(
        root=root,
        found=found,
        levers=levers,
        named=named,
        gains=gains and charts.draw_gains(gains),
        tables=tables,
        sections=sections,
        candidates=candidates,
    )
    atomic.write_text(path, text)


def _gains(
    held: Sequence[Levers], named: Mapping[str, Sequence[tuple[Levers, Lever]]]
) -> dict[str, dict[str, Difference]]:
    """The differences to draw, by lever and data set; below them that of no lever at all."""
    nothing = [(levers, levers.base) for levers in held if levers.resolution is not None]
    rows = {**named, 'none, other seeds': nothing}
    gains = {
        name: {
            levers.title: lever.compared.differences[0]
            for levers, lever in of
            if lever.compared is not None
        }
        for name, of in rows.items()
    }
    return {name: of for name, of in gains.items() if of}
