"""Scores a file of predictions in the challenge's format against a data set."""

import math
import os

import numpy as np

from ocelot_jax.data import release, validation
from ocelot_jax.data.pair_folder import PairFolder
from ocelot_jax.evaluation import challenge
from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells


def score_file(
    predictions: str | os.PathLike[str],
    folder: PairFolder,
    split: str,
    match_distance_um: float = 3.0,
) -> dict[str, float]:
    """Scores a file of predictions; of the images it reads the sizes alone.

    Args:
        predictions: JSON file in the challenge's format (`evaluation.challenge`);
            `image_<i>` is the pair of rank i in the split sorted by pair id.
        folder: the data set, whose cell classes the labels are.
        split: 'train', 'validation' (or 'val') or 'test'.
        match_distance_um: the cutoff, made pixels by each cell patch's micrometres per pixel.

    Returns:
        The scores, as `metrics.f1_scores` names them.

    Raises:
        FileNotFoundError: there is no such file of predictions.
        InputError: the predictions, the annotations or the arguments are not as they should be.
    """
    if not (match_distance_um > 0 and math.isfinite(match_distance_um)):
        raise InputError(f'match_distance_um is {match_distance_um}; want micrometres above 0')
    pairs = folder.as_data_source(split).pairs
    num_classes = len(folder.cell_classes)
    found = challenge.read(predictions, num_images=len(pairs), num_classes=num_classes)
    true, duplicates = [], {}
    for pair in pairs:
        size = folder.size('cell_image', pair.split, pair.pair_id)
        cells = folder.decode('cells', pair.split, pair.pair_id, size)
        if count := release.count_duplicates(cells):
            duplicates[folder.name('cells', pair.split, pair.pair_id)] = count
        true.append(Cells.annotated(np.stack([cells['x'], cells['y']], axis=-1), cells['label']))
    validation.warn_of_duplicates(folder.files, duplicates)
    return matching.score_cells(
        found,
        true,
        mpp=[pair.cell_mpp for pair in pairs],
        class_names=folder.cell_classes,
        distance_um=match_distance_um,
    )
