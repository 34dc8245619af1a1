import concurrent.futures
import io
import json
import multiprocessing
import os
import pickle
import zipfile

import numpy as np
import pytest
from conftest import make_release
from PIL import Image
from skimage import io as skimage_io

from ocelot_jax.data import images, release
from ocelot_jax.data.pair_folder import PairFolder
from ocelot_jax.io.errors import InputError


def pack(folder, path, top=''):
    """Zips a folder, its files under `top`."""
    with zipfile.ZipFile(path, 'w') as archive:
        for file in sorted(folder.rglob('*')):
            archive.write(file, f'{top}{file.relative_to(folder)}')
    return path


def checksum(record):
    """A number that tells records apart."""
    cells = sum(float(values.sum()) for values in record['cells'].values())
    return float(record['cell_image'].sum() + record['tissue_image'].sum()) + cells


@pytest.fixture(params=['folder', 'folder with a top', 'zip', 'zip with a top'])
def packed(request, release_folder, tmp_path):
    """The same data set in every way that it may lie on a disk."""
    if request.param == 'folder':
        return release_folder
    if request.param == 'folder with a top':
        return release_folder.parent
    top = 'ocelot2023/' if request.param.endswith('top') else ''
    return pack(release_folder, tmp_path / 'release.zip', top)


def test_record_holds_what_the_files_hold(packed, release_folder):
    folder = PairFolder(packed)
    assert folder.splits == {'train': 2, 'validation': 2, 'test': 1}
    folder.validate()
    entries = json.loads((release_folder / 'metadata.json').read_text())['sample_pairs']
    seen = 0
    for split, name in (('train', 'train'), ('validation', 'val'), ('test', 'test')):
        for record in folder.as_data_source(split):
            pair_id, entry = record['pair_id'], entries[record['pair_id']]
            images = release_folder / 'images' / name
            labels = release_folder / 'annotations' / name
            for kind in ('cell', 'tissue'):
                image = skimage_io.imread(images / kind / f'{pair_id}.jpg')
                np.testing.assert_array_equal(record[f'{kind}_image'], image)
                assert record[f'{kind}_mpp'] == np.float32(entry[kind]['resized_mpp_x'])
            mask = skimage_io.imread(labels / 'tissue' / f'{pair_id}.png').astype(int)
            wanted = np.select([mask == 1, mask == 2, mask == 255], [0, 1, 255], -1)
            np.testing.assert_array_equal(record['tissue_mask'][..., 0], wanted)
            text = (labels / 'cell' / f'{pair_id}.csv').read_text()
            rows = [[int(v) for v in line.split(',')] for line in text.split()]
            cells = record['cells']
            got = np.stack([cells['x'], cells['y'], cells['label']], -1)
            np.testing.assert_array_equal(got, np.array(rows).reshape(-1, 3))
            wanted = [entry['patch_x_offset'], entry['patch_y_offset']]
            np.testing.assert_array_equal(record['center'], np.array(wanted, np.float32))
            assert (record['slide_name'], record['organ'], name) == (
                entry['slide_name'],
                entry['organ'],
                entry['subset'],
            )
            seen += 1
    assert seen == len(entries)


def test_record_has_the_wanted_types(release_folder):
    source = PairFolder(release_folder).as_data_source('train')
    for record in source:  # the second has no cells
        got = {
            name: (value.dtype, value.shape)
            for name, value in {**record, **record['cells']}.items()
            if hasattr(value, 'dtype')
        }
        count = len(record['cells']['x'])
        assert got == {
            'cell_image': (np.uint8, (64, 64, 3)),
            'tissue_image': (np.uint8, (64, 64, 3)),
            'tissue_mask': (np.uint8, (64, 64, 1)),
            'center': (np.float32, (2,)),
            'cell_mpp': (np.float32, ()),
            'tissue_mpp': (np.float32, ()),
            'x': (np.float32, (count,)),
            'y': (np.float32, (count,)),
            'label': (np.int64, (count,)),
        }
    assert count == 0


