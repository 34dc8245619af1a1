"""Tunes how cells are detected, by the validation mF1 of a run's best epoch.

Smoothing, least distance and threshold are searched on a grid around the configuration's values;
then the temperature that makes confidences mean how often a cell is a true one. The choice is kept
with the run and used from then on by whatever applies the run.
"""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from ocelot_jax.data.batches import eval_batches
from ocelot_jax.data.sources import Source, identify, open_source
from ocelot_jax.evaluation import scoring
from ocelot_jax.inference import engines, loop
from ocelot_jax.inference.detection import PaddedCells
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Engine
from ocelot_jax.io import disk, progress
from ocelot_jax.io.names import AnyPath
from ocelot_jax.metrics import calibration, matching
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.runs import configuration, files, loading, provenance
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


def tune_run(workdir: AnyPath, output: AnyPath | None = None) -> Tuned:
    """Chooses the detection settings of the run in `workdir` and keeps them with it.

    Args:
        workdir: the run's directory.
        output: a folder to keep them in instead.

    Raises:
        InputError: the run has no finished epoch, its data are not there, or `output` holds
            what was tuned for another run.
        MissingFileError: the directory holds no run.
        OutputError: nothing can be written there.
    """
    # around the configuration's values, not those of an earlier choice
    run = loading.load_runs([workdir], tuned=False)
    written = RunDirectory(Path(output or workdir))
    disk.make_folder(written.path)
    if output is not None:
        provenance.check_tuned(written.detection, run)
    engine = engines.of_runs(run)
    pairs = open_source(run.config.data, 'validation')
    matched = match_cells(engine, pairs, run.config)
    classes = run.config.data.cell_classes
    scores = {
        setting: matching.f1_scores(matching.Counts(*held.counts), classes)
        for setting, held in matched.items()
    }
    # of equally good ones that of the configuration, as where no cell is found
    own = Setting(*(run.config.detection[name] for name in Setting._fields))
    chosen = max(scores, key=lambda setting: (scores[setting]['mF1'], setting == own))
    rows = [setting._asdict() | row for setting, row in scores.items()]
    temperature = calibration.fit_temperature(matched[chosen].scores, matched[chosen].taken)
    files.write_tuning(written.tuning, rows)
    origin = provenance.origin(run, identify(run.config.data, 'validation'))
    kept = chosen._asdict() | {'temperature': temperature, 'origin': origin}
    configuration.write_detection(written.detection, kept)
    return Tuned(written.detection, chosen, temperature, scores[chosen]['mF1'])


class Matched(NamedTuple):
    """What a setting finds in a split, n cells.

    Attributes:
        counts: [3,K] int64, of each class true positives, false positives and true cells.
        scores: [n] float32, confidences at temperature 1.
        taken: [n] bool, whether a cell is a true one.
    """

    counts: np.ndarray
    scores: np.ndarray
    taken: np.ndarray


def match_cells(
    engine: Engine, pairs: Source, config: ml_collections.ConfigDict
) -> dict[Setting, Matched]:
    """Finds and matches cells at every point of the grid around `config.detection`."""
    # without smoothing all sigmas are one
    sigmas = dict.fromkeys(factor * config.detection.sigma_um for factor in SIGMAS)
    distances = [factor * config.detection.min_distance_um for factor in DISTANCES]
    thresholds = sorted({*THRESHOLDS, config.detection.threshold})
    lengths = list(itertools.product(sigmas, distances))
    settings = [Setting(*pair, threshold) for pair in lengths for threshold in thresholds]
    num_classes = len(config.data.cell_classes)
    parts: dict[Setting, list[Matched]] = {setting: [] for setting in settings}
    data = config.data
    batches = eval_batches(pairs, batch_size=data.batch_size, max_cells=data.max_cells)
    least = config.detection.to_dict() | {'threshold': thresholds[0], 'temperature': 1.0}
    names = Setting._fields[:2]
    detectors = [
        Detector(ml_collections.ConfigDict(least | dict(zip(names, pair, strict=True))))
        for pair in lengths
    ]

    def find_all(probs: Any, cell_mpp: np.ndarray) -> list[PaddedCells]:
        return [detect(probs, cell_mpp) for detect in detectors]

    found_all = loop.run(engine, find_all, batches, maps_tissue=False)
    count = math.ceil(len(pairs) / data.batch_size)
    for batch, found, _ in progress.track(found_all, 'trying settings', count, 'batches'):
        for length, cells in zip(lengths, found, strict=True):
            for row in np.flatnonzero(batch['valid']).tolist():
                patch, true = cells.of_patch(row), scoring.true_cells(batch, row)
                distance = scoring.match_distance(batch, row, config)
                heights = np.asarray(cells.heights[row])
                for threshold in thresholds:
                    # what is lower than another peak never suppresses it, so these are the peaks
                    # of a higher threshold, too
                    higher = patch[heights[: len(patch)] > threshold]
                    parts[Setting(*length, threshold)].append(
                        _match(higher, true, distance, num_classes)
                    )
    return {setting: _join(held) for setting, held in parts.items()}


def _match(found: Cells, true: Cells, distance: float, num_classes: int) -> Matched:
    match = matching.match_cells(found, true, distance=distance, num_classes=num_classes)
    counts = np.stack([match.counts.tp, match.counts.fp, match.counts.gt])
    return Matched(counts, found.scores, match.pred_to_true >= 0)


def _join(parts: Sequence[Matched]) -> Matched:
    counts, scores, taken = zip(*parts, strict=True)
    return Matched(np.sum(counts, axis=0), np.concatenate(scores), np.concatenate(taken))
