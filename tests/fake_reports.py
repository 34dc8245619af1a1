"""Runs as they lie on disk once evaluated, with cells drawn by chance around the true ones."""

import csv
import functools
import importlib
import json

import numpy as np
from ocelot_jax.datasets.pair_folder import PairFolder, as_record

from ocelot_jax import metrics, runs

DISTANCE_UM = 3.0
THRESHOLDS = np.arange(0.1, 0.95, 0.1).round(2)


def make_config(name, source, seed=0, **changes):
    """A configuration by its file's name; `changes` are fields, dots as double underscores."""
    config = importlib.import_module(f'configs.{name}').get_config()
    config.seed, config.data.source = seed, str(source)
    config.num_epochs = 6
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in changes.items()})
    return config


@functools.cache
def records(source, split, cell_classes):
    folder = PairFolder(source, cell_classes=cell_classes).as_data_source(split)
    return [as_record(folder[i]) for i in range(len(folder))]


def write_run(path, config, *, quality=0.7, splits=('validation',), tissue=False, files=True):
    """Writes a run.

    Args:
        path: its directory.
        config: its configuration, of data in OCELOT's layout.
        quality: how many of the true cells are found with their class, about.
        splits: those that were evaluated.
        tissue: whether a tissue branch was scored.
        files: whether the records of pairs and cells, the tuning and the tissue are there too.
    """
    path.mkdir(parents=True)
    runs.write_config(path, config)
    rng = np.random.default_rng([config.seed, int(1e4 * quality)])
    classes = tuple(config.data.cell_classes)
    for split in splits:
        folder = path / 'evaluation' / split
        folder.mkdir(parents=True)
        pairs = records(config.data.source, split, classes)
        slides = {name: rng.normal(0, 0.05) for name in sorted({p['slide_name'] for p in pairs})}
        drawn = [draw_cells(p, quality + slides[p['slide_name']], classes, rng) for p in pairs]
        counts = np.array([found['counts'] for found in drawn])
        masks = np.stack([draw_tissue(pair, quality, rng) for pair in pairs]) if tissue else None
        write_scores(folder, pairs, counts, masks, classes)
        if files:
            write_pairs(folder, pairs, counts, classes)
            write_cells(folder, pairs, drawn, classes)
            if tissue:
                np.savez_compressed(folder / 'tissue.npz', tissue=masks)
    write_metrics(path, config, quality, classes, tissue, rng)
    if files:
        write_tuning(path, quality, rng)
    return path


def draw_cells(pair, quality, classes, rng):
    """Finds some of the cells, some of them in the wrong class, and some where none are."""
    true_points = np.stack([pair['cells']['x'], pair['cells']['y']], axis=-1).astype(float)
    true_labels = np.asarray(pair['cells']['label'])
    mpp = float(pair['cell_mpp'])
    side = len(pair['cell_image'])
    found = rng.random(len(true_labels)) < min(0.95, quality + 0.15)
    points = true_points[found] + rng.normal(0, 0.8 / mpp, (found.sum(), 2))
    right = rng.random(found.sum()) < min(0.97, quality + 0.12)
    labels = np.where(right, true_labels[found], rng.integers(1, len(classes) + 1, found.sum()))
    false = rng.poisson((1 - quality) * 0.6 * len(true_labels) + 0.1)
    points = np.concatenate([points, rng.uniform(0, side - 1, (false, 2))]).clip(0, side - 1)
    labels = np.concatenate([labels, rng.integers(1, len(classes) + 1, false)])
    good = np.concatenate([right, np.zeros(false, bool)])
    scores = np.where(good, rng.beta(5, 1.5, len(good)), rng.beta(2.5, 2, len(good))).round(6)
    distance = DISTANCE_UM / mpp
    match = metrics.match_cells(
        points, labels, scores, true_points, true_labels,
        distance=distance, num_classes=len(classes),
    )  # fmt: skip
    true_of = true_cells(points, scores, true_points, match, distance)
    there = [true_labels[i] if i >= 0 else 0 for i in true_of]
    alone = np.setdiff1d(np.arange(len(true_labels)), true_of)
    return {
        'counts': (match.counts.tp, match.counts.fp, match.counts.gt),
        'found': list(zip(points, labels, scores, match.pred_to_true >= 0, there, strict=True)),
        'missed': list(zip(true_points[alone], true_labels[alone], strict=True)),
    }


