"""What large slides cost, and whether every cell on them is found once.

    python -m benchmarks.slides --sides 5000 20000

draws slides with known cells as tiled pyramidal TIFFs at 0.25 um/px and predicts each in a process
of its own, with a stand-in for the network that knows the cells' colors, so that what is measured
is reading, windows, seams and memory; `--network` computes an untrained Pred-to-inter-2
(ResNet-18) beside it. Windows are of 128 px at 0.5 and 2 um/px. One JSON object a slide: cells
drawn and found, those twice or lost, those that differ from windows predicted one by one, peak
memory, and seconds per mm2 of tissue.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from ocelot_jax.configs import pred_inter2
from scipy.spatial import cKDTree

from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import detection, engines
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Maps
from ocelot_jax.models import factory
from ocelot_jax.slides import foreground, pipeline
from ocelot_jax.slides.slide import Slide

MPP = 0.25
PATCHES = Patches(128, 0.5, 128, 2.0)
_TILE = 512
_SPACING_UM = 12.0
_RADIUS_UM = 3.0
_COLORS = np.array([(60, 60, 160), (120, 20, 60)])
_TISSUE = np.array((225, 150, 190))


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--sides', type=int, nargs='+', default=[5000, 20000], help='pixels')
    parser.add_argument('--network', action='store_true', help='compute a network as well')
    options = parser.parse_args()
    # a fresh process each: peak memory is a process's
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context('spawn')
        for side in options.sides:
            for step in (write_slide, measure):
                process = context.Process(target=step, args=(Path(folder), side, options.network))
                process.start()
                process.join()


def measure(folder: Path, side: int, with_network: bool) -> None:
    """Predicts a slide, checks what was found and prints what it cost."""
    method = make_method(with_network)
    with Slide(folder / f'{side}.tif') as slide:
        start = time.monotonic()
        plan = pipeline.make_plan(slide, method)
        result = pipeline.predict_slide(slide, method, plan, folder / f'work{side}', {})
        seconds = time.monotonic() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        area = foreground.area_mm2(plan.foreground, plan.foreground_mpp, slide.size_um)
        report = {
            'side_px': side,
            'tissue_mm2': round(area, 2),
            'windows': plan.num_windows,
            'peak_mb': round(peak / 1e3),
            'seconds': round(seconds, 1),
        }
        report['seconds_per_mm2'] = round(seconds / report['tissue_mm2'], 1)
        report |= check(result, side)
        report['other_than_one_by_one'] = compare(slide, method, plan, result)
    print(json.dumps(report), flush=True)


def make_method(with_network: bool) -> pipeline.Method:
    """The stand-in, or the stand-in after a network whose answer nobody reads."""
    config = pred_inter2.get_config()
    config.model.encoder_name = 'resnet18'
    config.detection.threshold = 0.3
    engine = by_color
    if with_network:
        model = factory.create_model(config)
        compute = engines.create('xla', model, [factory.empty_variables(model)])

        def engine(batch):
            compute(batch).cell.block_until_ready()
            return by_color(batch)

    detect = Detector(config.detection)
    return pipeline.Method(engine, detect, PATCHES, ('BC', 'TC'), ('BG', 'CA'), batch_size=4)


def by_color(batch: dict[str, np.ndarray]) -> Maps:
    """Probabilities of what each pixel's color is."""
    red, green = (batch['cell_image'][..., i].astype(np.float32) for i in (0, 1))
    cell = np.clip((130 - green) / 130, 0, 1)
    second = np.clip((red - 60) / 60, 0, 1)
    pink = (batch['tissue_image'][..., 1] < 200).astype(np.float32)
    cells = np.stack([1 - cell, cell * (1 - second), cell * second], -1)
    return Maps(cells, np.stack([1 - pink, pink], -1))


