"""Every way that a data set may be broken, and the one line that says so."""

import json
import zipfile

import numpy as np
import pytest
from conftest import make_release
from PIL import Image

from ocelot_jax.data import release
from ocelot_jax.data.pair_folder import PairFolder

CELL = 'images/train/cell/001.jpg'
TISSUE = 'images/train/tissue/001.jpg'
CSV = 'annotations/train/cell/001.csv'
MASK = 'annotations/train/tissue/001.png'
METADATA = 'metadata.json'


@pytest.fixture
def folder(tmp_path):
    """Three training pairs, so that most of them are good."""
    return make_release(tmp_path / 'release', {'train': 3})


def delete(name):
    return lambda root: (root / name).unlink()


def rename(name, new):
    return lambda root: (root / name).rename((root / name).with_name(new))


def copy(name, new):
    return lambda root: (root / name).with_name(new).write_bytes((root / name).read_bytes())


def write(name, content):
    def change(root):
        data = content if isinstance(content, bytes) else content.encode()
        (root / name).write_bytes(data)

    return change


def truncate(name):
    def change(root):
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: len(data) // 2])

    return change


def save(name, array, mode=None):
    """Saves an array as an image, in a color mode of Pillow."""
    return lambda root: (
        Image.fromarray(np.asarray(array, np.uint8)).convert(mode).save(root / name)
    )


def meta(*path_and_value):
    """Sets a field of pair 001 in the metadata; None removes it."""
    *path, last, value = path_and_value

    def change(root):
        content = json.loads((root / METADATA).read_text())
        entry = content['sample_pairs']['001']
        for key in path:
            entry = entry[key]
        if value is None:
            del entry[last]
        else:
            entry[last] = value
        (root / METADATA).write_text(json.dumps(content))

    return change


def rename_entry(new):
    def change(root):
        content = json.loads((root / METADATA).read_text())
        content['sample_pairs'][new] = content['sample_pairs'].pop('001')
        (root / METADATA).write_text(json.dumps(content))

    return change


def drop_entry(root):
    content = json.loads((root / METADATA).read_text())
    del content['sample_pairs']['001']
    (root / METADATA).write_text(json.dumps(content))