def true_cells(points, scores, true_points, match, distance):
    """The true cell at each cell found, whatever its class; -1 where there is none left."""
    true_of = match.pred_to_true.copy()
    [rest], [free] = np.nonzero(true_of < 0), np.nonzero(match.true_to_pred < 0)
    others = metrics.match_cells(
        points[rest], np.ones(len(rest), int), scores[rest],
        true_points[free], np.ones(len(free), int),
        distance=distance, num_classes=1,
    ).pred_to_true  # fmt: skip
    true_of[rest[others >= 0]] = free[others[others >= 0]]
    return true_of


def draw_tissue(pair, quality, rng):
    mask = pair['tissue_mask'][..., 0]
    shift = rng.integers(0, max(1, int((1 - quality) * 0.3 * len(mask))) + 1, 2)
    moved = np.roll(mask, shift, axis=(0, 1))
    return np.where(moved == 255, 0, moved).astype(np.uint8)


def write_scores(folder, pairs, counts, masks, classes):
    organs = np.array([pair['organ'] for pair in pairs])
    rows = {'population': np.ones(len(pairs), bool)}
    rows |= {str(organ): organs == organ for organ in np.unique(organs)}
    table = {}
    for name, chosen in rows.items():
        table[name] = {'pairs': int(chosen.sum())}
        table[name] |= metrics.f1_scores(metrics.Counts(*counts[chosen].sum(axis=0)), classes)
        if masks is not None:
            true = np.stack([pair['tissue_mask'][..., 0] for pair in pairs])[chosen]
            confusion = np.asarray(metrics.confusion(masks[chosen], true, 2))
            table[name] |= metrics.iou_scores(confusion, ('BG', 'CA'))
    (folder / 'scores.json').write_text(json.dumps(table))


def write_csv(path, header, rows):
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_pairs(folder, pairs, counts, classes):
    names = [f'{kind}/{name}' for name in classes for kind in ('TP', 'FP', 'GT')]
    rows = [
        [pair['pair_id'], pair['slide_name'], pair['organ'], *of.T.ravel()]
        for pair, of in zip(pairs, counts, strict=True)
    ]
    write_csv(folder / 'pairs.csv', ['pair_id', 'slide', 'organ', *names], rows)


def write_cells(folder, pairs, drawn, classes):
    names = ('', *classes)
    rows = []
    for pair, cells in zip(pairs, drawn, strict=True):
        for (x, y), label, score, matched, true in cells['found']:
            rows.append([pair['pair_id'], x, y, names[label], score, int(matched), names[true]])
        for (x, y), true in cells['missed']:
            rows.append([pair['pair_id'], x, y, '', '', 0, names[true]])
    header = ['pair_id', 'x', 'y', 'class', 'score', 'matched', 'true']
    write_csv(folder / 'cells.csv', header, rows)


def write_metrics(path, config, quality, classes, tissue, rng):
    rows = []
    for epoch in range(1, config.num_epochs + 1):
        grown = 1 - np.exp(-4 * epoch / config.num_epochs)
        f1 = np.clip(quality * grown + rng.normal(0, 0.02, len(classes)), 0, 1)
        cell, of_tissue = 0.3 + 0.4 * (1 - grown * quality), 0.1 + 0.3 * (1 - grown)
        losses = [cell, cell + of_tissue, of_tissue] if tissue else [cell, cell, '']
        rows.append([epoch, 80 * epoch, *losses, f1.mean(), *f1, *([0.7 * grown] * tissue)])
    names = ['epoch', 'step', 'cell_loss', 'loss', 'tissue_loss', 'mF1']
    names += [f'F1/{name}' for name in classes] + ['mIoU'] * tissue
    write_csv(path / 'metrics.csv', names, rows)


def write_tuning(path, quality, rng):
    best = 0.4
    rows = [
        [sigma, 1.5, threshold, quality - 0.25 * (threshold - best) ** 2 - 0.02 * (sigma != 0.6)]
        for sigma in (0.4, 0.6)
        for threshold in THRESHOLDS
    ]
    write_csv(path / 'tuning.csv', ['sigma_um', 'min_distance_um', 'threshold', 'mF1'], rows)
    chosen = {'sigma_um': 0.6, 'min_distance_um': 1.5, 'threshold': best}
    (path / 'detection.json').write_text(json.dumps(chosen))
