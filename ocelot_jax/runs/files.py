"""The tables of a run, read and written; an error names the file, the line and the field."""

import csv
import dataclasses
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ocelot_jax.io import atomic, csv_files
from ocelot_jax.io.errors import InputError
from ocelot_jax.runs.directory import (
    CELLS_COLUMNS,
    COUNTS,
    METRICS_COLUMNS,
    PAIRS_COLUMNS,
    TUNING_COLUMNS,
    EvaluationDirectory,
    count_columns,
)

# Row names ('population', each organ, ...) to scores by name.
Table = dict[str, dict[str, float]]

POPULATION = 'population'
UNTRAINED = 'untrained'

_NO_CELL = ''


@dataclasses.dataclass(frozen=True)
class PairRecords:
    """`pairs.csv`: the counts of each of a split's N pairs.

    Attributes:
        ids: [N] strings.
        slides: [N] strings.
        organs: [N] strings.
        counts: [N, 3, K] int64, of each cell class true positives, false positives, true cells.
    """

    ids: np.ndarray
    slides: np.ndarray
    organs: np.ndarray
    counts: np.ndarray


@dataclasses.dataclass(frozen=True)
class CellRecords:
    """`cells.csv`: n cells, found ones and true ones at which none was found.

    Attributes:
        pair_ids: [n] strings.
        points: [n, 2] float64, (x, y) in pixels of the cell patch.
        found: [n] integers, the class found, 1..K; 0 where none was.
        scores: [n] float64, confidences in 0..1; NaN where no cell was found.
        matched: [n] bool, whether the official score counts a true positive.
        true: [n] integers, class of the true cell at that place; 0 where there is none.
    """

    pair_ids: np.ndarray
    points: np.ndarray
    found: np.ndarray
    scores: np.ndarray
    matched: np.ndarray
    true: np.ndarray


def write_scores(evaluation: EvaluationDirectory, table: Table) -> None:
    """Writes the scores as CSV, with the columns of 'population', and, last, as JSON."""
    names = list(table[POPULATION])
    rows = (
        {'row': row, **{name: scores.get(name) for name in names}} for row, scores in table.items()
    )
    csv_files.write_rows(evaluation.scores_table, ['row', *names], rows)
    atomic.write_text(evaluation.scores, json.dumps(table, indent=2) + '\n')


def read_scores(path: Path) -> Table:
    """Reads `scores.json`.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it is not what `ocelot_jax.evaluate` writes.
    """
    try:
        table = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f'{path}: is no JSON ({error}); evaluate the run again') from error
    population = table.get(POPULATION) if isinstance(table, dict) else None
    if not isinstance(population, dict) or not isinstance(population.get('mF1'), float):
        raise InputError(f'{path}: has no number population/mF1; evaluate the run again')
    return table


