"""Tunes how cells are detected, by the validation mF1 of a run's best epoch.

Smoothing, least distance and threshold are searched on a grid around the configuration's values;
then the temperature that makes confidences mean how often a cell is a true one. The choice is kept
with the run and used from then on by whatever applies the run.
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
from ocelot_jax.metrics import calibration, matching
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
    """What tuning a run gave.

    Attributes:
        file: where the choice is kept.
        setting: the choice.
        temperature: of the confidences of the cells found with it.
        score: validation mF1 of the choice.
    """

    file: Path
    setting: Setting
    temperature: float
    score: float

    def render(self) -> str:
        """One line for people."""
        values = ', '.join(f'{name} {value:g}' for name, value in self.setting._asdict().items())
        return (
            f'{self.file}: {values}, temperature {self.temperature:.2f}; '
            f'validation mF1 {self.score:.3f}'
        )


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
    temperature = find_temperature(engine, pairs, run.config, chosen)
    files.write_tuning(written.tuning, rows)
    kept = chosen._asdict() | {'temperature': temperature}
    configuration.write_detection(written.detection, kept)
    return Tuned(written.detection, chosen, temperature, scores[chosen]['mF1'])


def find_temperature(
    engine: Engine, pairs: Source, config: ml_collections.ConfigDict, setting: Setting
) -> float:
    """The temperature of the confidences of the cells that a setting finds.

    Args:
        engine: the run's.
        pairs: the validation split.
        config: as `configs/default.py`.
        setting: what was chosen.
    """
    config = config.copy_and_resolve_references()
    config.detection.update(setting._asdict() | {'temperature': 1.0})
    results = list(scoring.find_pairs(engine, pairs, config))
    return calibration.fit_temperature(
        np.concatenate([result.found.scores for result in results]),
        np.concatenate([result.match.pred_to_true >= 0 for result in results]),
    )


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
