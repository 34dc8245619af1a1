"""Files of a slide with millions of cells: `python -m benchmarks.writers`.

A slide of 100,000 x 80,000 px at 0.25 um/px that was never predicted, with cells at random places
and patches of cancer, through everything that `slides.outputs` writes. Prints a JSON line: seconds
and megabytes of each file's writer, in the order of work, the process's peak after each, and what
it held before (Linux).
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.ndimage

from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides import (
    annotations,
    geojson,
    h5ad,
    outputs,
    page,
    summary,
    tables,
    tissue_map,
)
from ocelot_jax.slides.result import SlideResult

_WIDTH, _HEIGHT, _MPP = 100_000, 80_000, 0.25
_TISSUE_MPP, _COARSE_MPP = 0.8, 16.0


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--cells', type=int, default=5_000_000)
    count = parser.parse_args().cells
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = draw(count, folder / 'tissue.raw')
        report = {'cells': count, 'before_mb': _peak_mb(), 'writers': {}}
        (folder / 'out').mkdir()
        _watch(report['writers'])
        start = time.perf_counter()
        outputs.write(result, folder / 'out')
        report |= {'seconds': round(time.perf_counter() - start, 1), 'peak_mb': _peak_mb()}
        sizes = {path.name: path.stat().st_size for path in (folder / 'out').iterdir()}
        report['files_mb'] = {key: round(size / 1e6, 1) for key, size in sorted(sizes.items())}
    print(json.dumps(report), flush=True)


def draw(count: int, file: Path) -> SlideResult:
    """Makes up a slide, its tissue map in a file, as prediction leaves it."""
    rng = np.random.default_rng(0)
    size = [round(length * _MPP / _COARSE_MPP) for length in (_HEIGHT, _WIDTH)]
    cancer = scipy.ndimage.gaussian_filter(rng.standard_normal(size), 8) > 0
    shape = [round(length * _MPP / _TISSUE_MPP) for length in (_HEIGHT, _WIDTH)]
    tissue = np.memmap(file, np.uint8, 'w+', shape=tuple(shape))
    columns = (np.arange(shape[1]) * _TISSUE_MPP / _COARSE_MPP).astype(int)
    for top in range(0, shape[0], 500):
        rows = np.arange(top, min(top + 500, shape[0])) * _TISSUE_MPP / _COARSE_MPP
        coarse = cancer[np.minimum(rows.astype(int), size[0] - 1)][
            :, np.minimum(columns, size[1] - 1)
        ]
        # single pixels differ from their surroundings, as a network's map has it at borders
        tissue[top : top + 500] = coarse ^ (rng.random(coarse.shape) < 0.001)
    tissue.flush()
    return SlideResult(
        name='drawn',
        width=_WIDTH,
        height=_HEIGHT,
        mpp=_MPP,
        cell_classes=('BC', 'TC'),
        tissue_classes=('BG', 'CA'),
        cells=Cells(
            rng.random((count, 2)) * (_WIDTH - 1, _HEIGHT - 1),
            rng.integers(1, 3, count, np.int32),
            rng.random(count, np.float32),
        ),
        tissue=tissue,
        tissue_mpp=_TISSUE_MPP,
        foreground=np.ones(size, bool),
        foreground_mpp=_COARSE_MPP,
        thumbnail=rng.integers(100, 200, (*size, 3), np.uint8),
        samples=(),
    )


def _watch(told: dict[str, dict[str, float]]) -> None:
    """Has what `outputs.write` calls tell its seconds, and the process's peak after it."""
    for module, names in (
        (tables, ['write']),
        (geojson, ['write']),
        (h5ad, ['write']),
        (tissue_map, ['write']),
        (annotations, ['write']),
        (summary, ['summarise', 'write_csv', 'write_json']),
        (page, ['write']),
    ):
        for name in names:
            label = f'{module.__name__.split(".")[-1]}.{name}'
            setattr(module, name, _timed(getattr(module, name), label, told))


def _timed(function: Callable, label: str, told: dict[str, dict[str, float]]) -> Callable:
    def timed(*arguments):
        start = time.perf_counter()
        value = function(*arguments)
        seconds = round(time.perf_counter() - start, 1)
        told[label] = {'seconds': seconds, 'peak_mb': _peak_mb()}
        return value

    return timed


def _peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


if __name__ == '__main__':
    main()
