"""The command that describes a data set, on files written by the tests."""

import collections
import csv
import fractions
import json
import shutil
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import make_release
from ocelot_jax.datasets.ocelot import ocelot_dataset_builder
from PIL import Image

from ocelot_jax.data import sources
from ocelot_jax.dataset_statistics import describing
from ocelot_jax.dataset_statistics import paper as paper_tables

SPLITS = {'train': 'train', 'val': 'validation', 'test': 'test'}
FILES = {'tables.csv', 'checks.csv', 'statistics.png'}


def edit(folder, pair_id, **changes):
    path = folder / 'metadata.json'
    content = json.loads(path.read_text())
    content['sample_pairs'][pair_id] |= changes
    path.write_text(json.dumps(content))


def read_csv(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def described(dataset, tmp_path, **options):
    """The rows by key; the text is written to `out/text`."""
    description = describing.describe(str(dataset), **options)
    description.write(tmp_path / 'out')
    (tmp_path / 'out/text').write_text(description.render())
    return {tuple(row.key): row for row in description.rows}


def found(tmp_path):
    grouped = collections.defaultdict(list)
    for line in read_csv(tmp_path / 'out/checks.csv'):
        grouped[line['check']].append(line['found'])
    return dict(grouped)


def slow_counts(folder):
    """Counts everything pixel by pixel and cell by cell, from the files alone."""
    counts = collections.Counter()
    area = fractions.Fraction(0)
    slides = collections.defaultdict(set)
    for pair_id, entry in json.loads((folder / 'metadata.json').read_text())[
        'sample_pairs'
    ].items():
        subset = entry['subset']
        mask = Image.open(folder / f'annotations/{subset}/tissue/{pair_id}.png')
        with Image.open(folder / f'images/{subset}/cell/{pair_id}.jpg') as image:
            width, height = image.size
        mpp = {k: fractions.Fraction(str(entry[k]['resized_mpp_x'])) for k in ('cell', 'tissue')}
        place = {}
        for row in range(mask.height):
            for column in range(mask.width):
                value = {1: 'BG', 2: 'CA', 255: 'UNK'}[mask.getpixel((column, row))]
                place[column, row] = value
                counts['A.1a', value, SPLITS[subset], 'pixels'] += 1
                area += mpp['tissue'] ** 2
        for line in (folder / f'annotations/{subset}/cell/{pair_id}.csv').read_text().split():
            x, y, label = (int(text) for text in line.split(','))
            pixel = []
            for value, size, length, axis in (
                (x, width, mask.width, 'x'),
                (y, height, mask.height, 'y'),
            ):
                center = fractions.Fraction(entry[f'patch_{axis}_offset']) * length * mpp['tissue']
                um = (
                    center
                    + (value + fractions.Fraction(1, 2) - fractions.Fraction(size, 2))
                    * mpp['cell']
                )
                pixel.append(um // mpp['tissue'])
            name = {1: 'BC', 2: 'TC'}[label]
            tissue = 'CA' if place[tuple(pixel)] == 'CA' else 'non-CA'
            counts['A.1b', name, SPLITS[subset], 'cells'] += 1
            counts['3', name, SPLITS[subset], f'cells in {tissue}'] += 1
        counts['2', entry['organ'], SPLITS[subset], 'pairs'] += 1
        slides[entry['organ'], SPLITS[subset]].add(entry['slide_name'])
    counts |= {('2', o, s, 'slides'): len(names) for (o, s), names in slides.items()}
    return counts, float(area) / 1e8


def test_numbers_are_those_of_a_slow_count(tmp_path):
    folder = make_release(tmp_path / 'release', {'train': 6, 'val': 3, 'test': 2}, size=32, seed=3)
    edit(folder, '003', slide_name='slide-006')
    got = described(folder, tmp_path)
    counts, area = slow_counts(folder)
    assert len(counts) > 30
    for key, value in counts.items():
        assert got[key].counted == value, key
    for key, row in got.items():
        if key[0] in ('2', '3', 'A.1a', 'A.1b') and '%' not in key[3] and key not in counts:
            assert row.counted == 0 or 'total' in key or 'all' in key, key
    assert got['1', '', 'all', 'area (cm2)'].counted == pytest.approx(area)
    assert got['F.2', '', 'all', 'tissue FoV (px)'].counted == pytest.approx(128)
    out = tmp_path / 'out'
    assert {path.name for path in out.iterdir()} == {*FILES, 'text'}
    assert len(read_csv(out / 'tables.csv')) == len(got)
    with Image.open(out / 'statistics.png') as picture:
        assert min(picture.size) > 600
    text = (tmp_path / 'out/text').read_text()
    assert text.startswith('release: cells BC, TC; tissue BG, CA\n')
    assert 'ok     slides in more than one split: none' in text


def test_tissue_may_be_background_alone(release_folder, tmp_path):
    for mask in release_folder.glob('annotations/*/tissue/*.png'):
        Image.fromarray(np.minimum(np.array(Image.open(mask)), 1)).save(mask)
    described(release_folder, tmp_path, tissue_classes=('BG',))
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {*FILES, 'text'}


def test_cells_may_have_no_classes(tmp_path, monkeypatch):
    """As in a data set of tissue alone; and a shell leaves ~ in a flag as it is."""
    folder = make_release(tmp_path / 'home/pairs')
    for path in (folder / 'annotations').rglob('*.csv'):
        path.write_text('')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    rows = described('~/pairs', tmp_path, cell_classes=())
    assert rows['2', 'total', 'all', 'pairs'].counted == 5
    assert not any(row.counted for key, row in rows.items() if key[0] == 'A.1b')
    assert (tmp_path / 'out/statistics.png').exists()


def test_planted_faults_are_named(release_folder, tmp_path):
    # 001 and 002 train, 003 and 004 validation, 005 test
    edit(release_folder, '005', slide_name='slide-001')
    edit(release_folder, '002', slide_name='TCGA-A1-A0SK-01Z-00-DX1')
    edit(release_folder, '003', slide_name='TCGA-A1-A0SK-01Z-00-DX2')
    images = release_folder / 'images'
    shutil.copy(images / 'train/cell/002.jpg', images / 'val/cell/004.jpg')
    shutil.copy(images / 'val/tissue/003.jpg', images / 'test/tissue/005.jpg')
    annotations = release_folder / 'annotations'
    mask = np.array(Image.open(annotations / 'test/tissue/005.png'))
    mask[-1, 0] = 2
    Image.fromarray(mask).save(annotations / 'test/tissue/005.png')
    edit(release_folder, '003', patch_x_offset=0.05)
    cells = annotations / 'train/cell/001.csv'
    cells.write_text('3,4,1\n-3,10,2\n5,64,1\n63,63,2\n')
    got = described(release_folder, tmp_path)
    faults = found(tmp_path)
    assert faults.pop('slides in more than one split') == [
        "slide 'slide-001': train/001, test/005"
    ]
    assert faults.pop('slides of one patient in more than one split') == [
        "patient 'TCGA-A1-A0SK': train/002, validation/003"
    ]
    assert faults.pop('same cell patches in more than one split') == ['train/002 = validation/004']
    assert faults.pop('same tissue patches in more than one split') == [
        'validation/003 = test/005'
    ]
    # the cells of 002 and 004 agree, there being none
    assert faults.pop('same tissue patches with other masks') == ['validation/003 = test/005']
    assert faults.pop('cells outside of their patch') == ['train/001: 2']
    # a quarter of 64 pixels, centered at 3.2
    assert faults.pop('cell patches that reach out of the tissue') == ['validation/003: by 4.8 px']
    assert faults.pop('pairs without cells') == ['train/002', 'validation/004']
    faults.pop('cells on unknown tissue', None)
    assert faults == {}
    assert got['A.1b', 'total', 'train', 'cells'].counted == 2
    text = (tmp_path / 'out/text').read_text()
    assert (
        "ALARM  slides in more than one split: 1 (slide 'slide-001': train/001, test/005)" in text
    )


def test_cells_on_unknown_tissue_are_counted(tmp_path):
    folder = make_release(tmp_path / 'release', {'train': 1}, size=64)
    edit(folder, '001', patch_x_offset=0.125, patch_y_offset=0.125)
    # the corner of 8 pixels is unknown: the cell patch's first 32
    (folder / 'annotations/train/cell/001.csv').write_text('31,31,1\n32,0,1\n0,32,2\n0,0,2\n')
    got = described(folder, tmp_path)
    assert found(tmp_path) == {'cells on unknown tissue': ['train/001: 2']}
    assert got['F.1', 'UNK', 'all', '% of TC'].counted == 50
    assert got['3', 'BC', 'train', 'cells in non-CA'].counted == 2


def test_equal_images_in_other_files_are_equal(release_folder, tmp_path):
    """What counts is the pixels, not the bytes of the file."""
    source = release_folder / 'images/train/tissue/001.jpg'
    target = release_folder / 'images/test/tissue/005.jpg'
    target.write_bytes(source.read_bytes()[:2] + b'\xff\xfe\x00\x05abc' + source.read_bytes()[2:])
    described(release_folder, tmp_path)
    assert found(tmp_path)['same tissue patches in more than one split'] == [
        'train/001 = test/005'
    ]


def test_zip_is_described_as_its_folder(release_folder, tmp_path):
    archive = shutil.make_archive(tmp_path / 'ocelot2023_v1.0.1', 'zip', release_folder)
    rows = described(archive, tmp_path)
    plain = described(release_folder, tmp_path)
    assert {key: row.counted for key, row in rows.items()} == {
        key: row.counted for key, row in plain.items()
    }
    # the release's own name is known; any folder's is not
    assert rows['1', '', 'all', 'cells'].paper == 114_700
    assert plain['1', '', 'all', 'cells'].paper is None


def test_prepared_data_set_is_described_as_its_folder(tmp_path, monkeypatch):
    folder = make_release(tmp_path / 'manual/ocelot2023_v1.0.1')
    with tfds.core.registered.skip_registration():
        builder = ocelot_dataset_builder.Builder(data_dir=tmp_path / 'data')
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / 'manual')
    builder.download_and_prepare(download_config=config, file_format='array_record')
    monkeypatch.setattr(sources, '_prepared_builder', lambda name: builder)
    rows = described('ocelot', tmp_path)
    text = (tmp_path / 'out/text').read_text()
    assert rows == described(folder, tmp_path)
    assert rows['2', 'total', 'train', 'pairs'].paper == 406
    assert 'ocelot: cells BC, TC; tissue BG, CA\n' in text
    assert 'Notes on the paper\n- The release 1.0.1 holds' in text


def test_pairs_come_in_the_order_of_their_ids(release_folder):
    """TFDS shuffles."""
    (source, *_) = describing.open_splits(str(release_folder)).values()
    shuffled = [source[i] for i in (1, 0)]
    counts = describing.count_pairs({'train': shuffled}, 2, 2)
    assert [(each.split, each.pair_id) for each in counts] == [('train', '001'), ('train', '002')]


def source_of(names):
    label = types.SimpleNamespace(names=names)
    info = types.SimpleNamespace(features={'cells': {'label': label}})
    source = types.SimpleNamespace(dataset_info=info)
    return sources.TfdsSource(types.SimpleNamespace(as_data_source=lambda split: source), 'train')


def test_classes_are_named_by_flags_then_features_then_defaults():
    tiger, none = (paper_tables.numbers_of(name) for name in ('tiger', 'else'))
    told = source_of(['no cell', 'LC'])
    assert describing.class_names(told, tiger, None, None) == (('LC',), ('BG', 'ST'))
    assert describing.class_names(told, tiger, ['a', 'b'], ['c']) == (('a', 'b'), ('c',))
    assert describing.class_names([], none, None, None) == (('BC', 'TC'), ('BG', 'CA'))


@pytest.mark.parametrize('names', [['A', 'A'], ['A', 'UNK'], ['total', 'B']])
def test_class_names_must_tell_apart(names):
    none = paper_tables.numbers_of('else')
    with pytest.raises(ValueError, match=f'--cell_classes is {",".join(names)}; want different'):
        describing.class_names([], none, names, None)
    with pytest.raises(ValueError, match='--tissue_classes is'):
        describing.class_names([], none, None, names)


def truncate(folder):
    path = folder / 'images/val/tissue/003.jpg'
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ('break_it', 'message'),
    [
        (truncate, r'images/val/tissue/003\.jpg: cannot be decoded'),
        (
            lambda folder: (folder / 'annotations/train/cell/001.csv').write_text('1,2,x\n'),
            r"cell/001\.csv: line 1: '1,2,x' is not numeric",
        ),
        (
            lambda folder: (folder / 'annotations/train/cell/001.csv').write_text('1,2,7\n'),
            'pair 001: label 7 is of no class',
        ),
        (
            lambda folder: (folder / 'annotations/train/tissue/002.png').unlink(),
            r'tissue/002\.png: missing',
        ),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_written(
    break_it, message, release_folder, tmp_path
):
    break_it(release_folder)
    with pytest.raises(ValueError, match=message):
        described(release_folder, tmp_path)
    assert not (tmp_path / 'out').exists()


def test_command_writes_beside_the_caller_and_ends_well_on_alarms(
    release_folder, tmp_path, commands
):
    edit(release_folder, '005', slide_name='slide-001')
    arguments = [f'--dataset={release_folder}', '--cell_classes=a,b', '--tissue_classes=c,d']
    done = commands.run('ocelot_jax.statistics', *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'cells a, b; tissue c, d' in done.stdout
    assert 'ALARM  slides in more than one split: 1' in done.stdout
    assert {path.name for path in (tmp_path / 'statistics/release').iterdir()} == FILES


def test_unknown_name_is_blamed_on_the_flag(tmp_path):
    with pytest.raises(ValueError, match=r"^--dataset: 'ocelott' is neither a file or directory"):
        described('ocelott', tmp_path)


def test_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.zip does not exist'):
        described(tmp_path / 'nowhere.zip', tmp_path)


def test_command_ends_with_one_line_and_status_one_on_bad_data(release_folder, tmp_path, commands):
    truncate(release_folder)
    done = commands.run('ocelot_jax.statistics', f'--dataset={release_folder}', cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, '')
    (line,) = done.stderr.splitlines()
    assert 'images/val/tissue/003.jpg: cannot be decoded' in line
    assert not (tmp_path / 'statistics').exists()


def test_real_pairs(shared, tmp_path):
    rows = described(shared / 'data/crc_pairs_v1.zip', tmp_path)
    pairs = {
        split: rows['2', 'total', split, 'pairs'].counted for split in ('train', 'validation')
    }
    assert pairs == {'train': 640, 'validation': 160}
    # sixteen pairs are cut from each of 50 images
    tissue = rows['A.1a', 'total', 'all', 'pixels']
    assert tissue.counted == 16 * tissue.distinct == 800 * 128**2
    assert rows['1', '', 'all', 'cells'].counted == rows['1', '', 'all', 'cells'].distinct
    assert np.isfinite(rows['3', 'TC', 'all', '% in CA'].counted)
    assert set(found(tmp_path)) == {'same tissue patches twice in a split', 'pairs without cells'}
