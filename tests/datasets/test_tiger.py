"""The records of a small TIGER, against an independent reading of Algorithms 1 and 2."""

import collections
import functools
import hashlib
import json
import shutil
import weakref

import numpy as np
import pytest
import tensorflow_datasets as tfds
from apache_beam.runners.portability import fn_api_runner
from ocelot_jax.datasets import builder
from ocelot_jax.datasets.tiger import plan, records, release, tiger_dataset_builder
from ocelot_jax.datasets.tiger.tiger_dataset_builder_test import TigerTest as TigerTest
from PIL import Image
from skimage import measure
from tensorflow_datasets.core import shuffle
from tiger_release import (
    CELL_ROIS,
    OTHERS,
    REGIONS,
    ROOT,
    SHIFT,
    color,
    file_name,
    grid,
    place,
    tissue,
    write_tiger,
)  # fmt: skip

from ocelot_jax.data import images, preparation, sources
from ocelot_jax.io.errors import InputError

CLASSES = {0: 255, 1: 0, 2: 1, 3: 0, 4: 0, 5: 0, 6: 1, 7: 0}


# ---- an independent reading of the paper, with one of its slips where asked for


def cells_of_patch(boxes, left, top, slip):
    """Cells (x, y) of a patch: centers of boxes, one after the other."""
    found = []
    for box_x, box_y, width, height in boxes:
        x, y = box_x + width / 2 - left, box_y + height / 2 - top
        if slip == 'line 18: all boxes' or (0 <= x < 128 and 0 <= y < 128):
            found.append((np.float32(x - 0.5), np.float32(y - 0.5)))
    return sorted(found)


def algorithm_1(boxes, slip=None):
    """Pairs (slide, cell patch's place, tissue patch's place, cells): a search of all places."""
    reach = 128 * (5 if slip == 'line 14: 5 steps' else 4)
    for roi in CELL_ROIS:
        slide, left, top, width, height = roi
        if width < 128 or height < 128:
            continue
        for name, r_left, r_top, r_width, r_height in REGIONS:
            if name != slide:
                continue
            x, y = grid(r_left, r_top, r_width, r_height)
            whole = (x + 512 <= r_left + r_width) & (y + 512 <= r_top + r_height)
            around = (left - reach < x) & (x <= left) & (top - reach < y) & (y <= top)
            on_grid = ((left - x) % 128 == 0) & ((top - y) % 128 == 0)
            corner = (0, 0)
            if slip == 'line 13: boxes by the place in the region':
                corner = (left - r_left, top - r_top)
            cells = cells_of_patch(boxes[file_name(*roi)], *corner, slip)
            for row, column in np.argwhere(whole & around & on_grid).tolist():
                yield slide, (left, top), (r_left + column, r_top + row), cells


def algorithm_2(boxes, slip=None):
    """Likewise; places that the algorithm reaches by steps."""
    reach = 128 * (5 if slip == 'line 14: 5 steps' else 4)
    for slide, left, top, width, height in OTHERS:
        if width <= 1024 or height <= 1024:
            continue
        own = boxes[file_name(slide, left, top, width, height)]
        for y in range(0, height, 512):
            for x in range(0, width, 512):
                whole = y + 512 <= height and x + 512 <= width
                if not whole and slip != 'line 8: one step more':
                    continue
                for down in range(0, reach, 128):
                    for right in range(0, reach, 128):
                        at = (x + right, y + down)
                        filtered = (right + y, at[1]) if slip == 'line 17: x_c + y_t' else at
                        cells = cells_of_patch(own, *filtered, slip)
                        yield slide, (left + at[0], top + at[1]), (left + x, top + y), cells


def expected(boxes, slip=None):
    """Places of the tissue patches and cells, by slide, the cell patch's place and center."""
    pairs = {}
    for algorithm in (algorithm_1, algorithm_2):
        for slide, cell, tissue_at, cells in algorithm(boxes, slip):
            center = tuple((c - t + 64) / 512 for c, t in zip(cell, tissue_at, strict=True))
            assert (slide, *cell, *center) not in pairs
            pairs[(slide, *cell, *center)] = (tissue_at, cells)
    return pairs


@pytest.fixture(scope='module')
def tiger(tmp_path_factory):
    """A small TIGER, prepared in both formats: boxes by file name, and where all is."""
    path = tmp_path_factory.mktemp('tiger')
    boxes = write_tiger(path / 'manual' / ROOT)
    directory = preparation.prepare('tiger', path / 'data', path / 'manual')
    assert directory == path / 'data/tiger/1.0.0'
    return boxes, path