def test_pairs_come_sorted_by_id(release_folder, tmp_path):
    zipped = tmp_path / 'backwards.zip'
    with zipfile.ZipFile(zipped, 'w') as archive:
        for file in sorted(release_folder.rglob('*'), reverse=True):
            archive.write(file, file.relative_to(release_folder))
    for path in (release_folder, zipped):
        source = PairFolder(path).as_data_source('train')
        assert [record['pair_id'] for record in source] == ['001', '002']
        assert source[-1]['pair_id'] == '002'
        with pytest.raises(IndexError):
            source[2]


@pytest.mark.parametrize(
    ('name', 'wanted'),
    [('train', 'train'), ('val', 'validation'), ('validation', 'validation'), ('test', 'test')],
)
def test_split_name(name, wanted, release_folder):
    assert release.split_name(name) == wanted
    folder = PairFolder(release_folder)
    assert len(folder.as_data_source(name)) == folder.splits[wanted]


def test_classes_named_by_the_caller(release_folder):
    mask = np.array([[1, 2], [7, 255]], np.uint8).repeat(32, 0).repeat(32, 1)
    for path in release_folder.rglob('*.png'):
        Image.fromarray(mask).save(path)
    for path in release_folder.rglob('*.csv'):
        path.write_text('5,6,4\n')
    folder = PairFolder(release_folder, cell_classes='abcd', tissue_classes='abcdefg')
    folder.validate()
    record = folder.as_data_source('test')[0]
    assert record['cells']['label'].tolist() == [4]
    assert np.unique(record['tissue_mask']).tolist() == [0, 1, 6, 255]


@pytest.mark.parametrize(
    ('text', 'points'),
    [
        ('', []),
        ('\n', []),
        ('3,4,1', [(3, 4, 1)]),
        ('3,4,1\r\n63,0,2\r\n', [(3, 4, 1), (63, 0, 2)]),
        ('\ufeff 3.5 , 4.25,2\n\n', [(3.5, 4.25, 2)]),
    ],
)
def test_csv_as_programs_write_it(text, points, release_folder):
    (release_folder / 'annotations/test/cell/005.csv').write_text(text, encoding='utf-8')
    folder = PairFolder(release_folder)
    folder.validate('test')
    cells = folder.as_data_source('test')[0]['cells']
    got = zip(cells['x'].tolist(), cells['y'].tolist(), cells['label'].tolist(), strict=True)
    assert list(got) == points


def read_all(source):
    """What a worker process does."""
    return [checksum(record) for record in source]


