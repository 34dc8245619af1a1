"""A data set in numbers, beside the paper's: opened, counted, checked and written.

Area counts each distinct tissue patch whole. What two patches share of one region is not known
and counts twice, unless their pixels are all the same.
"""

import concurrent.futures
import contextlib
import dataclasses
import io
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from ocelot_jax.data import pair_folder, release
from ocelot_jax.data.sources import Source, TfdsSource, open_sources, splits
from ocelot_jax.dataset_statistics import checks, tables
from ocelot_jax.dataset_statistics import paper as paper_tables
from ocelot_jax.dataset_statistics.counts import PairCounts, count_pair
from ocelot_jax.io import cores, progress
from ocelot_jax.io.errors import InputError

# wraps the counts of a split's pairs, given its name and their number

_CELL_CLASSES = ('BC', 'TC')
_CSV = [('x', np.float32), ('y', np.float32), ('label', np.int64)]


class LenientFolder(pair_folder.PairFolder):
    """A directory or zip whose cells may lie outside their patches, to be counted there."""

    def decode(
        self, kind: str, split: str, pair_id: str, size: tuple[float, float] = release.ANYWHERE
    ) -> Any:
        """One file of a pair, as `PairFolder.decode` gives it."""
        try:
            return super().decode(kind, split, pair_id, size)
        except InputError:
            if kind == 'cells':
                with contextlib.suppress(ValueError):
                    data = self.files.read(self.name('cells', split, pair_id))
                    text = io.StringIO(data.decode('utf-8-sig'))
                    table = np.loadtxt(text, _CSV, delimiter=',', comments=None, ndmin=1)
                    return {name: table[name] for name, _ in _CSV}
            raise


def open_splits(dataset: str) -> dict[str, Source]:
    """Opens the splits of a data set, named as in `config.data.source`; train comes first.

    Raises:
        MissingFileError: if `dataset` is a path, and there is nothing.
        InputError: if there is no such data set, it has no pairs, or files are missing.
    """
    sources: dict[str, Source]
    if pathlib.Path(dataset).expanduser().exists():
        folder = LenientFolder(dataset)
        sources = {split: folder.as_data_source(split) for split in folder.splits}
    else:
        values = {'source': dataset, 'large_fov': True, 'folds': 0, 'fold': 0}
        config = ml_collections.ConfigDict(values)
        try:
            sources = open_sources(config, splits(config))
        except InputError as error:
            raise type(error)(str(error).replace('config.data.source', '--dataset')) from None
    if not any(map(len, sources.values())):
        raise InputError(f'--dataset: {dataset!r} holds no pairs in train, validation or test')
    return sources


def class_names(
    source: Source,
    paper: paper_tables.Numbers,
    cell_classes: Sequence[str] | None,
    tissue_classes: Sequence[str] | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names the cell and the tissue classes.

    They are as given, else as the data set tells (TFDS does of cells), else as the paper.

    Raises:
        InputError: if two classes share a name, or one has that of unknown tissue.
    """
    if cell_classes is None:
        cell_classes = source.cell_classes if isinstance(source, TfdsSource) else _CELL_CLASSES
    tissue_classes = tissue_classes or paper.tissue_classes
    reserved = {'total', tables.UNKNOWN}
    for flag, names in (('cell', cell_classes), ('tissue', tissue_classes)):
        if len(set(names) - reserved) < len(names):
            raise InputError(
                f'--{flag}_classes is {",".join(names)}; want different names, none of them '
                f'{" or ".join(sorted(reserved))}'
            )
    return tuple(cell_classes), tuple(tissue_classes)


def count_pairs(
    sources: dict[str, Source],
    cell_classes: int,
    tissue_classes: int,
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
    counts = []
    # threads, for decoding and hashing release the interpreter's lock
    with concurrent.futures.ThreadPoolExecutor(cores.count()) as pool:
        for split, source in sources.items():
            count = lambda index, split=split, source=source: count_pair(
                source[index], split, cell_classes, tissue_classes
            )
            mapped = pool.map(count, range(len(source)))
            counted = progress.track(mapped, f'counting {split}', len(source), 'pairs')
            counts += sorted(counted, key=lambda pair: pair.pair_id)
    return counts


@dataclasses.dataclass(frozen=True)
class Description:
    """A data set in numbers.

    Attributes:
        name: of the data set.
        cell_classes: names of the labels 1, 2, ...
        tissue_classes: names of the tissue classes 0, 1, ...
        rows: the numbers of all tables.
        checks: what was looked for, and found.
        notes: what one must know to compare with the paper.
    """

    name: str
    cell_classes: tuple[str, ...]
    tissue_classes: tuple[str, ...]
    rows: list[tables.Row]
    checks: list[checks.Check]
    notes: tuple[str, ...]

    def render(self) -> str:
        """Gives all of it as text."""
        cells, tissue = ', '.join(self.cell_classes), ', '.join(self.tissue_classes)
        parts = [f'{self.name}: cells {cells}; tissue {tissue}', tables.render(self.rows)]
        if self.notes:
            parts.append('\n- '.join(['Notes on the paper', *self.notes]))
        return '\n\n'.join([*parts, checks.render(self.checks)])

    def write(self, folder: pathlib.Path) -> None:
        """Writes `tables.csv`, `checks.csv` and `statistics.png`; makes the folder."""
        # here, so that what is mistyped is told before half a second of loading
        from ocelot_jax.dataset_statistics import figure

        folder.mkdir(parents=True, exist_ok=True)
        classes = self.cell_classes, self.tissue_classes
        tables.write_csv(self.rows, folder / 'tables.csv')
        checks.write_csv(self.checks, folder / 'checks.csv')
        figure.write(self.name, self.rows, *classes, folder / 'statistics.png')


def describe(
    dataset: str,
    cell_classes: Sequence[str] | None = None,
    tissue_classes: Sequence[str] | None = None,
) -> Description:
    """Counts a data set and checks it.

    Args:
        dataset: as `open_splits` takes it.
        cell_classes: names of the labels 1, 2, ...; see `class_names`.
        tissue_classes: names of the tissue classes 0, 1, ...; see `class_names`.

    Raises:
        InputError: as `open_splits`, `class_names` and `count_pairs` do.
    """
    sources = open_splits(dataset)
    path = pathlib.Path(dataset).expanduser()
    name = dataset
    if path.exists():
        name = path.resolve().stem if path.is_file() else path.resolve().name
    paper = paper_tables.numbers_of(name)
    classes = class_names(next(iter(sources.values())), paper, cell_classes, tissue_classes)
    try:
        cell_classes, tissue_classes = classes
        pairs = count_pairs(sources, len(cell_classes), len(tissue_classes))
    except InputError as error:
        if dataset in str(error):
            raise
        # of any kind of data set, whose pairs need not be files
        raise type(error)(f'{dataset}: {error}') from None
    rows = tables.tabulate(pairs, *classes, paper.values)
    return Description(name, *classes, rows, checks.check(pairs), paper.notes)