@pytest.fixture(scope='module')
def wanted(tiger):
    return expected(tiger[0])


def read(data_dir):
    """All records, by split."""
    held = tfds.builder_from_directory(data_dir / 'tiger/1.0.0')
    return {
        split: [sources.as_record(example) for example in held.as_data_source(split)]
        for split in held.info.splits
    }


@pytest.fixture(scope='module')
def built_splits(tiger):
    return read(tiger[1] / 'data')


@pytest.fixture(scope='module')
def built(built_splits):
    """All records, by slide, the cell patch's place (told by its first pixel) and center."""
    found = {}
    for record in (record for own in built_splits.values() for record in own):
        x, y = place(record['cell_image'][0, 0])
        key = (record['slide_name'], x, y % SHIFT, *record['center'].tolist())
        assert key not in found
        found[key] = record
    return found


def test_pairs_are_those_of_the_algorithms(wanted, built):
    assert built.keys() == wanted.keys()
    # counted by hand
    counted = collections.Counter(slide for slide, *_ in built)
    others = {'100B': 96, '100S': 96, 'TC_S01_P000054_C0001_B101': 64, '122S': 64}
    tcga = [16 + 2 + 1 + 2, 2, 6 + 6, 1 + 1]
    assert counted == others | dict(zip([REGIONS[i][0] for i in (0, 2, 3, 4)], tcga, strict=True))


def test_cells_are_those_of_the_algorithms(wanted, built):
    for key, (_, cells) in wanted.items():
        found = built[key]['cells']
        assert sorted(zip(found['x'], found['y'], strict=True)) == cells
        assert set(found['label']) <= {1}


def test_each_box_is_in_one_cell_patch_of_a_large_region(tiger, built):
    for roi in OTHERS[:4]:
        found = [
            (key[1] - roi[1] + x, key[2] - roi[2] + y)
            for key, record in built.items()
            if key[0] == roi[0]
            for x, y in zip(record['cells']['x'], record['cells']['y'], strict=True)
        ]
        wanted = [
            (x + width / 2 - 0.5, y + height / 2 - 0.5)
            for x, y, width, height in tiger[0][file_name(*roi)]
            if x + width / 2 < roi[3] // 512 * 512 and y + height / 2 < roi[4] // 512 * 512
        ]
        np.testing.assert_allclose(sorted(found), sorted(wanted), atol=1e-3)


def test_cell_patches_are_the_pixels_of_their_file(built):
    for (slide, x, y, *_), record in built.items():
        shift = SHIFT if slide.startswith('TCGA') else 0
        wanted = color(*grid(x, y + shift, 128, 128))
        np.testing.assert_array_equal(record['cell_image'], wanted)


@functools.cache
def shrunk(left, top):
    """Mean colors and nearest classes of the tissue patch at a place."""
    x, y = grid(left, top, 512, 512)
    classes = tissue(x, y)
    remapped = sum((classes == k) * np.uint8(v) for k, v in CLASSES.items()).astype(np.uint8)
    return (
        measure.block_reduce(color(x, y).astype(float), (4, 4, 1), np.mean),
        np.asarray(Image.fromarray(remapped).resize((128, 128), Image.NEAREST)),
    )


def test_tissue_patches_are_means_and_nearest_classes_of_crops(wanted, built):
    for key, (at, _) in wanted.items():
        mean, classes = shrunk(*at)
        assert built[key]['tissue_image'].shape == (128, 128, 3)
        assert np.abs(built[key]['tissue_image'] - mean).max() <= 0.5
        np.testing.assert_array_equal(built[key]['tissue_mask'][..., 0], classes)


def test_all_classes_are_there(built):
    assert {*np.unique([record['tissue_mask'] for record in built.values()])} == {0, 1, 255}


def test_center_is_where_the_cell_patch_lies(built):
    for (_, x, y, *_), record in built.items():
        size = len(record['tissue_image'])
        extent = len(record['cell_image']) * record['cell_mpp'] / record['tissue_mpp']
        left, top = (float(size * c - extent / 2) for c in record['center'])
        assert (left, top) == (int(left), int(top))
        # the crop's first pixel is the mean over 4 x 4 pixels of the cell patch
        wanted = color(*grid(x, y, 4, 4)).reshape(-1, 3).mean(0)
        assert np.abs(record['tissue_image'][int(top), int(left)] - wanted).max() <= 0.5