def write_epoch(path: Path, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
    """Adds an epoch, 1.., after `step` optimizer steps to `metrics.csv`, made where missing.

    It takes the place of those at this step or later: a run that goes on from an earlier
    checkpoint replaces what it had written after it.
    """
    earlier = csv_files.read_rows(path) if path.exists() else []
    rows: list[Mapping[str, Any]] = [row for row in earlier if int(row['step']) < step]
    values = {name: f'{value:.6g}' for name, value in metrics.items()}
    rows.append({'epoch': epoch, 'step': step, **values})
    csv_files.write_rows(path, [*METRICS_COLUMNS, *metrics], rows)


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """Reads `metrics.csv`: arrays [epochs] by name, among them 'epoch' and 'mF1'."""
    return _read_numbers(path, ('epoch', 'mF1'))


def write_tuning(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes `tuning.csv`: of each grid point its `DETECTION_FIELDS` and scores, by name."""
    csv_files.write_rows(path, list(rows[0]), rows)


def read_tuning(path: Path) -> dict[str, np.ndarray]:
    """Reads `tuning.csv`: arrays [grid points] by name."""
    return _read_numbers(path, TUNING_COLUMNS)


def write_pairs(path: Path, records: PairRecords, cell_classes: Sequence[str]) -> None:
    """Writes `pairs.csv`; `cell_classes` are the names of the classes 1..K."""
    names = count_columns(cell_classes)
    counts = records.counts.swapaxes(1, 2).reshape(-1, len(names))  # those of a class together
    columns = [*PAIRS_COLUMNS, *names]
    lines = zip(records.ids, records.slides, records.organs, *counts.T, strict=True)
    csv_files.write_rows(path, columns, (dict(zip(columns, line, strict=True)) for line in lines))


def read_pairs(path: Path, cell_classes: Sequence[str]) -> PairRecords:
    """Reads `pairs.csv`; `cell_classes` are the names of the classes 1..K.

    Raises:
        FileNotFoundError: it is not there.
        InputError: a column is missing, or a value is not what it should be.
    """
    names = count_columns(cell_classes)
    table = _Csv(path, (*PAIRS_COLUMNS, *names))
    ids = table.strings('pair_id')
    different, times = np.unique(ids, return_counts=True)
    if (times > 1).any():
        raise InputError(f'{path}: pair_id {different[times > 1][0]} is there twice; want it once')
    columns = [table.convert(name, _to_count, 'a whole number from 0 on') for name in names]
    shape = (len(ids), len(cell_classes), len(COUNTS))
    counts = np.array(columns, np.int64).T.reshape(shape).swapaxes(1, 2)
    return PairRecords(ids, table.strings('slide'), table.strings('organ'), counts)


def write_cells(path: Path, records: CellRecords, cell_classes: Sequence[str]) -> None:
    """Writes `cells.csv`; `cell_classes` are the names of the classes 1..K."""
    names = (_NO_CELL, *cell_classes)
    rows = (
        (pair_id, f'{x:g}', f'{y:g}', names[found], f'{score:.6g}' if found else None,
         int(matched), names[true])
        for pair_id, (x, y), found, score, matched, true in zip(
            *vars(records).values(), strict=True
        )
    )  # fmt: skip
    lines = (dict(zip(CELLS_COLUMNS, row, strict=True)) for row in rows)
    csv_files.write_rows(path, CELLS_COLUMNS, lines)


def read_cells(path: Path, cell_classes: Sequence[str]) -> CellRecords:
    """Reads `cells.csv`; `cell_classes` are the names of the classes 1..K.

    Raises:
        FileNotFoundError: it is not there.
        InputError: a column is missing, or a value is not what it should be.
    """
    table = _Csv(path, CELLS_COLUMNS)
    labels = {_NO_CELL: 0} | {name: label for label, name in enumerate(cell_classes, start=1)}
    wanted = f'{", ".join(cell_classes)} or nothing'
    records = CellRecords(
        pair_ids=table.strings('pair_id'),
        points=np.stack([table.convert(name, float, 'a number') for name in 'xy'], axis=-1),
        found=table.convert('class', labels.__getitem__, wanted),
        scores=table.convert('score', _to_score, 'a number in 0..1, or nothing'),
        matched=table.convert('matched', {'0': False, '1': True}.__getitem__, '0 or 1'),
        true=table.convert('true', labels.__getitem__, wanted),
    )
    odd = np.isnan(records.scores) != (records.found == 0)
    if odd.any():
        raise InputError(
            f'{path}: line {np.flatnonzero(odd)[0] + 2} has one of class and score; '
            'want both or neither'
        )
    return records


def write_tissue(path: Path, tissue: np.ndarray) -> None:
    """Writes `tissue.npz`: [N, h, w] uint8, the tissue classes, in the order of `pairs.csv`."""
    with atomic.replacing(path) as temporary:
        np.savez_compressed(temporary, tissue=tissue)


def read_tissue(path: Path, pairs: int) -> np.ndarray:
    """Reads `tissue.npz` of N pairs: [N, h, w] uint8, the most likely tissue classes.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it holds something else.
    """
    try:
        with np.load(path) as held:
            tissue = held['tissue']
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f'{path}: holds no array `tissue` ({error}); want one') from error
    if tissue.ndim != 3 or len(tissue) != pairs or tissue.dtype != np.uint8:
        raise InputError(
            f'{path}: tissue is {tissue.dtype} {list(tissue.shape)}; want uint8 [{pairs}, h, w], '
            'a map for each line of pairs.csv'
        )
    return tissue


class _Csv:
    """The rows of a file with named columns."""

    def __init__(self, path: Path, wanted: Sequence[str]):
        self._path = path
        try:
            with path.open(newline='', encoding='utf-8') as file:
                header, *self._rows = csv.reader(file)
        except (ValueError, csv.Error) as error:
            raise InputError(f'{path}: is no CSV with a header ({error})') from error
        missing = [name for name in wanted if name not in header]
        if missing:
            raise InputError(f'{path}: has no column {missing[0]!r}; found {",".join(header)}')
        self.names = header
        for number, row in enumerate(self._rows, start=2):
            if len(row) != len(header):
                raise InputError(
                    f'{path}: line {number} has {len(row)} fields; want {len(header)}'
                )

    def strings(self, name: str) -> np.ndarray:
        column = self.names.index(name)
        return np.array([row[column] for row in self._rows], str)

    def convert(self, name: str, to: Callable[[str], Any], wanted: str) -> np.ndarray:
        column, values = self.names.index(name), []
        for number, row in enumerate(self._rows, start=2):
            try:
                values.append(to(row[column]))
            except (KeyError, ValueError) as error:
                raise InputError(
                    f'{self._path}: line {number}: {name} is {row[column]!r}; want {wanted}'
                ) from error
        return np.array(values)


def _read_numbers(path: Path, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """Reads a CSV of numbers; an empty field is NaN."""
    table = _Csv(path, wanted)
    convert = lambda text: float(text) if text else np.nan
    return {name: table.convert(name, convert, 'a number') for name in table.names}


def _to_count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError(text)
    return count


def _to_score(text: str) -> float:
    if text == _NO_CELL:
        return np.nan
    score = float(text)
    if not 0 <= score <= 1:
        raise ValueError(text)
    return score