GRAY = np.full((64, 64), 200)
COLOR = np.full((64, 64, 3), 200)
BAD = {
    'no cell image': (delete(CELL), CELL, ['missing', '001']),
    'no tissue image': (delete(TISSUE), TISSUE, ['missing', '001']),
    'no csv': (delete(CSV), CSV, ['missing', '001']),
    'no mask': (delete(MASK), MASK, ['missing', '001']),
    'two cell images': (copy(CELL, '001.PNG'), 'images/train/cell/001.PNG', ['and 001.jpg']),
    'two csv': (copy(CSV, '001.CSV'), CSV.replace('csv', 'CSV'), ['and 001.csv', 'want one']),
    'mask as TIFF too': (copy(MASK, '001.tif'), MASK, ['001.png and 001.tif', 'want one']),
    'mask as JPEG': (rename(MASK, '001.JPG'), MASK, ['missing', '001.JPG is there, want .png or']),
    'truncated cell image': (truncate(CELL), CELL, ['truncated', 'whole image']),
    'truncated tissue image': (truncate(TISSUE), TISSUE, ['truncated', 'whole image']),
    'truncated mask': (truncate(MASK), MASK, ['decoded', 'whole image']),
    'empty image': (write(CELL, b''), CELL, ['decoded', 'whole image']),
    'no image at all': (write(CELL, 'hello'), CELL, ['decoded', 'whole image']),
    'small cell image': (save(CELL, COLOR[:32]), CELL, ['64 x 32', '64 x 64']),
    'small tissue image': (save(TISSUE, COLOR[:, :32]), TISSUE, ['32 x 64', '64 x 64']),
    'gray cell image': (save(CELL, GRAY), CELL, ['L', 'RGB']),
    'CMYK tissue image': (save(TISSUE, COLOR, 'CMYK'), TISSUE, ['CMYK', 'RGB']),
    'small mask': (save(MASK, np.ones((32, 64))), MASK, ['64 x 32', '64 x 64']),
    'colored mask': (save(MASK, COLOR), MASK, ['RGB', 'one channel']),
    'mask value 0': (save(MASK, GRAY * 0), MASK, ['value 0', '1..2 or 255']),
    'mask value 3': (save(MASK, GRAY * 0 + 3), MASK, ['value 3', '1..2 or 255']),
    'mask value 254': (save(MASK, GRAY * 0 + 254), MASK, ['value 254', '1..2 or 255']),
    'label 3': (write(CSV, '1,2,1\n3,4,3\n'), CSV, ['line 2', 'label is 3', '1..2']),
    'label 0': (write(CSV, '3,4,0\n'), CSV, ['line 1', 'label is 0', '1..2']),
    'label 1.5': (write(CSV, '3,4,1.5\n'), CSV, ['line 1', 'label is 1.5', '1..2']),
    'x too large': (write(CSV, '64,4,1\n'), CSV, ['x is 64', '0..63']),
    'y too large': (write(CSV, '4,1000,1\n'), CSV, ['y is 1000', '0..63']),
    'x negative': (write(CSV, '-1,4,1\n'), CSV, ['x is -1', '0..63']),
    'x not a number': (write(CSV, 'nan,4,1\n'), CSV, ['x is nan', '0..63']),
    'two columns': (write(CSV, '3,4,1\n3,4\n'), CSV, ['line 2', '2 columns', 'x,y,label']),
    'four columns': (write(CSV, '3,4,1,0.9\n'), CSV, ['line 1', '4 columns', 'x,y,label']),
    'header': (write(CSV, 'x,y,label\n3,4,1\n'), CSV, ['line 1', 'not numeric', 'x,y,label']),
    'binary csv': (write(CSV, b'\xff\xfe\x00'), CSV, ['not a text file']),
    'no entry': (drop_entry, METADATA, ['no entry', '001']),
    'entry without files': (rename_entry('009'), CSV.replace('001', '009'), ['missing', '009']),
    'other subset': (meta('subset', 'val'), METADATA, ['subset', 'validation', 'train']),
    'unknown subset': (meta('subset', 'dev'), METADATA, ['subset', "'dev'", 'train, val or test']),
    'no slide': (meta('slide_name', None), METADATA, ['001', 'slide_name', 'missing']),
    'organ a number': (meta('organ', 3), METADATA, ['001', 'organ', '3', 'text']),
    'entry no object': (meta('cell', [1]), METADATA, ['001', 'cell', '[1]', 'object']),
    'no mpp': (meta('cell', 'resized_mpp_x', None), METADATA, ['resized_mpp_x', 'missing']),
    'mpp zero': (meta('tissue', 'resized_mpp_y', 0), METADATA, ['resized_mpp_y', '0', 'more']),
    'mpp negative': (meta('mpp_x', -0.2), METADATA, ["'mpp_x'", '-0.2', 'more than 0']),
    'mpp infinite': (meta('mpp_y', float('inf')), METADATA, ["'mpp_y'", 'inf', 'finite']),
    'mpp text': (meta('cell', 'resized_mpp_x', '0.2'), METADATA, ["'0.2'", 'finite number']),
    'mpp true': (meta('cell', 'resized_mpp_x', True), METADATA, ['True', 'finite number']),
    'mpp unlike': (meta('cell', 'resized_mpp_y', 0.4), METADATA, ['0.2', '0.4', 'square']),
    'center at the edge': (meta('patch_x_offset', 1.0), METADATA, ['patch_x_offset', '56', '64']),
    'center outside': (meta('patch_y_offset', -3), METADATA, ['patch_y_offset', '-3', '0..64']),
    'crop too large': (meta('cell', dict(resized_mpp_x=4, resized_mpp_y=4)), METADATA, ['0..64']),
    'center is null': (meta('patch_x_offset', 'x'), METADATA, ['patch_x_offset', 'finite']),
}


def one_line(error, *fragments):
    text = str(error.value)
    assert '\n' not in text
    for fragment in fragments:
        assert fragment in text
    return text


@pytest.mark.parametrize('case', BAD)
def test_validate_names_file_found_and_wanted(case, folder):
    PairFolder(folder).validate()  # good before
    change, name, fragments = BAD[case]
    change(folder)
    with pytest.raises(ValueError) as error:
        PairFolder(folder).validate('train')
    text = one_line(error, *fragments)
    assert text.startswith(f'{folder}/{name}: ')


@pytest.mark.parametrize('case', ['no csv', 'no entry', 'mpp zero', 'other subset'])
def test_data_source_refuses_what_it_can_see_at_once(case, folder):
    BAD[case][0](folder)
    with pytest.raises(ValueError) as error:
        PairFolder(folder).as_data_source('train')
    one_line(error, *BAD[case][2])


@pytest.mark.parametrize(
    'case', ['truncated cell image', 'gray cell image', 'mask value 3', 'label 3', 'x too large']
)
def test_reading_refuses_a_bad_file(case, folder):
    BAD[case][0](folder)
    source = PairFolder(folder).as_data_source('train')
    assert source[1]['pair_id'] == '002'
    with pytest.raises(ValueError) as error:
        source[0]
    one_line(error, BAD[case][1], *BAD[case][2])


def test_names_the_first_bad_file_and_counts_the_others(folder):
    write('annotations/train/cell/003.csv', '1\n')(folder)
    write('annotations/train/cell/002.csv', '1\n')(folder)
    truncate(CELL)(folder)
    meta('mpp_x', 0)(folder)
    with pytest.raises(ValueError) as error:
        PairFolder(folder).validate()
    one_line(error, 'annotations/train/cell/002.csv', '3 more')