@pytest.mark.parametrize(
    'slip',
    [
        'line 8: one step more',
        'line 13: boxes by the place in the region',
        'line 14: 5 steps',
        'line 17: x_c + y_t',
        'line 18: all boxes',
    ],
)
def test_a_builder_with_the_paper_s_slip_would_be_found(slip, tiger, wanted):
    """The tests above hold the records to `wanted`, which each slip changes."""
    slipped = expected(tiger[0], slip)
    if slip in ('line 8: one step more', 'line 14: 5 steps'):
        assert slipped.keys() > wanted.keys()
    else:
        assert slipped.keys() == wanted.keys()
        assert any(slipped[key] != wanted[key] for key in wanted)


def test_the_tissue_patch_is_shrunk_not_the_whole_image(built):
    """Line 12 of Algorithm 2 shrinks `img`."""
    for slide, *box in OTHERS:
        whole = Image.fromarray(color(*grid(*box))).resize((128, 128), Image.BOX)
        for key, record in built.items():
            if key[0] == slide:
                assert np.abs(record['tissue_image'] - np.asarray(whole, int)).mean() > 5


def test_records_are_complete(built):
    for record in built.values():
        assert record['organ'] == 'breast'
        assert (record['cell_mpp'], record['tissue_mpp']) == (0.5, 2.0)
        # line 16 of Algorithm 2 cuts the cell patch with the tissue patch's size
        assert record['cell_image'].shape == (128, 128, 3)
        assert record['tissue_mask'].shape == (128, 128, 1)
        assert record['pair_id'].startswith(f'{record["slide_name"]}_[')
    assert len({record['pair_id'] for record in built.values()}) == len(built)


def test_features_are_the_common_ones(tiger):
    features = tiger_dataset_builder.Builder(data_dir=tiger[1] / 'data').info.features
    assert features['cells']['label'].names == ['no cell', 'LC']
    assert features['cell_image'].encoding_format == 'png'


def test_patients_are_in_one_split_each(built_splits):
    patient = {'100B': '100', '100S': '100'} | {roi[0]: roi[0][:12] for roi in REGIONS}
    patients = {
        split: {patient.get(record['slide_name'], record['slide_name']) for record in own}
        for split, own in built_splits.items()
    }
    assert patients.keys() == {'train', 'validation', 'test'}
    assert sorted(map(len, patients.values())) == [2, 2, 2]
    assert len(set().union(*patients.values())) == 6
    # and the two kinds of sample are in all splits
    for own in patients.values():
        assert len([name for name in own if name.startswith('TCGA')]) == 1


def test_both_formats_hold_the_same(tiger, built_splits):
    held = tfds.builder_from_directory(tiger[1] / 'data/tiger/1.0.0')
    for split, own in built_splits.items():
        loaded = list(tfds.as_numpy(held.as_dataset(split)))
        for one, other in zip(loaded, own, strict=True):
            np.testing.assert_equal(sources.as_record(one), other)


def test_beam_builds_the_same_records(tiger, built_splits):
    path = tiger[1]
    # what `DirectRunner` falls back to where it cannot download another runner
    runner = fn_api_runner.FnApiRunner()
    config = tfds.download.DownloadConfig(manual_dir=path / 'manual', beam_runner=runner)
    tiger_dataset_builder.Builder(data_dir=path / 'beam').download_and_prepare(
        download_config=config, file_format='array_record'
    )
    by_beam = read(path / 'beam')
    assert by_beam.keys() == built_splits.keys()
    for split, own in built_splits.items():
        by_id = {record['pair_id']: record for record in by_beam[split]}
        assert len(by_id) == len(by_beam[split]) == len(own)
        for record in own:
            np.testing.assert_equal(by_id[record['pair_id']], record)


def test_records_sorted_on_disk_are_the_same_in_the_same_order(tiger, built_splits, monkeypatch):
    monkeypatch.setattr(builder, '_SHUFFLE_BYTES', 1000)
    spilled = []
    add = shuffle.Shuffler._add_to_bucket
    monkeypatch.setattr(
        shuffle.Shuffler, '_add_to_bucket', lambda *args: spilled.append(1) or add(*args)
    )
    before = shuffle.MAX_MEM_BUFFER_SIZE
    config = tfds.download.DownloadConfig(manual_dir=tiger[1] / 'manual')
    tiger_dataset_builder.Builder(data_dir=tiger[1] / 'disk').download_and_prepare(
        download_config=config, file_format='array_record'
    )
    assert len(spilled) == sum(map(len, built_splits.values()))
    assert before == shuffle.MAX_MEM_BUFFER_SIZE
    for split, own in read(tiger[1] / 'disk').items():
        np.testing.assert_equal(own, built_splits[split])


