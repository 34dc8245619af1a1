"""Pairs of drawn slides are what was drawn, and wrong annotations leave nothing behind."""

import collections
import dataclasses
import json
import zipfile

import numpy as np
import pytest
import qupath_exports
import shapely
from annotated_slides import MPP, NAMES, NECROSIS, ROIS, STROMA, TUMOR, write_slide
from drawn_slides import COLORS

from ocelot_jax import PairFolder
from ocelot_jax.annotation import classes, making, picture, splitting, writing
from ocelot_jax.annotation.choices import Choices
from ocelot_jax.data.patches import Patches
from ocelot_jax.io import csv_files
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides.readers import openslide
from ocelot_jax.slides.slide import Slide

PATCHES = Patches(64, 0.4, 48, 1.6)
CHOICES = Choices(
    patches=PATCHES,
    cell_classes=classes.parse('cell_classes', ['Immune cells=BC', 'Tumor: Positive=TC']),
    tissue_classes=classes.parse('tissue_classes', ['Tumor=CA', 'Stroma=BG'], ('BG',)),
)


def files(output):
    """The bytes of all files of a folder or zip, by name."""
    if output.suffix == '.zip':
        with zipfile.ZipFile(output) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    found = [path for path in output.rglob('*') if path.is_file()]
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope='module', autouse=True)
def drawn():
    """What is to be in each picture that would be drawn, which takes longer than all else."""
    calls = []

    def draw(pairs, choices):
        calls.append([pair.pair_id for pair, _ in pairs])
        return np.zeros((1, 1, 3), np.uint8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture, 'draw', draw)
        yield calls


@pytest.fixture(scope='module')
def made(tmp_path_factory, drawn):
    """The folder of slides, cells by slide, and the pairs."""
    root = tmp_path_factory.mktemp('made')
    cells = {name: write_slide(root / 'slides', name, seed) for seed, name in enumerate('abc')}
    told = []
    making.make(root / 'slides', root / 'slides', root / 'pairs', CHOICES, told.append)
    return root / 'slides', cells, root / 'pairs', told


@pytest.fixture(scope='module')
def records(made):
    """Each pair's record and entry in the metadata."""
    folder = PairFolder(made[2], ('BC', 'TC'), ('BG', 'CA'))
    folder.validate()
    entries = json.loads((made[2] / 'metadata.json').read_text())['sample_pairs']
    found = [record for split in folder.splits for record in folder.as_data_source(split)]
    assert len(found) == len(entries) == 3 * 14
    assert folder.splits == {'train': 14, 'validation': 14, 'test': 14}
    return [(record, entries[record['pair_id']]) for record in found]


def test_cells_are_those_drawn_each_in_one_patch(made, records):
    _, cells, output, _ = made
    rows = csv_files.read_rows(output / 'cells.csv')
    assert len({(row['slide'], row['id']) for row in rows}) == len(rows)
    for record, entry in records:
        points, labels = cells[record['slide_name']]
        box, got = entry['cell'], record['cells']
        corner = np.array([box['x_start'], box['y_start']]) * MPP
        places = (points - corner) / PATCHES.cell_mpp - 0.5
        inside = ((places >= -0.5) & (places < 63.5)).all(-1)
        found = np.stack([got['x'], got['y']], -1)
        assert found == pytest.approx(places[inside], abs=0.0051)
        assert (got['label'] == labels[inside]).all()
        # and they are where the picture has them, in both patches
        for (x, y), label in zip(found, got['label'], strict=True):
            pixel = record['cell_image'][int(min(y + 0.5, 63)), int(min(x + 0.5, 63))]
            assert abs(pixel.astype(int) - COLORS[label]).max() < 60
            share = ((x + 0.5) / 64 - 0.5, (y + 0.5) / 64 - 0.5)
            column, row = (48 * (record['center'] + np.array(share) / 3)).astype(int)
            assert record['tissue_image'][row, column, 1] < 130
        origins = [row for row in rows if row['pair'] == record['pair_id']]
        ids = np.flatnonzero(inside)
        assert [row['id'] for row in origins] == [f'cell {i}' for i in ids]
        assert [row['class'] for row in origins] == [NAMES[label] for label in labels[inside]]
        whole = [(float(row['x_px']), float(row['y_px'])) for row in origins]
        assert np.array(whole).reshape(-1, 2) == pytest.approx(
            points[inside] / MPP - 0.5, abs=0.0051
        )


