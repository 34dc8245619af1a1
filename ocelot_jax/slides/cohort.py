"""`slides.csv` and `index.html`: all slides of a folder, whichever command did them."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ocelot_jax.io import csv_files
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import cohort_page, prediction

DONE, DONE_ALREADY, FAILED, WAITING = 'done', 'done already', 'failed', 'waiting'

_CLASS = 'cells_'
# What a table takes over from a slide's `summary.json`.
_NUMBERS = ('um_per_px', 'tumor_purity', 'foreground_mm2')
# A column for each class of cells, `cells_<class>`, goes behind the first.
_FIRST = ('slide', 'file', 'status', 'runs', 'um_per_px', 'cells')
_LAST = ('tumor_purity', 'foreground_mm2', 'regions', 'seconds', 'warnings', 'error')


class Table:
    """The rows of some slides, kept in a file.

    A slide whose results are in the folder has its row at once. Of earlier tables nothing but the
    seconds is taken over: a spreadsheet may have changed them.

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
        self._seconds = _read_seconds(folder.glob('slides*.csv'))
        self._rows: dict[str, dict[str, Any]] = {
            name: {'slide': name, 'file': path.name, 'status': WAITING}
            for name, path in sorted(slides.items())
        }
        for name in slides:
            with contextlib.suppress(InputError):  # told when it is its turn
                numbers, record = prediction.read_results(folder / name)
                self.done(name, numbers, record, None)

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
        cells = {_CLASS + key: count for key, count in numbers['cells'].items()}
        known = {key: numbers[key] for key in _NUMBERS}
        known |= {'cells': sum(numbers['cells'].values()), **cells}
        known |= {key: '; '.join(record.get(key, ())) for key in ('runs', 'warnings')}
        known['regions'] = len(numbers['regions'])
        if seconds is None:
            known |= {'status': DONE_ALREADY, 'seconds': self._seconds.get(name)}
        else:
            known |= {'status': DONE, 'seconds': f'{seconds:.1f}'}
        self._rows[name] |= known

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


def _read_seconds(paths: Iterable[Path]) -> dict[str, str]:
    """The seconds in tables by the slides' names; what is no number is left out."""
    rows = [row for path in sorted(paths) for row in csv_files.read_rows(path)]
    return {
        row['slide']: row['seconds']
        for row in rows
        if row.get('slide') and re.fullmatch(r'\d+\.\d', row.get('seconds') or '')
    }


def _counts_a_class(column: str) -> bool:
    return column.startswith(_CLASS)
