"""The paper's tables, what levers give, and a page, of all runs below a directory."""

from pathlib import Path

from ocelot_jax.reporting import (
    candidates,
    collect,
    lever_files,
    levers,
    page,
    sections,
    table_files,
    tables,
)


def write_report(root: Path, output: Path | None = None) -> Path:
    """Writes the tables and the page, which it gives, of all runs below a directory.

    It writes to `<root>/report` where no output is given.

    Raises:
        MissingFileError: there is no evaluated run.
        InputError: a run's configuration or scores are not what they should be.
    """
    found = collect.collect(root)
    pulled = levers.find_levers(found)
    filled = tables.make_tables(found)
    described = [sections.describe(found, data) for data in found.data_sets]
    folder = output or root / 'report'
    folder.mkdir(parents=True, exist_ok=True)
    for table in filled:
        table_files.write(table, folder)
    lever_files.write(pulled, folder)
    path = folder / 'index.html'
    listed = candidates.list_candidates(found)
    page.write(root, found, pulled, filled, described, listed, path)
    return path
