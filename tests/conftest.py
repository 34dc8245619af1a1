"""Fixtures of all tests: the shared data, and small data sets in OCELOT's layout."""

import dataclasses
import json
import os
import pathlib
import tempfile

import browser
import ml_collections
import numpy as np
import pytest
import quick_xla
import slide_results
from commands import Commands
from hypothesis import settings
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = {'train': 'train', 'val': 'val', 'validation': 'val', 'test': 'test'}
# The cell patch covers a quarter of the tissue patch, as in the release.
CELL_MPP, TISSUE_MPP = 0.2, 0.8
# The files that take longest begin first, so that no worker is left with them in the end.
DEAREST = (
    *('test_notebooks', 'test_configs', 'test_train', 'test_preparation', 'test_engines'),
    *('test_ocelot', 'test_predict', 'test_main', 'test_tuning'),
)

# JAX reads them at its first use. The workers of one run, and the processes that tests start,
# find each other's programs.
os.environ.setdefault('XLA_FLAGS', quick_xla.XLA_FLAGS)
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
    _compilations = tempfile.TemporaryDirectory(prefix='compilations-')
    os.environ['JAX_COMPILATION_CACHE_DIR'] = _compilations.name

# The same examples each time, so that one change's tests do not fail by another's bad luck;
# `pytest --hypothesis-profile=default` draws new ones.
settings.register_profile('repeatable', derandomize=True, deadline=None)
settings.load_profile('repeatable')


def pytest_collection_modifyitems(items):
    ranks = {name: rank for rank, name in enumerate(DEAREST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


@pytest.fixture(scope='session')
def shared() -> pathlib.Path:
    """Data kept beside the project, which a plain checkout lacks."""
    path = ROOT.parent / 'shared'
    if not path.is_dir():
        pytest.skip('the shared data folder ../shared is not here')
    return path


def make_release(path, pairs_per_split=None, size=64, seed=0) -> pathlib.Path:
    """Writes a small data set in OCELOT's layout: real JPEG, PNG, CSV and metadata.json.

    Cells are dark disks on a lighter ground; the right half of each tissue patch is CA (2 on
    disk), with a corner of UNK (255). The second pair of every split has no cells.

    Args:
        path: the directory to write; made where it is missing.
        pairs_per_split: number of pairs by split; 2 train, 2 val, 1 test where None.
        size: width and height of both patches.
        seed: of all that is random.

    Returns:
        `path`.
    """
    path = pathlib.Path(path)
    rng = np.random.default_rng(seed)
    entries = {}
    if pairs_per_split is None:
        pairs_per_split = {'train': 2, 'val': 2, 'test': 1}
    for split, count in pairs_per_split.items():
        folder = FOLDERS[split]
        for kind in ('cell', 'tissue'):
            (path / 'images' / folder / kind).mkdir(parents=True, exist_ok=True)
            (path / 'annotations' / folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pair_id = f'{len(entries) + 1:03d}'
            _write_pair(path, folder, pair_id, size, rng, 0 if number == 1 else 6)
            entries[pair_id] = _entry(folder, pair_id, rng)
    path.mkdir(parents=True, exist_ok=True)
    (path / 'metadata.json').write_text(json.dumps({'sample_pairs': entries}))
    return path


def data_config(source):
    """`config.data` for the pairs in a directory."""
    return ml_collections.ConfigDict(
        {
            'source': str(source),
            'cell_classes': ('BC', 'TC'),
            'tissue_classes': ('BG', 'CA'),
            'large_fov': True,
            'folds': 0,
            'fold': 0,
        }
    )


def set_mpps(release, mpps):
    """Gives the cell patches of a data set other um/px, by pair id, and tissue four times them."""
    file = release / 'metadata.json'
    content = json.loads(file.read_text())
    for pair_id, mpp in mpps.items():
        entry = content['sample_pairs'][pair_id]
        for kind, value in (('cell', mpp), ('tissue', 4 * mpp)):
            entry[kind] |= {'resized_mpp_x': value, 'resized_mpp_y': value}
    file.write_text(json.dumps(content))


def _write_pair(path, folder, pair_id, size, rng, cells):
    points = rng.integers(0, size, (cells, 2))
    labels = rng.integers(1, 3, cells)
    image = rng.integers(180, 255, (size, size, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:size, :size]
    for (x, y), label in zip(points, labels, strict=True):
        image[(columns - x) ** 2 + (rows - y) ** 2 <= 9] = (90, 30, 120) if label == 2 else 40
    tissue = rng.integers(150, 255, (size, size, 3), dtype=np.uint8)
    tissue[:, size // 2 :, 1] //= 2
    mask = np.ones((size, size), np.uint8)
    mask[:, size // 2 :] = 2
    mask[: size // 8, : size // 8] = 255
    Image.fromarray(image).save(path / f'images/{folder}/cell/{pair_id}.jpg', quality=95)
    Image.fromarray(tissue).save(path / f'images/{folder}/tissue/{pair_id}.jpg', quality=95)
    Image.fromarray(mask).save(path / f'annotations/{folder}/tissue/{pair_id}.png')
    lines = [f'{x},{y},{label}\n' for (x, y), label in zip(points, labels, strict=True)]
    (path / f'annotations/{folder}/cell/{pair_id}.csv').write_text(''.join(lines))


def _entry(folder, pair_id, rng):
    corner = {'x_start': 0, 'y_start': 0, 'x_end': 1, 'y_end': 1}
    center_x, center_y = rng.choice([0.125, 0.375, 0.5, 0.875], 2).tolist()
    return {
        'slide_name': f'slide-{pair_id}',
        'organ': ['kidney', 'stomach', 'endometrium'][int(pair_id) % 3],
        'subset': folder,
        'mpp_x': CELL_MPP,
        'mpp_y': CELL_MPP,
        'patch_x_offset': center_x,
        'patch_y_offset': center_y,
        'cell': corner | {'resized_mpp_x': CELL_MPP, 'resized_mpp_y': CELL_MPP},
        'tissue': corner | {'resized_mpp_x': TISSUE_MPP, 'resized_mpp_y': TISSUE_MPP},
    }


@pytest.fixture(scope='session')
def commands():
    """Runs commands as their users do."""
    started = Commands()
    yield started
    started.close()


@pytest.fixture(scope='module')
def tab():
    """A page of a browser, where one is installed."""
    if browser.find() is None:
        pytest.skip(f'none of {", ".join(browser.NAMES)} is installed')
    with browser.started() as page:
        yield page


@pytest.fixture
def release_folder(tmp_path) -> pathlib.Path:
    """A fresh data set as `make_release` writes it."""
    return make_release(tmp_path / 'release')


@pytest.fixture(scope='session')
def slide():
    """What was found on a drawn slide."""
    return slide_results.make()


@pytest.fixture(scope='session')
def base(slide):
    """The slide with 500 cells."""
    return dataclasses.replace(slide, cells=slide.cells[:500])