def check(result, side: int) -> dict[str, int]:
    """Counts cells that were found, found twice, lost, and found where none is."""
    points, labels = draw_cells(side)
    distance, nearest = cKDTree(points).query(result.micrometres)
    near = distance < 2.0
    times = np.bincount(nearest[near], minlength=len(points))
    return {
        'drawn': len(points),
        'found': len(result.cells),
        'twice': int((times > 1).sum()),
        'lost': int((times == 0).sum()),
        'elsewhere': int((~near).sum()),
        'wrong_class': int((result.cells.labels[near] != labels[nearest[near]]).sum()),
    }


def compare(slide: Slide, method: pipeline.Method, plan: pipeline.Plan, result) -> int:
    """Number of cells that differ from those of the same windows, predicted one by one."""
    layout, p = plan.layout, method.patches
    settings = {'sigma': 1.2, 'min_distance': 3, 'threshold': 0.3, 'max_cells': 2048}
    expected = set()
    for group in plan.groups:
        for window in group.windows:
            x, y = layout.origin(window)
            image = slide.read(x, y, p.cell_size, p.cell_size, p.cell_mpp)[None]
            probs = by_color({'cell_image': image, 'tissue_image': image}).cell
            points = detection.detect(probs, **settings).of_patch(0).points.astype(int)
            points += np.array([x, y])
            own = layout.owners(points) == window
            expected |= set(map(tuple, points[own].tolist()))
    points = np.rint(result.micrometres / p.cell_mpp - 0.5).astype(int)
    return len(expected ^ set(map(tuple, points.tolist())))


def draw_cells(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells [n,2] in micrometres, on a jittered grid, and their labels."""
    rng = np.random.default_rng(side)
    grid = np.arange(0.1 * side * MPP, 0.9 * side * MPP, 1.6 * _SPACING_UM)
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    points += rng.uniform(-0.3, 0.3, points.shape) * _SPACING_UM
    return points, rng.integers(1, 3, len(points))


def write_slide(folder: Path, side: int, _: bool) -> None:
    """Writes a slide tile by tile, with levels of 1, 2.5 and 10."""
    points, labels = draw_cells(side)
    tree = cKDTree(points)
    with tifffile.TiffWriter(folder / f'{side}.tif', bigtiff=True) as writer:
        for ratio in (1.0, 2.5, 10.0):
            size = round(side / ratio)
            density = (1e4 / MPP / ratio,) * 2
            writer.write(
                _tiles(size, side * MPP / size, points, labels, tree),
                shape=(size, size, 3),
                dtype=np.uint8,
                tile=(_TILE, _TILE),
                photometric='rgb',
                compression='zlib',
                subfiletype=int(ratio > 1),
                resolution=density,
                resolutionunit='CENTIMETER',
            )


def _tiles(
    size: int, mpp: float, points: np.ndarray, labels: np.ndarray, tree: cKDTree
) -> Iterator[np.ndarray]:
    """Tiles of a level, row by row: tissue with cells, a rim of glass."""
    for top in range(0, size, _TILE):
        for left in range(0, size, _TILE):
            y, x = ((np.arange(_TILE) + start + 0.5) * mpp for start in (top, left))
            tile = np.full((_TILE, _TILE, 3), 245.0)
            inner = np.outer(*(abs(v / (size * mpp) - 0.5) < 0.42 for v in (y, x)))
            tile[inner] = _TISSUE
            middle = (x.mean(), y.mean())
            reach = _TILE * mpp * 0.71 + _RADIUS_UM
            for cell in tree.query_ball_point(middle, reach):
                columns, rows = (
                    np.flatnonzero(abs(v - c) < _RADIUS_UM)
                    for v, c in zip((x, y), points[cell], strict=True)
                )
                distance = np.hypot(
                    x[columns] - points[cell][0], y[rows][:, None] - points[cell][1]
                )
                depth = np.clip(1 - (distance / _RADIUS_UM) ** 2, 0, None)[..., None]
                place = np.ix_(rows, columns)
                tile[place] += depth * (_COLORS[labels[cell] - 1] - tile[place])
            yield np.rint(tile).astype(np.uint8)


if __name__ == '__main__':
    main()
