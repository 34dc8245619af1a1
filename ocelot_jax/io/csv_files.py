"""CSV files with a header."""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ocelot_jax.io import atomic
from ocelot_jax.io.errors import InputError


def write_rows(
    path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Writes a table; the file appears whole or not at all.

    Args:
        path: the file; its folder must exist.
        columns: their names, in order.
        rows: values by column; a missing one or None is an empty field.

    Raises:
        ValueError: a row has a value of no column.
    """
    with (
        atomic.replacing(path) as temporary,
        temporary.open('w', newline='', encoding='utf-8') as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Reads a table that `write_rows` wrote: the fields of each row, as text, by column.

    Raises:
        InputError: it is damaged.
    """
    try:
        with open(path, newline='', encoding='utf-8') as file:
            return list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f'{path}: is no whole table ({error}); want it as it was written, or removed'
        ) from None
