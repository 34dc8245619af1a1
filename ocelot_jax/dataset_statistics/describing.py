"""A data set in numbers, beside the paper's: `python -m ocelot_jax.statistics --dataset=NAME`.

Prints the counts behind Tables 1 to 4, A.1, F.1 and F.2 of any data set that can be trained on,
and what is odd about its pairs: slides in two splits, equal images, cells where none should be.
Writes them to `statistics/<name>/` as `tables.csv`, `checks.csv` and `statistics.png`.

Area counts each distinct tissue patch whole. What two patches share of one region is not known
and counts twice, unless their pixels are all the same.
"""

import concurrent.futures
import contextlib
import io
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import ml_collections
import numpy as np
import tqdm

from ocelot_jax.data import pair_folder, release
from ocelot_jax.data.sources import Source, open_source, splits
from ocelot_jax.dataset_statistics import checks as statistics_checks
from ocelot_jax.dataset_statistics import figure as statistics_figure
from ocelot_jax.dataset_statistics import paper as paper_tables
from ocelot_jax.dataset_statistics import tables as statistics_tables
from ocelot_jax.dataset_statistics.counts import PairCounts, count_pair
from ocelot_jax.io.errors import InputError

_CELL_CLASSES = ('BC', 'TC')
_CSV = [('x', np.float32), ('y', np.float32), ('label', np.int64)]


class LenientFolder(pair_folder.PairFolder):
    """A directory or zip whose cells may lie outside their patches, to be counted there."""

    def decode(
        self, kind: str, split: str, pair_id: str, size: tuple[float, float] | None = None
    ) -> Any:
        """One file of a pair, as `PairFolder.decode` gives it."""
        try:
            return super().decode(kind, split, pair_id, size)
        except ValueError:
            if kind == 'cells':
                with contextlib.suppress(ValueError):
                    return self._cells_anywhere(split, pair_id)
            raise

    def _cells_anywhere(self, split: str, pair_id: str) -> dict[str, np.ndarray]:
        data = self.files.read(release.pair_files(split, pair_id)['cells'])
        text = io.StringIO(data.decode('utf-8-sig'))
        table = np.loadtxt(text, _CSV, delimiter=',', comments=None, ndmin=1)
        return {name: table[name] for name, _ in _CSV}


def open_splits(dataset: str) -> dict[str, Source]:
    """Opens all the splits of a data set.

    Args:
        dataset: as `config.data.source`: a directory or zip in OCELOT's layout, or a TFDS name.

    Returns:
        The records of each split, in the order train, validation, test.

    Raises:
        FileNotFoundError: if `dataset` is a path, and there is nothing.
        InputError: if there is no such data set, it has no pairs, or files are missing.
    """
    if pathlib.Path(dataset).exists():
        folder = LenientFolder(dataset)
        sources = {split: folder.as_data_source(split) for split in folder.splits}
    else:
        config = ml_collections.ConfigDict({'source': dataset})
        try:
            names = splits(config)
            sources = {name: open_source(config, name) for name in names}
        except ValueError as error:
            raise InputError(str(error).replace('config.data.source', '--dataset')) from None
    if not any(map(len, sources.values())):
        raise InputError(f'--dataset: {dataset!r} holds no pairs in train, validation or test')
    return sources


def class_names(
    source: Source,
    paper: paper_tables.Numbers,
    cell_classes: Sequence[str] | None,
    tissue_classes: Sequence[str] | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names the classes: as given, else as the data set tells, else as the paper.

    Args:
        source: one split; a TFDS data set tells the names of its cells.
        paper: what the paper says of the data set.
        cell_classes: for the labels 1, 2, ...; None where not given.
        tissue_classes: for the tissue classes 0, 1, ...; None where not given.

    Returns:
        The names of the cell and of the tissue classes.

    Raises:
        InputError: if two classes share a name, or one has that of unknown tissue.
    """
    if cell_classes is None:
        info = getattr(source, 'dataset_info', None)
        told = info.features['cells']['label'].names[1:] if info else None
        cell_classes = told or _CELL_CLASSES
    tissue_classes = tissue_classes or paper.tissue_classes
    reserved = {'total', statistics_tables.UNKNOWN}
    for flag, names in (('cell', cell_classes), ('tissue', tissue_classes)):
        if len(set(names) - reserved) < len(names):
            raise InputError(
                f'--{flag}_classes is {",".join(names)}; want different names, none of them '
                f'{" or ".join(sorted(reserved))}'
            )
    return tuple(cell_classes), tuple(tissue_classes)


def count_pairs(
    sources: dict[str, Source], cell_classes: int, tissue_classes: int
) -> list[PairCounts]:
    """Counts every pair, with only as many in memory at once as there are cores.

    Args:
        sources: the records of each split.
        cell_classes: the number of cell classes.
        tissue_classes: the number of tissue classes.

    Returns:
        The counts in the order of the splits, and of the ids within a split. (TFDS shuffles.)

    Raises:
        InputError: if a file is bad, or holds another class.
    """
    return [
        counts
        for split, source in sources.items()
        for counts in sorted(
            _count_split(split, source, cell_classes, tissue_classes), key=lambda c: c.pair_id
        )
    ]


def _count_split(
    split: str, source: Source, cell_classes: int, tissue_classes: int
) -> Iterator[PairCounts]:
    def count(index: int) -> PairCounts:
        record = pair_folder.as_record(source[index])
        return count_pair(record, split, cell_classes, tissue_classes)

    # threads, for decoding and hashing release the interpreter's lock
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = pool.map(count, range(len(source)))
        yield from tqdm.tqdm(counted, split, len(source), leave=False, disable=None)


def describe(
    dataset: str,
    cell_classes: Sequence[str] | None = None,
    tissue_classes: Sequence[str] | None = None,
    output: pathlib.Path | None = None,
) -> list[statistics_tables.Row]:
    """Counts a data set, prints what came out and writes it.

    Args:
        dataset: as `open_splits` takes it.
        cell_classes: names of the labels 1, 2, ...; see `class_names`.
        tissue_classes: names of the tissue classes 0, 1, ...; see `class_names`.
        output: the folder to write to; `statistics/<name>` where None.

    Returns:
        The numbers of all tables.

    Raises:
        FileNotFoundError, ValueError: as `open_splits`, `class_names` and `count_pairs` do.
    """
    sources = open_splits(dataset)
    name = _name(dataset)
    paper = paper_tables.numbers_of(name)
    classes = class_names(next(iter(sources.values())), paper, cell_classes, tissue_classes)
    pairs = count_pairs(sources, *map(len, classes))
    rows = statistics_tables.tabulate(pairs, *classes, paper.values)
    checks = statistics_checks.check(pairs)
    print(f'{name}: cells {", ".join(classes[0])}; tissue {", ".join(classes[1])}\n')
    print(statistics_tables.render(rows) + '\n')
    if paper.notes:
        print('\n'.join(['Notes on the paper', *(f'- {note}' for note in paper.notes), '']))
    print(statistics_checks.render(checks))
    folder = output or pathlib.Path('statistics', name)
    folder.mkdir(parents=True, exist_ok=True)
    statistics_tables.write_csv(rows, folder / 'tables.csv')
    statistics_checks.write_csv(checks, folder / 'checks.csv')
    statistics_figure.write(name, rows, *classes, folder / 'statistics.png')
    print(f'\n{folder / "statistics.png"}')
    return rows


def _name(dataset: str) -> str:
    """Tells the name of a data set: its TFDS name, or that of its directory or zip."""
    path = pathlib.Path(dataset)
    if not path.exists():
        return dataset
    return path.resolve().stem if path.is_file() else path.resolve().name