def test_pixels_are_the_slides_and_masks_as_drawn(made, records):
    for record, entry in records[::5]:
        size = {'cell': (64, 0.4), 'tissue': (48, 1.6)}
        with Slide(made[0] / f'{record["slide_name"]}.tif') as slide:
            for kind, (side, mpp) in size.items():
                start = [round(entry[kind][f'{axis}_start'] * MPP / mpp) for axis in 'xy']
                wanted = slide.read(*start, side, side, mpp)
                assert (record[f'{kind}_image'] == wanted).all()
        corner = [entry['tissue'][f'{axis}_start'] for axis in 'xy']
        for row, column in np.ndindex(48, 48):
            x, y = ((i + 0.5) * 1.6 / MPP + s for i, s in zip((column, row), corner, strict=True))
            point = shapely.Point(x, y)
            # necrosis, which nobody mapped, lies in the tumor, and that in stroma
            kinds = [(NECROSIS, 255), (TUMOR, 1), (STROMA, 0)]
            want = next((value for shape, value in kinds if shape.contains(point)), 255)
            near = min(shape.exterior.distance(point) for shape, _ in kinds) < 0.1
            assert record['tissue_mask'][row, column, 0] == want or near
        share = 64 * 0.4 / (48 * 1.6)
        for axis, middle in zip('xy', record['center'], strict=True):
            cell, tissue = entry['cell'], entry['tissue']
            ends = [cell[f'{axis}_start'], cell[f'{axis}_end'], tissue[f'{axis}_start']]
            width = tissue[f'{axis}_end'] - ends[2]
            assert middle == pytest.approx(((ends[0] + ends[1]) / 2 - ends[2]) / width, abs=1e-6)
            assert share / 2 <= middle <= 1 - share / 2


@pytest.mark.parametrize('override', [False, True])
def test_um_per_px_organ_and_splits_are_as_given(made, tmp_path, override):
    # the slides state 0.5
    given = {'mpp': 0.8, 'override_mpp': override, 'organ': 'colon', 'seed': 3}
    choices = dataclasses.replace(CHOICES, **given)
    making.make(made[0], made[0], tmp_path / 'pairs', choices, lambda line: None)
    entries = json.loads((tmp_path / 'pairs/metadata.json').read_text())['sample_pairs'].values()
    assert {entry['organ'] for entry in entries} == {'colon'}
    mpp = 0.8 if override else MPP
    for entry in entries:
        for kind, (side, patch_mpp) in {'cell': (64, 0.4), 'tissue': (48, 1.6)}.items():
            width = entry[kind]['x_end'] - entry[kind]['x_start']
            assert width == pytest.approx(side * patch_mpp / mpp, abs=1)
    counts = collections.Counter(entry['slide_name'] for entry in entries)
    wanted = splitting.split(counts, CHOICES.shares, 3)
    assert wanted != splitting.split(counts, CHOICES.shares, 0)
    folder = PairFolder(tmp_path / 'pairs', ('BC', 'TC'), ('BG', 'CA'))
    for split in folder.splits:
        for record in folder.as_data_source(split):
            assert wanted[record['slide_name']] == split


def test_what_was_left_out_is_told(made):
    _, cells, output, [told] = made
    record = json.loads((output / 'pairs.json').read_text())
    held = len((output / 'cells.csv').read_text().splitlines()) - 1
    left = record['left_out']
    total = sum(len(labels) for _, labels in cells.values())
    assert left['cells outside of the ROIs'] == sum(
        not any(x <= px < x + w and y <= py < y + h for x, y, w, h in ROIS)
        for points, _ in cells.values()
        for px, py in points / MPP
    )
    gaps = left['cells in ROIs, where no whole patch fits']
    assert held + gaps + left['cells outside of the ROIs'] == total
    assert left["areas of class 'Necrosis', as unknown tissue"] == 3
    assert [slide['file'] for slide in record['slides']] == ['a.tif', 'b.tif', 'c.tif']
    assert 'train            1     14' in told
    assert "3  areas of class 'Necrosis', as unknown tissue" in told
    assert f'--dataset={output} --cell_classes=BC,TC --tissue_classes=BG,CA' in told


def test_a_zip_holds_the_same_and_comes_out_the_same(made, tmp_path):
    slides, _, folder, _ = made
    outputs = [tmp_path / 'one.zip', tmp_path / 'two.zip']
    for output in outputs:
        making.make(slides, slides, output, CHOICES)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    one = files(outputs[0])
    assert one == files(folder)
    assert (tmp_path / 'one_first_pairs.png').read_bytes() == one[writing.PICTURE]
    PairFolder(outputs[0]).validate()


def test_the_picture_is_of_every_slide(made, drawn):
    assert drawn[0] == [f'{slide}-{number}' for slide in 'abc' for number in ('001', '008')]


def test_bounds_move_what_qupath_exported_and_nothing_else(made, tmp_path, monkeypatch):
    bounds = (15, 10, 370, 275)
    write_slide(tmp_path / 'slides', 'a', 0)
    making.make(tmp_path / 'slides', tmp_path / 'slides', tmp_path / 'whole', CHOICES)
    write_slide(tmp_path / 'slides', 'a', 0, bounds)
    monkeypatch.setattr(openslide.Reader, 'bounds', lambda self: bounds)
    making.make(tmp_path / 'slides', tmp_path / 'slides', tmp_path / 'cropped', CHOICES)
    one, other = (files(tmp_path / name) for name in ('whole', 'cropped'))
    assert one.pop('pairs.json') != other.pop('pairs.json')  # digests of the annotations
    assert one == other