def test_only_the_wanted_splits_are_read(tmp_path):
    folder = make_release(tmp_path / 'release')
    truncate(CELL)(folder)
    PairFolder(folder).validate('val')
    PairFolder(folder).validate(['val', 'test'])
    for splits in (None, 'train', ['test', 'train']):
        with pytest.raises(ValueError, match=r'cell/001\.jpg'):
            PairFolder(folder).validate(splits)


def test_a_rounded_offset_is_no_error(folder):
    # The crop is 16 of 64 pixels wide: its center may lie 8 from the border, here 7.5.
    meta('patch_x_offset', 7.5 / 64)(folder)
    PairFolder(folder).validate()
    meta('patch_x_offset', 6.5 / 64)(folder)
    with pytest.raises(ValueError, match='patch_x_offset'):
        PairFolder(folder).validate()


@pytest.mark.parametrize('ask', ['validate', 'as_data_source'])
@pytest.mark.parametrize(
    ('split', 'fragment'), [('test', 'empty'), ('val', 'empty'), ('dev', "'dev'"), ('', "''")]
)
def test_no_such_split(ask, split, fragment, folder):
    with pytest.raises(ValueError) as error:
        getattr(PairFolder(folder), ask)(split)
    one_line(error, fragment)


def test_nothing_to_validate(tmp_path):
    folder = PairFolder(make_release(tmp_path / 'release', {}))
    assert folder.splits == {}
    with pytest.raises(ValueError) as error:
        folder.validate()
    one_line(error, 'empty', str(tmp_path))


@pytest.mark.parametrize(
    ('content', 'fragment'),
    [
        ('{"sample_pairs": ', 'not JSON'),
        (b'\xff\xfe', 'not JSON'),
        ('[]', 'sample_pairs'),
        ('{"pairs": {}}', 'sample_pairs'),
        ('{"sample_pairs": []}', 'sample_pairs'),
    ],
)
def test_bad_metadata_file(content, fragment, folder):
    write(METADATA, content)(folder)
    with pytest.raises(ValueError) as error:
        PairFolder(folder)
    one_line(error, METADATA, fragment)


def test_no_metadata_or_two(folder, tmp_path):
    delete(METADATA)(folder)
    with pytest.raises(ValueError) as error:
        PairFolder(folder)
    one_line(error, METADATA, 'none', str(folder))
    for name in ('a', 'b'):
        make_release(tmp_path / 'both' / name)
    with pytest.raises(ValueError) as error:
        PairFolder(tmp_path / 'both')
    one_line(error, METADATA, '2 of them', 'a/', 'b/')


def test_neither_directory_nor_zip(tmp_path):
    path = tmp_path / 'notes.zip'
    path.write_text('hello')
    with pytest.raises(ValueError) as error:
        PairFolder(path)
    one_line(error, str(path), 'neither a directory nor a zip')
    with pytest.raises(FileNotFoundError) as error:
        PairFolder(tmp_path / 'nowhere')
    one_line(error, 'nowhere', 'does not exist')


@pytest.mark.parametrize(
    'member', ['../outside.txt', '/etc/outside', 'a/../../b', 'C:\\x', '..\\x']
)
def test_zip_member_that_leads_out(member, folder, tmp_path):
    path = tmp_path / 'bad.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        for file in folder.rglob('*'):
            archive.write(file, file.relative_to(folder))
        archive.writestr(member, 'x')
    with pytest.raises(ValueError) as error:
        PairFolder(path)
    one_line(error, str(path), repr(member), 'leads out')


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_member_of_a_zip(method, folder, tmp_path):
    path = tmp_path / 'damaged.zip'
    with zipfile.ZipFile(path, 'w', method) as archive:
        for file in sorted(folder.rglob('*')):
            archive.write(file, file.relative_to(folder))
        start = archive.getinfo(CELL).header_offset + 30 + len(CELL)
    data = bytearray(path.read_bytes())
    data[start : start + 20] = b'\xff' * 20
    path.write_bytes(data)
    with pytest.raises(ValueError) as error:
        PairFolder(path).validate()
    one_line(error, CELL, 'cannot be read')


def test_one_kind_of_file_missing_altogether(folder):
    for image in (folder / 'images/train/tissue').iterdir():
        image.unlink()
    with pytest.raises(ValueError) as error:
        PairFolder(folder).validate()
    one_line(error, TISSUE, 'missing', '2 more are bad')


def test_half_a_zip(folder, tmp_path):
    path = tmp_path / 'half.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        for file in folder.rglob('*'):
            archive.write(file, file.relative_to(folder))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ValueError) as error:
        PairFolder(path)
    one_line(error, f'{path}: is neither a directory nor a zip file', 'want one of these, whole')


def test_split_name_refuses():
    with pytest.raises(ValueError) as error:
        release.split_name('valid')
    one_line(error, "'valid'", "'validation'", "'val'")
