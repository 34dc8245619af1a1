"""Tunes how cells are detected: `python -m ocelot_jax.tune --workdir=RUN`.

Smoothing, least distance and threshold are chosen by the validation mF1 of the run's best epoch
over a grid around the configuration's values. The choice is kept with the run, in
`detection.json`, and used from then on by whatever applies the run; `tuning.csv` holds the scores
of the whole grid.
"""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ocelot_jax.data.batches import eval_batches
from ocelot_jax.data.sources import Source, open_source
from ocelot_jax.inference import detection, engines, loop
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


def tune_run(workdir: Path) -> Setting:
    """Chooses a run's detection settings and keeps them with it.

    Args:
        workdir: the run's directory.

    Raises:
        FileNotFoundError: the directory holds no run.
        ValueError: the run has no finished epoch, or its data are not there.
    """
    # around the configuration's values, not those of an earlier choice
    run = RunDirectory(workdir)
    run.detection.unlink(missing_ok=True)
    model = loading.load_runs([workdir])
    pairs = open_source(model.config.data, 'validation')
    counts = count_matches(model, pairs)
    classes = model.config.data.cell_classes
    scores = {
        setting: matching.f1_scores(matching.Counts(*values), classes)
        for setting, values in counts.items()
    }
    chosen = max(scores, key=lambda setting: scores[setting]['mF1'])
    rows = [setting._asdict() | row for setting, row in scores.items()]
    files.write_tuning(run.tuning, rows)
    configuration.write_detection(workdir, chosen._asdict())
    values = ', '.join(f'{name} {value:g}' for name, value in chosen._asdict().items())
    print(f'{run.detection}: {values}; validation mF1 {scores[chosen]["mF1"]:.3f}')
    return chosen


def count_matches(model: loading.LoadedRuns, pairs: Source) -> dict[Setting, Any]:
    """Counts of the official score at every point of the grid.

    Args:
        model: a run.
        pairs: N pairs.

    Returns:
        [3,K] int64 by setting: of each class true positives, false positives and true cells.
    """
    config = model.config
    mpp = float(pairs[0]['cell_mpp'])
    engine = engines.of_runs(model)
    lengths = list(
        itertools.product(
            [factor * config.detection.sigma_um for factor in SIGMAS],
            [factor * config.detection.min_distance_um for factor in DISTANCES],
        )
    )
    settings = [Setting(*pair, threshold) for pair in lengths for threshold in THRESHOLDS]
    counts = {setting: np.zeros((3, len(config.data.cell_classes)), int) for setting in settings}
    batches = eval_batches(
        pairs, batch_size=config.data.batch_size, max_cells=config.data.max_cells
    )
    for batch in batches:
        probs, _ = engine(batch)
        for sigma_um, min_distance_um in lengths:
            cells, heights = find_candidates(
                probs,
                sigma=detection.to_pixels(sigma_um, mpp),
                min_distance=detection.to_whole_pixels(min_distance_um, mpp),
                threshold=min(THRESHOLDS),
                max_cells=config.detection.max_cells,
            )
            cells, heights = jax.device_get((cells, heights))
            for row, threshold in itertools.product(np.flatnonzero(batch['valid']), THRESHOLDS):
                # what is lower than another peak never suppresses it, so fewer peaks are these
                found = heights[row] > threshold
                matched = _match(cells, row, found, batch, config).counts
                setting = Setting(sigma_um, min_distance_um, threshold)
                counts[setting] += np.stack([matched.tp, matched.fp, matched.gt])
    return counts


def find_candidates(
    probs: jax.Array, *, sigma: float, **settings: Any
) -> tuple[detection.Cells, jax.Array]:
    """The cells of `detection.detect`, and how high their peaks are.

    Args:
        probs: [B,H,W,1+K].
        sigma: as there.
        **settings: as there.

    Returns:
        The cells, N to the patch, and [B,N] float32; zero in the padding.
    """
    cells = detection.detect(probs, sigma=sigma, **settings)
    heights = _peak_map(jnp.asarray(probs), sigma)
    x, y = jnp.moveaxis(cells.points.astype(jnp.int32), -1, 0)
    heights = heights[jnp.arange(len(heights))[:, None], y, x]
    return cells, jnp.where(cells.labels > 0, heights, 0.0)


_peak_map = jax.jit(detection.peak_map, static_argnums=1)


def _match(
    cells: detection.Cells,
    row: int,
    found: np.ndarray,
    batch: loop.Batch,
    config: ml_collections.ConfigDict,
) -> matching.Match:
    """Matches some of the cells found in one pair of a batch with the true ones."""
    true = batch['cell_count'][row]
    return matching.match_cells(
        cells.points[row, found],
        cells.labels[row, found],
        cells.scores[row, found],
        batch['cell_points'][row, :true],
        batch['cell_labels'][row, :true],
        distance=config.match_distance_um / float(batch['cell_mpp'][row]),
        num_classes=len(config.data.cell_classes),
    )
