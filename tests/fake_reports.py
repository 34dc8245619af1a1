"""Runs as they lie on disk once evaluated, with cells drawn by chance around the true ones."""

import functools
import importlib

import numpy as np
from ml_collections import FrozenConfigDict

from ocelot_jax.data import sources
from ocelot_jax.evaluation import outcomes, scoring
from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.runs import configuration, files
from ocelot_jax.runs.directory import RunDirectory

THRESHOLDS = np.arange(0.1, 0.95, 0.1).round(2)


def make_config(name, source, seed=0, **changes):
    """A configuration by its file's name; `changes` are fields, dots as double underscores."""
    config = importlib.import_module(f'ocelot_jax.configs.{name}').get_config()
    config.seed, config.data.source = seed, str(source)
    config.num_epochs = 6
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in changes.items()})
    return config


@functools.cache
def read_pairs(data, split):
    """The pairs of a split; `data` is `config.data`, frozen."""
    return list(sources.open_source(data, split))


def write_run(path, config, *, quality=0.7, splits=('validation',), tissue=False, records=True):
    """Writes a run.

    Args:
        path: its directory.
        config: its configuration, of data in OCELOT's layout.
        quality: how many of the true cells are found with their class, about.
        splits: those that were evaluated.
        tissue: whether a tissue branch was scored.
        records: whether the records of pairs and cells, the tuning and the tissue are there too.
    """
    path.mkdir(parents=True)
    configuration.write_config(path, config)
    rng = np.random.default_rng([config.seed, int(1e4 * quality)])
    for split in splits:
        written = RunDirectory(path).evaluation(split)
        written.path.mkdir(parents=True)
        pairs = read_pairs(FrozenConfigDict(config.data), split)
        slides = {name: rng.normal(0, 0.05) for name in sorted({p['slide_name'] for p in pairs})}
        found = [
            predict(i, pair, quality + slides[pair['slide_name']], config, tissue, rng)
            for i, pair in enumerate(pairs)
        ]
        evaluation = scoring.count(found, len(pairs), config)
        files.write_scores(written, scoring.tabulate(evaluation, config))
        if records:
            outcomes.write(found, written, config)
    write_metrics(path, config, quality, tissue, rng)
    if records:
        write_tuning(path, quality)
    return path


def predict(index, pair, quality, config, tissue, rng):
    """Finds some of the cells, some of them in the wrong class, and some where none are."""
    classes = len(config.data.cell_classes)
    true_points = np.stack([pair['cells']['x'], pair['cells']['y']], axis=-1)
    true_labels = np.asarray(pair['cells']['label'])
    mpp, side = float(pair['cell_mpp']), len(pair['cell_image'])
    found = rng.random(len(true_labels)) < min(0.95, quality + 0.15)
    points = true_points[found] + rng.normal(0, 0.8 / mpp, (found.sum(), 2))
    right = rng.random(found.sum()) < min(0.97, quality + 0.12)
    labels = np.where(right, true_labels[found], rng.integers(1, classes + 1, found.sum()))
    false = rng.poisson((1 - quality) * 0.6 * len(true_labels) + 0.1)
    points = np.concatenate([points, rng.uniform(0, side - 1, (false, 2))]).clip(0, side - 1)
    labels = np.concatenate([labels, rng.integers(1, classes + 1, false)])
    good = np.concatenate([right, np.zeros(false, bool)])
    scores = np.where(good, rng.beta(5, 1.5, len(good)), rng.beta(2.5, 2, len(good)))
    cells = Cells(points.astype(np.float32), labels, scores.astype(np.float32))
    true, distance = Cells.annotated(true_points, true_labels), config.match_distance_um / mpp
    return scoring.PairResult(
        index=index,
        pair_id=pair['pair_id'],
        slide=pair['slide_name'],
        organ=pair['organ'],
        found=cells,
        true=true,
        distance=distance,
        match=matching.match_cells(cells, true, distance=distance, num_classes=classes),
        tissue=draw_tissue(pair, quality, rng) if tissue else None,
        true_tissue=pair['tissue_mask'][..., 0],
    )


def draw_tissue(pair, quality, rng):
    mask = pair['tissue_mask'][..., 0]
    shift = rng.integers(0, max(1, int((1 - quality) * 0.3 * len(mask))) + 1, 2)
    moved = np.roll(mask, shift, axis=(0, 1))
    return np.where(moved == 255, 0, moved).astype(np.uint8)


def write_metrics(path, config, quality, tissue, rng):
    classes = config.data.cell_classes
    for epoch in range(1, config.num_epochs + 1):
        grown = 1 - np.exp(-4 * epoch / config.num_epochs)
        f1 = np.clip(quality * grown + rng.normal(0, 0.02, len(classes)), 0, 1)
        cell, of_tissue = 0.3 + 0.4 * (1 - grown * quality), 0.1 + 0.3 * (1 - grown)
        metrics = {'cell_loss': cell, 'loss': cell + tissue * of_tissue, 'mF1': f1.mean()}
        metrics |= {f'F1/{name}': value for name, value in zip(classes, f1, strict=True)}
        metrics |= {'tissue_loss': of_tissue, 'mIoU': 0.7 * grown} if tissue else {}
        metrics['step_seconds'] = 0.25 * epoch
        files.write_epoch(RunDirectory(path).metrics, epoch, 80 * epoch, metrics)


def write_tuning(path, quality):
    best = 0.4
    rows = [
        {
            'sigma_um': sigma,
            'min_distance_um': 1.5,
            'threshold': threshold,
            'mF1': quality - 0.25 * (threshold - best) ** 2 - 0.02 * (sigma != 0.6),
        }
        for sigma in (0.4, 0.6)
        for threshold in THRESHOLDS
    ]
    files.write_tuning(RunDirectory(path).tuning, rows)
    chosen = {'sigma_um': 0.6, 'min_distance_um': 1.5, 'threshold': best}
    configuration.write_detection(RunDirectory(path).detection, chosen)