def test_read_by_threads_and_processes_at_once(release_folder, tmp_path):
    source = PairFolder(pack(release_folder, tmp_path / 'a.zip')).as_data_source('train')
    wanted = read_all(source)
    assert len(set(wanted)) == 2
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for got in pool.map(read_all, [source] * 32):
            assert got == wanted
    assert read_all(pickle.loads(pickle.dumps(source))) == wanted
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        assert pool.apply(read_all, [source]) == wanted


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='the system cannot fork')
@pytest.mark.filterwarnings('ignore:os.fork')  # JAX warns; the child does not use it
def test_forked_process_leaves_the_parent_s_zip_alone(release_folder, tmp_path):
    source = PairFolder(pack(release_folder, tmp_path / 'a.zip')).as_data_source('train')
    wanted = read_all(source)
    handle = source._folder.files._zip()
    child = os.fork()
    if child == 0:
        os._exit(0 if source._folder.files._zip() is not handle else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert read_all(source) == wanted


@pytest.mark.parametrize('packing', ['folder', 'zip'])
@pytest.mark.parametrize(
    ('image', 'mask', 'cells'),
    [('PNG', 'TIF', 'CSV'), ('tiff', 'Png', 'csv'), ('Tif', 'tiff', 'Csv'), ('PnG', 'png', 'csv')],
)
def test_files_of_other_formats_and_letter_case(packing, image, mask, cells, tmp_path):
    path = make_release(tmp_path / 'release')
    wanted = list(PairFolder(path).as_data_source('train'))
    for file in [*path.glob('images/train/*/*'), *path.glob('annotations/train/tissue/*')]:
        with Image.open(file) as picture:
            picture.save(file.with_suffix(f'.{image if "images" in file.parts else mask}'))
        if (ending := file.suffix) not in (f'.{image}', f'.{mask}'):
            assert ending in ('.jpg', '.png')
            file.unlink()
    for file in path.glob('annotations/train/cell/*.csv'):
        file.rename(file.with_suffix(f'.{cells}'))
    folder = PairFolder(pack(path, tmp_path / 'a.zip') if packing == 'zip' else path)
    folder.validate()
    np.testing.assert_equal(list(folder.as_data_source('train')), wanted)


@pytest.mark.parametrize('ending', ['jpeg', 'JPG', 'JpEg'])
def test_jpeg_by_any_ending_is_the_same_data(ending, release_folder):
    before = PairFolder(release_folder).digest('train')
    for file in release_folder.glob('images/train/*/*.jpg'):
        file.rename(file.with_suffix(f'.{ending}'))
    assert PairFolder(release_folder).digest('train') == before


def test_other_files_are_no_pairs(release_folder):
    for name in ('images/train/cell/.DS_Store', 'images/train/cell/._001.jpg', 'README.txt'):
        (release_folder / name).write_text('x')
    (release_folder / 'images/train/cell/thumbnails').mkdir()
    folder = PairFolder(release_folder)
    folder.validate()
    assert folder.splits['train'] == 2


def test_encoded_examples_keep_the_jpeg_bytes_and_decode_none(release_folder, monkeypatch):
    folder = PairFolder(release_folder)
    records = {record['pair_id']: record for record in folder.as_data_source('val')}
    monkeypatch.setattr(images, 'decode_rgb', None)
    examples = dict(folder.encoded_examples('val'))
    assert list(examples) == ['003', '004']
    for pair_id, example in examples.items():
        for kind in ('cell', 'tissue'):
            assert isinstance(example[f'{kind}_image'], io.BytesIO)
            data = (release_folder / f'images/val/{kind}/{pair_id}.jpg').read_bytes()
            assert example[f'{kind}_image'].read() == data
        color = {name: example[name] for name in ('cell_image', 'tissue_image')}
        np.testing.assert_equal(example, records[pair_id] | color)


def test_encoded_examples_refuse_cells_beyond_their_patch(release_folder):
    (release_folder / 'annotations/val/cell/004.csv').write_text('64,3,1\n')
    with pytest.raises(InputError, match=r'004\.csv: line 1: x is 64'):
        dict(PairFolder(release_folder).encoded_examples('val'))


def test_real_pairs(shared):
    folder = PairFolder(shared / 'data/crc_pairs_v1.zip')
    assert folder.splits == {'train': 640, 'validation': 160}
    folder.validate()
    record = folder.as_data_source('train')[0]
    assert record['cell_image'].shape == record['tissue_image'].shape == (128, 128, 3)
    first = [record['cells'][name][0] for name in ('x', 'y', 'label')]
    assert first == [3, 113, 2]
    assert record['cell_mpp'] == np.float32(0.537109375)
    assert record['center'].tolist() == [0.125, 0.125]


def test_a_zip_of_a_later_kind_is_one_line(release_folder, tmp_path):
    path = pack(release_folder, tmp_path / 'a.zip')
    data = path.read_bytes()
    needed = data.index(b'PK\x01\x02') + 6  # the version that its first file needs
    path.write_bytes(data[:needed] + b'\xff' + data[needed + 1 :])
    with pytest.raises(InputError, match=r'a\.zip: not a whole zip file') as error:
        PairFolder(path)
    assert '\n' not in str(error.value)
