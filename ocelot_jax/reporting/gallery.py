"""Patches with the cells found on them, as in Figures 7 and E.1 of the paper."""

import base64
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from ocelot_jax.data.sources import Source, open_source
from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.reporting.runs_below import Run
from ocelot_jax.runs import files
from ocelot_jax.runs.files import PairRecords
from ocelot_jax.viz import overlay

_WIDTH = 1000  # Pixels.
_QUALITY = 82
_FEW_CELLS = 5


class Picture(NamedTuple):
    """A picture of the page, a data URI; width and height in pixels."""

    title: str
    source: str
    width: int
    height: int
    alt: str


class Example(NamedTuple):
    """A patch as one or two experiments see it; the title tells why it is here."""

    title: str
    pictures: tuple[Picture, ...]


class Sources:
    """The data of runs, each read through and checked once."""

    def __init__(self) -> None:
        self._opened: dict[tuple[str, str], Source] = {}

    def open(self, run: Run, split: str) -> Source:
        """Opens a split of the data that a run's configuration names."""
        key = run.config.data.to_json(), split
        if key not in self._opened:
            self._opened[key] = open_source(run.config.data, split)
        return self._opened[key]


class Drawer:
    """Draws an evaluated run's cells on the patches of a split, 'validation' or 'test'.

    Raises:
        FileNotFoundError: the data, or the run's records, are not there.
        InputError: they are not what they should be.
    """

    def __init__(self, run: Run, split: str, sources: Sources):
        self._run = run
        self.pairs = run.pairs(split)
        self._cells = run.cells(split)
        path = run.evaluation(split).tissue
        self._tissue = files.read_tissue(path, len(self.pairs.ids)) if path.exists() else None
        self._source = sources.open(run, split)
        if len(self._source) != len(self.pairs.ids):
            raise InputError(
                f'{run.config.data.source}: holds {len(self._source)} pairs of {split}; '
                f'{run.evaluation(split).pairs} has {len(self.pairs.ids)}'
            )

    def draw(self, index: int) -> Picture:
        """Draws a pair by its line in `pairs.csv`: tissue left, cells right."""
        pair = self._source[index]
        pair_id = str(self.pairs.ids[index])
        if pair['pair_id'] != pair_id:
            raise InputError(
                f'{self._run.config.data.source}: pair {index} is {pair["pair_id"]!r}; the run '
                f'has {pair_id!r} there: want the data that it was evaluated on'
            )
        config, cells = self._run.config, self._cells
        distance = config.match_distance_um / float(pair['cell_mpp'])
        here = (cells.pair_ids == pair_id) & (cells.found > 0)
        found = Cells(cells.points[here], cells.found[here], cells.scores[here])
        points = np.stack([pair['cells']['x'], pair['cells']['y']], axis=-1)
        true = Cells.annotated(points, pair['cells']['label'])
        match = matching.match_cells(
            found, true, distance=distance, num_classes=len(self._run.cell_classes)
        )
        verdict = overlay.judge(match, found, true)
        cell_um = float(pair['cell_mpp']) * pair['cell_image'].shape[1]
        tissue_um = float(pair['tissue_mpp']) * pair['tissue_image'].shape[1]
        drawn = overlay.draw_pair(
            title=f'{pair_id} {pair["organ"]}',
            cell_image=pair['cell_image'],
            tissue_image=pair['tissue_image'],
            tissue_mask=pair['tissue_mask'][..., 0],
            tissue_pred=None if self._tissue is None else self._tissue[index],
            center=pair['center'],
            fov_ratio=cell_um / tissue_um,
            verdict=verdict,
            radius=distance,
            cell_classes=tuple(config.data.cell_classes),
        )
        told = ', '.join(f'{len(cells)} {kind}' for kind, cells in vars(verdict).items())
        name = self._run.experiment
        alt = f'Pair {pair_id}, {name}: its tissue patch, and its cell patch with cells {told}'
        return _embed(drawn, f'{name}: {told}', alt)


def compare(
    first: Run, second: Run, split: str, sources: Sources, count: int = 2
) -> list[Example]:
    """Shows the `count` patches on which a second run is most ahead of a first, and most behind.

    Raises:
        FileNotFoundError, InputError: as `Drawer` does, or the runs are of other pairs.
    """
    drawers = Drawer(first, split, sources), Drawer(second, split, sources)
    mistakes = [_mistakes(drawer.pairs) for drawer in drawers]
    if not np.array_equal(drawers[0].pairs.ids, drawers[1].pairs.ids):
        raise InputError(
            f'{first.evaluation(split).pairs} and {second.evaluation(split).pairs}: want the '
            'same pairs in the same order'
        )
    fewer = mistakes[0] - mistakes[1]
    order = np.argsort(-fewer, kind='stable')
    chosen = [int(i) for i in order if fewer[i] > 0][:count]
    chosen += [int(i) for i in order[::-1] if fewer[i] < 0][:count]
    return [
        Example(
            f'Pair {drawers[0].pairs.ids[i]}: {abs(fewer[i])} mistakes '
            f'{"fewer" if fewer[i] > 0 else "more"} by {second.experiment}',
            tuple(drawer.draw(i) for drawer in drawers),
        )
        for i in chosen
    ]


def extremes(run: Run, split: str, sources: Sources, count: int = 2) -> list[Example]:
    """Shows the `count` best and worst patches of a run, of those with five true cells or more.

    Raises:
        FileNotFoundError, InputError: as `Drawer` does.
    """
    drawer = Drawer(run, split, sources)
    true = drawer.pairs.counts[:, 2].sum(axis=1)
    found = drawer.pairs.counts[:, :2].sum(axis=(1, 2))
    f1 = 2 * drawer.pairs.counts[:, 0].sum(axis=1) / np.maximum(true + found, 1)
    order = [int(i) for i in np.argsort(f1, kind='stable') if true[i] >= _FEW_CELLS]
    chosen = {i: 'Best' for i in order[::-1][:count]}
    chosen |= {i: 'Worst' for i in order[:count] if i not in chosen}
    return [
        Example(
            f'{kind}: pair {drawer.pairs.ids[i]}, F1 {100 * f1[i]:.0f}% over all classes',
            (drawer.draw(i),),
        )
        for i, kind in chosen.items()
    ]


def _mistakes(pairs: PairRecords) -> np.ndarray:
    """Counts false and missed cells of each pair."""
    true_positives, false_positives, true = np.moveaxis(pairs.counts.sum(axis=-1), 1, 0)
    return false_positives + true - true_positives


def _embed(picture: np.ndarray, title: str, alt: str) -> Picture:
    height, width = picture.shape[:2]
    small = Image.fromarray(picture)
    if width > _WIDTH:
        small = small.resize((_WIDTH, round(height * _WIDTH / width)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, 'JPEG', quality=_QUALITY)
    source = 'data:image/jpeg;base64,' + base64.b64encode(stream.getvalue()).decode()
    return Picture(title, source, *small.size, alt)
