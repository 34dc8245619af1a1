"""Um/px that users give for slides whose files state none."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ocelot_jax.io.errors import InputError, MissingFileError

# Columns by what people call them; the first that is there counts.
_NAMES = ('name', 'file', 'filename', 'path', 'slide', 'image')
# how `slides.csv` begins: names of results, no two alike, and of files, which may be
_OF_RESULTS = ['slide', 'file']
_VALUES = ('um/px', 'mpp', 'um_per_px', 'um per px', 'µm/px', 'μm/px', 'microns_per_pixel')
_DELIMITERS = ',;\t'
_WANTED = 'want a CSV file with the columns name and um/px'


def parse(text: str, where: str) -> float:
    """Reads um/px; an InputError that begins with `where` unless it is a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InputError(f'{where}: {text!r}; want um/px as a number above 0')
    return number


def of_slides(
    given: float | Path | None, slides: Mapping[str, Path], folder: Path | None = None
) -> dict[str, float]:
    """The um/px that are given for slides, by the names of their results.

    Args:
        given: one for all, or a CSV file, see `read`.
        slides: the files by the names of their results.
        folder: whose slides these are; None where it may hold others.

    Raises:
        MissingFileError: there is no such file.
        InputError: see `read`.
    """
    if isinstance(given, Path):
        return read(given, slides, folder)
    return {} if given is None else dict.fromkeys(slides, given)


def read(path: Path, slides: Mapping[str, Path], folder: Path | None = None) -> dict[str, float]:
    """Reads um/px of slides from a CSV file with the columns `name` and `um/px`.

    A name is that of a slide's result (`slides.csv` of an earlier prediction is such a table), its
    path in the folder, its file name or its stem. Delimiters are commas, semicolons (numbers may
    have decimal commas then) or tabs. A line without um/px gives none.

    Args:
        path: the file.
        slides: the files by the names of their results.
        folder: whose slides these are; None where it may hold others.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is no such table, or a line names no slide of the folder, several or one
            again, or has um/px that are no number above 0.
    """
    paths = {name: p.relative_to(folder or p.parent).as_posix() for name, p in slides.items()}
    found: dict[str, float] = {}
    lines: dict[str, int] = {}
    for line, called, text in _read_lines(path):
        where = f'{path}: line {line}'
        if not text:
            continue
        number = parse(text, where)
        names = _called(called, paths)
        if not names and folder is None:
            continue
        if not names:
            raise InputError(f'{where}: {called!r} is no slide of {folder}; want a file there')
        if len(names) > 1:
            several = ', '.join(paths[name] for name in names)
            raise InputError(f'{where}: {called!r} may be {several}; want one of these')
        [name] = names
        if name in lines:
            raise InputError(f'{where}: {called!r} is in line {lines[name]}, too; want it once')
        found[name], lines[name] = number, line
    return found


def _called(called: str, paths: Mapping[str, str]) -> list[str]:
    """The slides that may be meant; who gives a whole name or path means that slide alone."""
    if called in paths:
        return [called]
    for of in (str, lambda path: PurePosixPath(path).name, lambda path: PurePosixPath(path).stem):
        names = [name for name, path in paths.items() if of(path) == called]
        if names:
            return names
    return []


def _read_lines(path: Path) -> list[tuple[int, str, str]]:
    """The number of each line, with its name and um/px as text."""
    try:
        text = path.read_text('utf-8-sig')
    except FileNotFoundError:
        raise MissingFileError(f'{path}: no such file; {_WANTED}') from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: cannot be read ({error}); {_WANTED}, in UTF-8') from None
    first = text.partition('\n')[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(f'{path}: line {reader.line_num}: {error}; {_WANTED}') from None
    header = [title.strip().casefold() for title in rows[0][1]] if rows else []
    names = _OF_RESULTS if header[:2] == _OF_RESULTS else _NAMES
    columns = [
        next((header.index(title) for title in titles if title in header), -1)
        for titles in (names, _VALUES)
    ]
    if min(columns) < 0:
        raise InputError(f'{path}: line 1: has the columns {", ".join(header)}; {_WANTED}')
    lines = []
    for line, row in rows[1:]:
        if any(field.strip() for field in row):
            cells = [row[column].strip() if column < len(row) else '' for column in columns]
            number = cells[1].replace(',', '.') if delimiter == ';' else cells[1]
            lines.append((line, cells[0], number))
    return lines
