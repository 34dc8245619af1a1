"""Reads what a run leaves beside its scores; what is wrong is told by file and field."""

import csv
import dataclasses
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ocelot_jax.io.errors import InputError

Table = dict[str, dict[str, float]]

_NOBODY = ''


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


def read_scores(path: Path) -> Table:
    """Reads `scores.json`.

    Returns:
        Row names ('population', each organ) to scores by name.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it is not what `ocelot_jax.evaluate` writes.
    """
    try:
        table = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f'{path}: is no JSON ({error}); evaluate the run again') from error
    population = table.get('population') if isinstance(table, dict) else None
    if not isinstance(population, dict) or not isinstance(population.get('mF1'), float):
        raise InputError(f'{path}: has no number population/mF1; evaluate the run again')
    return table


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """Reads `metrics.csv`: arrays [epochs] by name, one of them 'epoch', one 'mF1'."""
    return _read_numbers(path, ('epoch', 'mF1'))


def read_tuning(path: Path) -> dict[str, np.ndarray]:
    """Reads `tuning.csv`: arrays [grid points] by name."""
    return _read_numbers(path, ('sigma_um', 'min_distance_um', 'threshold', 'mF1'))


def read_detection(path: Path) -> dict[str, float]:
    """Reads `detection.json`: the settings chosen on validation."""
    wanted = ('sigma_um', 'min_distance_um', 'threshold')
    try:
        held = json.loads(path.read_text())
        return {name: float(held[name]) for name in wanted}
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f'{path}: want numbers {", ".join(wanted)}, found otherwise ({error}); '
            'tune the run again'
        ) from error


def read_pairs(path: Path, cell_classes: Sequence[str]) -> PairRecords:
    """Reads `pairs.csv`.

    Args:
        path: the file.
        cell_classes: names of the classes 1..K, as its columns have them.

    Raises:
        FileNotFoundError: it is not there.
        InputError: a column is missing, or a value is not what it should be.
    """
    counts = [f'{kind}/{name}' for kind in ('TP', 'FP', 'GT') for name in cell_classes]
    table = _Csv(path, ('pair_id', 'slide', 'organ', *counts))
    ids = table.strings('pair_id')
    names, times = np.unique(ids, return_counts=True)
    if (times > 1).any():
        raise InputError(f'{path}: pair_id {names[times > 1][0]} is there twice; want it once')
    columns = [table.convert(name, _to_count, 'a whole number from 0 on') for name in counts]
    shape = (len(ids), 3, len(cell_classes))
    stacked = np.array(columns, np.int64).T.reshape(shape)
    return PairRecords(ids, table.strings('slide'), table.strings('organ'), stacked)


def read_cells(path: Path, cell_classes: Sequence[str]) -> CellRecords:
    """Reads `cells.csv`.

    Args:
        path: the file.
        cell_classes: names of the classes 1..K.

    Raises:
        FileNotFoundError: it is not there.
        InputError: a column is missing, or a value is not what it should be.
    """
    table = _Csv(path, ('pair_id', 'x', 'y', 'class', 'score', 'matched', 'true'))
    labels = {_NOBODY: 0} | {name: label for label, name in enumerate(cell_classes, start=1)}
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


def read_tissue(path: Path, pairs: int) -> np.ndarray:
    """Reads `tissue.npz`.

    Args:
        path: the file.
        pairs: N, of `pairs.csv`.

    Returns:
        [N, h, w] uint8, the most likely tissue classes.

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
        raise InputError(text)
    return count


def _to_score(text: str) -> float:
    if text == _NOBODY:
        return np.nan
    score = float(text)
    if not 0 <= score <= 1:
        raise InputError(text)
    return score