def test_cells_in_a_table_beside_areas(made, tmp_path):
    slides = made[0]
    write_slide(tmp_path, 'a', 0)
    exported = json.loads((tmp_path / 'a.geojson').read_text())['features']
    cells = [one for one in exported if one['geometry']['type'] == 'Point']
    qupath_exports.write(tmp_path / 'a.geojson', [o for o in exported if o not in cells])
    qupath_exports.write_table(tmp_path / 'a.csv', 'a.tif', cells, delimiter=',')
    one_split = dataclasses.replace(CHOICES, shares=(1.0, 0.0, 0.0))
    for name, source in (('table', tmp_path), ('alone', slides / 'a.geojson')):
        making.make(slides / 'a.tif', source, tmp_path / name, one_split)
    assert files(tmp_path / 'table')['cells.csv'] == files(tmp_path / 'alone')['cells.csv']


def test_cells_in_two_files_of_a_slide_are_refused(tmp_path):
    write_slide(tmp_path, 'a', 0)
    cells = json.loads((tmp_path / 'a.geojson').read_text())['features']
    qupath_exports.write_table(tmp_path / 'a.csv', 'a.tif', cells[-9:], delimiter=',')
    with pytest.raises(InputError, match=r'a\.csv both hold cells of one slide; want them in one'):
        making.make(tmp_path / 'a.tif', tmp_path, tmp_path / 'pairs', CHOICES)


def test_beyond_the_slide_is_white_and_unknown(tmp_path):
    all_over = qupath_exports.area(shapely.box(0, 0, 400, 300), 'Stroma', id='all')
    write_slide(tmp_path / 'slides', 'a', 0, extra=[all_over])
    wide = dataclasses.replace(CHOICES, patches=Patches(64, 0.4, 160, 1.6))
    making.make(tmp_path / 'slides', tmp_path / 'slides', tmp_path / 'pairs', wide)
    for record in PairFolder(tmp_path / 'pairs').as_data_source('train'):
        # 200 x 150 um are 125 x 93.75 px, and the last of these is not read
        beyond = (record['tissue_image'] == 255).all(-1)
        assert (~beyond).sum() == 125 * 93
        assert (record['tissue_mask'][..., 0][beyond] == 255).all()
        assert (record['tissue_mask'][..., 0] == 0).sum() > 5000


def test_one_slide_is_split_by_its_rois_alone(tmp_path, caplog):
    write_slide(tmp_path / 'slides', 'a', 0)
    source = tmp_path / 'slides'
    found = making.make(source, source, tmp_path / 'slide', CHOICES)
    assert [counts.pairs for counts in found.counts.values()] == [14, 0, 0]
    assert 'validation and test are empty: all pairs are of 1 patient' in caplog.text
    by_roi = dataclasses.replace(CHOICES, split_by='roi', shares=(0.8, 0.2, 0.0))
    found = making.make(source, source, tmp_path / 'roi', by_roi)
    assert [counts.pairs for counts in found.counts.values()] == [12, 2, 0]
    assert 'look alike' in found.warnings[-1]


WRONG = {
    'no ROI of that class': (
        {'roi_class': 'Region'},
        r'no area of class Region \(there are .*ROI \(6\)',
    ),
    'a class nobody mapped': (
        {'cell_classes': classes.parse('cell_classes', ['Immune cells=BC'])},
        r"--cell_classes does not name: Tumor: Positive \(\d+\).*'Tumor: Positive=BC'",
    ),
    'ROIs too small': (
        {'patches': Patches(512, 0.4, 512, 1.6)},
        r'no ROI holds a cell patch, 204.8 um a side; the largest is 110.0 x 100.0 um',
    ),
}


@pytest.mark.parametrize(('changes', 'told'), WRONG.values(), ids=list(WRONG))
def test_what_gives_no_pairs_is_refused_and_leaves_nothing(made, tmp_path, changes, told):
    choices = dataclasses.replace(CHOICES, **changes)
    with pytest.raises(InputError, match=told):
        making.make(made[0], made[0], tmp_path / 'pairs', choices)
    assert not list(tmp_path.iterdir())


def test_cells_without_a_class_are_refused_or_left_out_on_purpose(tmp_path):
    extra = [qupath_exports.points([(100, 100), (110, 100)], '', id='none')]
    write_slide(tmp_path / 'slides', 'a', 0, extra=extra)
    source = tmp_path / 'slides' / 'a.geojson'
    with pytest.raises(InputError, match=r"name: no class \(2\).* left out on purpose, as in '='"):
        making.make(tmp_path / 'slides', source, tmp_path / 'pairs', CHOICES)
    entries = ['Immune cells=BC', 'Tumor: Positive=TC', '=']
    choices = dataclasses.replace(CHOICES, cell_classes=classes.parse('cell_classes', entries))
    found = making.make(tmp_path / 'slides', source, tmp_path / 'pairs', choices)
    assert found.left_out['cells of no class, which --cell_classes leaves out'] == 2


def test_a_failure_halfway_leaves_nothing_that_looks_whole(made, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(writing, 'write_origins', fail)
    for name in ('pairs', 'pairs.zip'):
        with pytest.raises(InputError, match=r'the disk is full .* nothing is kept'):
            making.make(made[0], made[0], tmp_path / name, CHOICES)
    assert not list(tmp_path.iterdir())
