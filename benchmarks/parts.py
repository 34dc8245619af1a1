"""What stands around the network: `python -m benchmarks.parts --size 1024 --batch 1`.

Prints one JSON line each: the input pipeline, augmentation and targets, detection beside
scikit-image's, the evaluation of a split.
"""

import argparse
import functools
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import scipy.ndimage
import skimage.data
import skimage.transform
from PIL import Image

from benchmarks import workload
from benchmarks.step import infer_call, median_seconds
from ocelot_jax.data import augmentation, targets
from ocelot_jax.data.batches import train_batches
from ocelot_jax.data.pair_folder import PairFolder
from ocelot_jax.evaluation import scoring
from ocelot_jax.inference import engines
from ocelot_jax.inference.detector import Detector
from ocelot_jax.models import factory


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--size', type=int, default=1024, help='side of both patches, pixels')
    parser.add_argument('--batch', type=int, default=1, help='pairs')
    parser.add_argument('--pairs', type=int, default=137, help='pairs that are evaluated')
    parser.add_argument('--runs', type=int, default=5, help='calls that are timed')
    options = parser.parse_args()
    config = workload.create_config(options.size, options.batch, augmented=True)
    batch = workload.random_batch(config, options.size)
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(Path(folder), options.size, {'train': options.pairs})
        source = PairFolder(folder).as_data_source('train')
        lines = [
            lambda: measure_pipeline(config, source),
            lambda: measure_augmentation(config, batch, options.runs),
            lambda: measure_detection(config, batch, options.runs),
            lambda: measure_evaluation(config, source),
        ]
        for line in lines:
            print(json.dumps({'size': options.size, 'batch': options.batch} | line()), flush=True)


def measure_pipeline(config: ml_collections.ConfigDict, source: Any) -> dict[str, float]:
    """Pairs a second that the input pipeline reads, decodes and batches, after a first batch."""
    batches = train_batches(
        source, batch_size=config.data.batch_size, seed=0, max_cells=config.data.max_cells
    )
    next(batches)
    count = max(1, 64 // config.data.batch_size)
    start = time.perf_counter()
    for _ in itertools.islice(batches, count):
        pass
    pairs = count * config.data.batch_size
    return {'pipeline_pairs_per_s': round(pairs / (time.perf_counter() - start), 1)}


def measure_augmentation(
    config: ml_collections.ConfigDict, batch: dict[str, Any], runs: int
) -> dict[str, float]:
    """Seconds of augmenting a batch, and of drawing its target."""
    settings = augmentation.Settings(**config.augment)
    augment = jax.jit(functools.partial(augmentation.augment, settings=settings))
    key = jax.random.key(0)
    radius = config.target.disk_radius_um / batch['cell_mpp']
    shape = batch['cell_image'].shape[1:3]
    draw = jax.jit(
        functools.partial(
            targets.cell_probabilities,
            shape=shape,
            num_classes=1 + len(config.data.cell_classes),
            max_radius=9,
            profile=config.target.profile,
        )
    )
    return {
        'augment_s': median_seconds(lambda: augment(key, batch), runs),
        'target_s': median_seconds(
            lambda: draw(batch['cell_points'], batch['cell_labels'], radius), runs
        ),
    }


def measure_detection(
    config: ml_collections.ConfigDict, batch: dict[str, Any], runs: int
) -> dict[str, float]:
    """Seconds of finding a batch's cells, beside scikit-image's and the inference before it."""
    probs = random_probabilities(batch)
    on_device = jnp.asarray(probs)
    detect = Detector(config.detection)
    config.detection.backend = 'skimage'
    reference = Detector(config.detection)
    config.detection.backend = 'jax'
    seconds = median_seconds(lambda: detect(on_device, workload.CELL_MPP), runs)
    inference_seconds = median_seconds(infer_call(config, batch), runs)
    return {
        'cells': int(detect(on_device, workload.CELL_MPP).count.sum()),
        'detect_s': seconds,
        'skimage_s': median_seconds(lambda: reference(probs, workload.CELL_MPP).points, runs),
        'infer_s': inference_seconds,
        'share_of_inference': round(seconds / inference_seconds, 3),
    }


def measure_evaluation(config: ml_collections.ConfigDict, source: Any) -> dict[str, float]:
    """Seconds of predicting, matching and scoring every pair of a split, after compilation."""
    model = factory.create_model(config)
    engine = engines.create('xla', model, [workload.random_variables(model)])
    engine(workload.random_batch(config, source[0]['cell_image'].shape[0]))
    start = time.perf_counter()
    scoring.score_pairs(engine, source, config)
    return {'pairs': len(source), 'evaluation_s': round(time.perf_counter() - start, 2)}


def random_probabilities(batch: dict[str, Any]) -> np.ndarray:
    """[B,H,W,3] float32 maps with a soft peak at each cell of a batch."""
    pairs, height, width, _ = batch['cell_image'].shape
    maps = np.zeros((pairs, height, width, 2), np.float32)
    columns, rows = np.moveaxis(batch['cell_points'].astype(int), -1, 0)
    maps[np.arange(pairs)[:, None], rows, columns, batch['cell_labels'] - 1] = 1
    maps = scipy.ndimage.gaussian_filter(maps, (0, 4, 4, 0))
    maps *= 0.9 / maps.max()
    return np.concatenate([1 - maps.sum(-1, keepdims=True), maps], -1)


def write_pairs(folder: Path, size: int, counts: dict[str, int]) -> None:
    """Writes pairs by split in OCELOT's layout, every image a real stained section of a colon.

    It is shifted, so that no two are the same.
    """
    section = skimage.transform.resize(skimage.data.immunohistochemistry(), (size, size))
    section = (255 * section).astype(np.uint8)
    # cancer where the section is dark
    mask = 1 + (scipy.ndimage.gaussian_filter(section.mean(-1), size / 40) < 180).astype(np.uint8)
    for split, kind in itertools.product(counts, ('cell', 'tissue')):
        (folder / 'images' / split / kind).mkdir(parents=True)
        (folder / 'annotations' / split / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    cells = max(1, 170 * size * size // 1024**2)
    scale = {'resized_mpp_x': workload.CELL_MPP, 'resized_mpp_y': workload.CELL_MPP}
    entries = {}
    splits = [split for split, count in counts.items() for _ in range(count)]
    for number, split in enumerate(splits):
        name = f'{number:03d}'
        points = np.column_stack([rng.integers(0, size, (cells, 2)), rng.integers(1, 3, cells)])
        lines = [','.join(map(str, row)) for row in points.tolist()]
        (folder / f'annotations/{split}/cell/{name}.csv').write_text('\n'.join(lines))
        for kind in ('cell', 'tissue'):
            shift = tuple(rng.integers(0, size, 2))
            image = Image.fromarray(np.roll(section, shift, (0, 1)))
            image.save(folder / f'images/{split}/{kind}/{name}.jpg', quality=90)
        png = Image.fromarray(np.roll(mask, shift, (0, 1)))
        png.save(folder / f'annotations/{split}/tissue/{name}.png')
        entries[name] = {
            'slide_name': name,
            'organ': 'colon',
            'subset': split,
            'patch_x_offset': 0.5,
            'patch_y_offset': 0.5,
            'cell': scale,
            'tissue': {name: 4 * value for name, value in scale.items()},
        }
    (folder / 'metadata.json').write_text(json.dumps({'sample_pairs': entries}))


if __name__ == '__main__':
    main()
