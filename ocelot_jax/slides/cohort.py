"""`slides.csv` and `index.html`: all slides of a folder, whichever command did them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ocelot_jax.io import csv_files
from ocelot_jax.slides import cohort_page

DONE, DONE_ALREADY, FAILED, WAITING = 'done', 'done already', 'failed', 'waiting'

_CLASS = 'cells_'
# What a table takes over from a slide's `summary.json`.
_NUMBERS = ('um_per_px', 'tumor_purity', 'foreground_mm2')
# A column for each class of cells, `cells_<class>`, goes behind the first.
_FIRST = ('slide', 'file', 'status', 'runs', 'um_per_px', 'cells')
_LAST = ('tumor_purity', 'foreground_mm2', 'regions', 'seconds', 'warnings', 'error')


class Table:
    """The rows of some slides, kept in a file.

    A slide that has none yet has that of an earlier table in the folder, where its results are
    there.

    Args:
        folder: where the results are.
        slides: the slides' files by the names of their results.
        shard: (i, n), which part of the folder's slides these are.

    Attributes:
        path: the table's file.
    """

    def __init__(self, folder: Path, slides: Mapping[str, Path], shard: tuple[int, int] = (0, 1)):
        index, count = shard
        self._whole = count == 1
        self.path = folder / ('slides.csv' if count == 1 else f'slides-{index}-of-{count}.csv')
        earlier = _read_rows(folder.glob('slides*.csv'))
        self._rows: dict[str, dict[str, Any]] = {}
        for name, path in sorted(slides.items()):
            row = earlier.get(name) if (folder / name).exists() else None
            self._rows[name] = row or {'status': WAITING}
            self._rows[name] |= {'slide': name, 'file': path.name}

    def done(
        self,
        name: str,
        numbers: Mapping[str, Any],
        record: Mapping[str, Any],
        seconds: float | None,
    ) -> None:
        """Notes what was found on a slide.

        Args:
            name: of its results.
            numbers: its `summary.json`.
            record: its `prediction.json`.
            seconds: that it took; None where it was done already.
        """
        row = self._rows[name]
        cells = {_CLASS + key: count for key, count in numbers['cells'].items()}
        known = {key: numbers[key] for key in _NUMBERS}
        known |= {'cells': sum(numbers['cells'].values()), **cells, 'error': None}
        known |= {key: '; '.join(record.get(key, ())) for key in ('runs', 'warnings')}
        known['regions'] = len(numbers['regions'])
        if seconds is None:
            self._rows[name] = row | known | {'status': DONE_ALREADY}
        else:
            self._rows[name] = row | known | {'status': DONE, 'seconds': f'{seconds:.1f}'}

    def failed(self, name: str, error: str) -> None:
        """Notes why a slide failed; of results before nothing is left."""
        kept = {key: self._rows[name][key] for key in ('slide', 'file')}
        self._rows[name] = kept | {'status': FAILED, 'error': error}

    def write(self) -> None:
        """Writes the table, and beside that of all slides the page; whole or not at all."""
        rows = list(self._rows.values())
        classes = dict.fromkeys(key for row in rows for key in row if _counts_a_class(key))
        csv_files.write_rows(self.path, [*_FIRST, *classes, *_LAST], rows)
        if self._whole:
            names = [key.removeprefix(_CLASS) for key in classes]
            cohort_page.write(rows, names, self.path.with_name('index.html'))


def _read_rows(paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Rows of tables by the slides' names; what is no column of ours is left out."""
    rows = {}
    for path in sorted(paths):
        for row in csv_files.read_rows(path):
            known = {k: v for k, v in row.items() if k in _FIRST + _LAST or _counts_a_class(k)}
            rows[row.get('slide')] = known
    return rows


def _counts_a_class(column: str) -> bool:
    return column.startswith(_CLASS)
