"""Tunes how cells are detected, by the validation mF1 of a run's best epoch.

Smoothing, least distance and threshold are searched on a grid around the configuration's values.
The choice is kept with the run and used from then on by whatever applies the run.
"""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from ocelot_jax.data.batches import eval_batches
from ocelot_jax.data.sources import Source, open_source
from ocelot_jax.evaluation import scoring
from ocelot_jax.inference import engines, loop
from ocelot_jax.inference.detection import PaddedCells
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Engine
from ocelot_jax.io import disk
from ocelot_jax.metrics import matching
from ocelot_jax.runs import configuration, files, loading
from ocelot_jax.runs.directory import RunDirectory

# of the configuration's lengths
SIGMAS = (0.5, 1.0, 1.5, 2.0)
DISTANCES = (0.75, 1.0, 1.5, 2.0)
THRESHOLDS = tuple(round(0.1 * step, 1) for step in range(1, 10))


class Setting(NamedTuple):
    """A point of the grid; the fields are those of `config.detection`."""

    sigma_um: float
    min_distance_um: float
    threshold: float


class Tuned(NamedTuple):
    """What tuning a run gave: where the choice is kept, the choice, and its validation mF1."""

    file: Path
    setting: Setting
    score: float

    def render(self) -> str:
        """One line for people."""
        values = ', '.join(f'{name} {value:g}' for name, value in self.setting._asdict().items())
        return f'{self.file}: {values}; validation mF1 {self.score:.3f}'


def tune_run(workdir: Path, output: Path | None = None) -> Tuned:
    """Chooses the detection settings of the run in `workdir` and keeps them with it.

    Args:
        workdir: the run's directory.
        output: a folder to keep them in instead.

    Raises:
        InputError: the run has no finished epoch, or its data are not there.
        MissingFileError: the directory holds no run.
        OutputError: nothing can be written there.
    """
    # around the configuration's values, not those of an earlier choice
    run = loading.load_runs([workdir], tuned=False)
    written = RunDirectory(output or workdir)
    disk.make_folder(written.path)
    engine = engines.of_runs(run)
    pairs = open_source(run.config.data, 'validation')
    counts = count_matches(engine, pairs, run.config)
    classes = run.config.data.cell_classes
    scores = {at: matching.f1_scores(matching.Counts(*n), classes) for at, n in counts.items()}
    chosen = max(scores, key=lambda setting: scores[setting]['mF1'])
    rows = [setting._asdict() | row for setting, row in scores.items()]
    files.write_tuning(written.tuning, rows)
    configuration.write_detection(written.detection, chosen._asdict())
    return Tuned(written.detection, chosen, scores[chosen]['mF1'])


def count_matches(
    engine: Engine, pairs: Source, config: ml_collections.ConfigDict
) -> dict[Setting, np.ndarray]:
    """Counts of the official score at every point of the grid around `config.detection`.

    Returns:
        [3,K] int64 by setting: of each class true positives, false positives and true cells.
    """
    sigmas = [factor * config.detection.sigma_um for factor in SIGMAS]
    distances = [factor * config.detection.min_distance_um for factor in DISTANCES]
    lengths = list(itertools.product(sigmas, distances))
    settings = [Setting(*pair, threshold) for pair in lengths for threshold in THRESHOLDS]
    num_classes = len(config.data.cell_classes)
    counts = {setting: np.zeros((3, num_classes), int) for setting in settings}
    data = config.data
    batches = eval_batches(pairs, batch_size=data.batch_size, max_cells=data.max_cells)
    least = config.detection.to_dict() | {'threshold': min(THRESHOLDS)}
    names = Setting._fields[:2]
    detectors = [
        Detector(ml_collections.ConfigDict(least | dict(zip(names, pair, strict=True))))
        for pair in lengths
    ]

    def find_all(probs: Any, cell_mpp: np.ndarray) -> list[PaddedCells]:
        return [detect(probs, cell_mpp) for detect in detectors]

    for batch, found, _ in loop.run(engine, find_all, batches, maps_tissue=False):
        for length, cells in zip(lengths, found, strict=True):
            for row in np.flatnonzero(batch['valid']):
                patch, true = cells.of_patch(row), scoring.true_cells(batch, row)
                distance = scoring.match_distance(batch, row, config)
                for threshold in THRESHOLDS:
                    # what is lower than another peak never suppresses it, so these are the peaks
                    # of a higher threshold, too
                    higher = cells.heights[row][: len(patch)] > threshold
                    held = matching.match_cells(
                        patch[higher], true, distance=distance, num_classes=num_classes
                    ).counts
                    counts[Setting(*length, threshold)] += np.stack([held.tp, held.fp, held.gt])
    return counts