def test_one_region_is_in_memory_at_a_time(tiger, monkeypatch):
    root = tiger[1] / 'manual' / ROOT
    loaded = []

    def tracked(load):
        def track(*args):
            array = load(*args).copy()  # owns its memory, which crops would keep alive
            loaded.append(weakref.ref(array))
            return array

        return track

    rois = release.read_rois(root)
    monkeypatch.setattr(release, 'load_image', tracked(release.load_image))
    monkeypatch.setattr(release, 'load_mask', tracked(release.load_mask))
    unprepared = tiger_dataset_builder.Builder(data_dir=tiger[1] / 'nothing')
    most = 0
    for _ in unprepared._generate_examples(root, plan.plan(rois)):
        alive = [array().shape[:2] for array in loaded if array() is not None]
        large = [shape for shape in alive if min(shape) >= 512]
        assert len(large) == 2  # an image and its mask
        assert len(set(large)) == 1
        most = max(most, len(alive))
    assert most <= 3  # and the cell ROI at most
    assert len(loaded) > 20


def test_a_cell_roi_goes_with_the_region_that_shows_more_around_it(tmp_path):
    slide = 'TCGA-A1-A0SK-01Z-00-DX1'
    regions = [(slide, 0, 0, 700, 700), (slide, 100, 100, 1100, 1000), (slide, 500, 0, 640, 700)]
    write_tiger(tmp_path, regions, [(slide, 520, 520, 128, 128)], [])
    (region,) = plan.plan(release.read_rois(tmp_path))
    assert region.image.endswith(file_name(*regions[1]))
    assert len(region.pairs) == 16


@pytest.mark.parametrize(
    'nested', ['', 'tiger', 'roi-level-annotations', ROOT, 'tiger/tiger-training/wsirois/roi']
)
def test_finds_the_data_wherever_they_were_unpacked(nested, tmp_path):
    coco = tmp_path / nested / 'tissue-cells/tiger-coco.json'
    coco.parent.mkdir(parents=True)
    coco.write_text('{}')
    assert release.find_root(tmp_path) == tmp_path / nested


def test_encodes_each_patch_once(tiger, monkeypatch):
    encoded = []
    encode = records._png
    monkeypatch.setattr(records, '_png', lambda pixels: encoded.append(1) or encode(pixels))
    rois = [roi for roi in release.read_rois(tiger[1] / 'manual' / ROOT) if roi.slide == '122S']
    (region,) = plan.plan(rois)
    examples = list(records.region_examples(region, tiger[1] / 'manual' / ROOT))
    assert len(examples) == 64
    assert len(encoded) == 64 + 2 * 4  # cell patches; tissue patches and their masks


def test_what_is_done_already_is_known_by_its_files_without_decoding_any(tiger, monkeypatch):
    path = tiger[1]
    root = path / 'manual' / ROOT
    files = [file for file in root.rglob('*') if file.suffix in ('.png', '.json')]
    held = {
        file.relative_to(root).as_posix(): hashlib.sha256(
            b'%d ' % file.stat().st_size + file.read_bytes()
        ).hexdigest()
        for file in files
    }
    assert len(held) == 1 + 2 * len(REGIONS + CELL_ROIS + OTHERS)
    wanted = hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()
    directory = path / 'data/tiger/1.0.0'
    assert json.loads((directory / 'made_from.json').read_text()) == {'digest': wanted}
    decoded = []
    for name in ('decode_rgb', 'decode_gray'):
        monkeypatch.setattr(images, name, lambda *args: decoded.append(args))
    assert preparation.prepare('tiger', path / 'data', path / 'manual') == directory
    assert not decoded


def test_other_regions_are_not_done_already(tiger, tmp_path):
    _, path = tiger
    shutil.copytree(path / 'manual', tmp_path / 'manual')
    preparation.prepare('tiger', path / 'data', tmp_path / 'manual')
    mask = max(tmp_path.rglob('tissue-bcss/masks/*.png'))
    with Image.open(mask) as image:
        image.point(lambda value: 1).save(mask)
    with pytest.raises(InputError, match='was prepared from other files'):
        preparation.prepare('tiger', path / 'data', tmp_path / 'manual')
