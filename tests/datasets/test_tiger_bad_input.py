"""Every way that TIGER's files may be broken, and the one line that says so."""

import json

import numpy as np
import pytest
from ocelot_jax.datasets.tiger import release
from odd_images import encode_deep, save_colored, save_turned
from PIL import Image
from tiger_release import ROOT, file_name, write_tiger

from ocelot_jax.data import preparation
from ocelot_jax.io.errors import InputError

SLIDE = 'TCGA-A1-A0SK-01Z-00-DX1'
REGION = (SLIDE, 100, 200, 640, 520)
ROI = (SLIDE, 300, 205, 130, 140)
OTHER = ('114S', 7, 8, 60, 50)
REGION_NAME, ROI_NAME, OTHER_NAME = (file_name(*roi) for roi in (REGION, ROI, OTHER))
COCO = 'tissue-cells/tiger-coco.json'


@pytest.fixture
def root(tmp_path):
    root = tmp_path / 'manual' / ROOT
    write_tiger(root, [REGION], [ROI], [OTHER])
    return root


def delete(name):
    return lambda root: (root / name).unlink()


def rename(name, new):
    return lambda root: (root / name).rename(root / new)


def save(name, array, mode=None):
    pixels = np.asarray(array, np.uint8)
    return lambda root: Image.fromarray(pixels).convert(mode).save(root / name)


def on(change, name):
    return lambda root: change(root / name)


def write(name, text):
    return lambda root: (root / name).write_text(text)


def cut(name, share=0.6):
    def change(root):
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: int(len(data) * share)])

    return change


def flip(name):
    """Turns over a bit in the middle of the pixels."""

    def change(root):
        data = bytearray((root / name).read_bytes())
        data[len(data) // 2] ^= 1
        (root / name).write_bytes(data)

    return change


def edit(change_content):
    def change(root):
        content = json.loads((root / COCO).read_text())
        change_content(content)
        (root / COCO).write_text(json.dumps(content))

    return change


def image(**fields):
    return edit(lambda content: content['images'][1].update(fields))


def annotation(**fields):
    return edit(lambda content: content['annotations'][-1].update(fields))


def both(*changes):
    def change(root):
        for one in changes:
            one(root)

    return change


# of the other region, 60 x 50
CELLS_IMAGE = f'tissue-cells/images/{OTHER_NAME}'
CELLS_MASK = f'tissue-cells/masks/{OTHER_NAME}'
REGION_IMAGE = f'tissue-bcss/images/{REGION_NAME}'
REGION_MASK = f'tissue-bcss/masks/{REGION_NAME}'
NO_BRACKET = 'tissue-cells/{}/114S.png'
ODD_BRACKET = 'tissue-cells/{}/114S_[7, 8, 67].png'
WRONG_BRACKET = 'tissue-cells/{}/114S_[7, 8, 69, 58].png'
BAD = {
    'entry without image': (
        both(delete(CELLS_IMAGE), delete(CELLS_MASK)), CELLS_IMAGE,
        ['missing', 'tiger-coco.json', 'get it']),
    'image without mask': (delete(CELLS_MASK), CELLS_MASK, ['missing', 'images/', 'get both']),
    'region without mask': (delete(REGION_MASK), REGION_MASK, ['missing', 'images/', 'get both']),
    'mask without image': (delete(REGION_IMAGE), REGION_IMAGE, ['missing', 'masks/', 'get both']),
    'image without entry': (
        edit(lambda content: content.update(images=content['images'][:1], annotations=[])),
        COCO, [OTHER_NAME, 'no entry']),
    'no bracket': (
        both(*(rename(f'tissue-cells/{k}/{OTHER_NAME}', NO_BRACKET.format(k))
               for k in ('images', 'masks')), image(file_name='images/114S.png')),
        NO_BRACKET.format('images'), ['no bracket', 'x1, y1, x2, y2']),
    'three numbers': (
        both(*(rename(f'tissue-cells/{k}/{OTHER_NAME}', ODD_BRACKET.format(k))
               for k in ('images', 'masks')), image(file_name='114S_[7, 8, 67].png')),
        ODD_BRACKET.format('images'), ['no bracket']),
    'other bracket': (
        both(*(rename(f'tissue-cells/{k}/{OTHER_NAME}', WRONG_BRACKET.format(k))
               for k in ('images', 'masks')), image(file_name='a\\b\\114S_[7, 8, 69, 58].png')),
        WRONG_BRACKET.format('images'), ['60 x 50', '62 x 50', 'bracket']),
    'small mask': (save(CELLS_MASK, np.ones((50, 59))), CELLS_MASK, ['59 x 50', '60 x 50']),
    'turned mask': (save(REGION_MASK, np.ones((640, 520))), REGION_MASK,
                    ['520 x 640', '640 x 520']),
    'colored mask': (save(CELLS_MASK, np.ones((50, 60, 3))), CELLS_MASK, ['RGB', 'one channel']),
    'mask value 8': (save(REGION_MASK, np.full((520, 640), 8)), REGION_MASK,
                     ['value 8', '0..7']),
    'mask value 255': (save(CELLS_MASK, [[255] * 60] * 50), CELLS_MASK, ['value 255', '0..7']),
    'gray image': (save(CELLS_IMAGE, np.ones((50, 60))), CELLS_IMAGE, ['mode is L', 'RGB']),
    'cut image': (cut(REGION_IMAGE), REGION_IMAGE, ['decoded', 'whole']),
    'damaged image': (flip(CELLS_IMAGE), CELLS_IMAGE, ['decoded', 'whole']),
    'cut mask': (cut(REGION_MASK), REGION_MASK, ['decoded', 'whole']),
    'no image at all': (write(CELLS_IMAGE, 'hello'), CELLS_IMAGE, ['decoded', 'whole']),
    'deep image': (
        lambda root: (root / CELLS_IMAGE).write_bytes(encode_deep(np.ones((50, 60, 3)))),
        CELLS_IMAGE, ['16 bits', 'want 8 bits']),
    'turned image': (on(save_turned, REGION_IMAGE), REGION_IMAGE, ['orientation 6', 'as it is']),
    'mask to be turned': (on(save_turned, CELLS_MASK), CELLS_MASK, ['orientation 6']),
    'mask with a palette': (on(save_colored, REGION_MASK), REGION_MASK, ['palette', 'not gray']),
    'image that is a folder': (
        both(delete(CELLS_IMAGE), lambda root: (root / CELLS_IMAGE).mkdir()),
        CELLS_IMAGE, ['cannot be read', 'directory']),
    'box right of the image': (annotation(bbox=[70, 10, 8, 8]), COCO, [OTHER_NAME, 'x 70',
                                                                       '60 x 50']),
    'box below the image': (annotation(bbox=[10, 46, 8, 8]), COCO, [OTHER_NAME, 'y 46']),
    'box left of the image': (annotation(bbox=[-8.5, 10, 8, 8]), COCO, [OTHER_NAME, 'x -8.5']),
    'box above the image': (annotation(bbox=[10, -99, 8, 8]), COCO, [OTHER_NAME, 'y -99']),
    'box of three': (annotation(bbox=[1, 2, 3]), COCO, ['annotations[', 'bbox', '[1, 2, 3]']),
    'box of text': (annotation(bbox=[1, 2, 3, '4']), COCO, ['annotations[', "'4'"]),
    'box without extent': (annotation(bbox=[1, 2, -3, 4]), COCO, ['annotations[', '-3']),
    'box not a number': (annotation(bbox=[float('nan'), 2, 3, 4]), COCO, ['annotations[', 'nan']),
    'no box': (annotation(bbox=None), COCO, ['annotations[', 'bbox', 'missing']),
    'box of no image': (annotation(image_id=99), COCO, ['annotations[', 'image_id', '99']),
    'two categories': (annotation(category_id=2), COCO, ['categories 1, 2', 'want one']),
    'not JSON': (write(COCO, '{'), COCO, ['not JSON']),
    'JSON list': (write(COCO, '[]'), COCO, ["'images'", 'COCO']),
    'no annotations': (edit(lambda content: content.pop('annotations')), COCO,
                       ["'annotations'", 'COCO']),
    'images of text': (edit(lambda content: content.update(images=['a'])), COCO, ["'images'"]),
    'image without name': (image(file_name=None), COCO, ['images[1]', 'file_name', 'missing']),
    'image id a text': (image(id='1'), COCO, ['images[1]', "'1'", 'int']),
    'image without width': (image(width=None), COCO, ['images[1]', 'width', 'missing']),
    'image twice': (image(file_name=f'images/{ROI_NAME}'), COCO, ['images[1]', 'twice']),
    'image id twice': (image(id=7), COCO, ['images[1]', 'id 7', 'twice']),
    'image of another size': (image(height=51), COCO, [OTHER_NAME, '60 x 51', '60 x 50']),
    'no region of the slide': (
        both(delete(REGION_IMAGE), delete(REGION_MASK)), f'tissue-cells/images/{ROI_NAME}',
        [SLIDE, 'no region', 'tissue-bcss/images']),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_names_file_found_and_wanted(case, root):
    release.read_rois(root)  # good before
    change, name, fragments = BAD[case]
    change(root)
    with pytest.raises(ValueError) as error:
        release.read_rois(root)
    text = str(error.value)
    assert '\n' not in text
    assert text.startswith(str(root / name)), text
    assert 'more is bad' not in text
    for fragment in fragments:
        assert fragment in text


def test_counts_what_else_is_bad(root):
    for name in (CELLS_MASK, REGION_MASK, f'tissue-cells/masks/{ROI_NAME}'):
        (root / name).unlink()
    with pytest.raises(ValueError, match=r'tissue-bcss/masks/.*missing.*and 2 more are bad'):
        release.read_rois(root)


def test_sizes_need_not_be_stated(root):
    stated = release.read_rois(root)
    content = json.loads((root / COCO).read_text())
    for entry in content['images']:
        del entry['width'], entry['height']
    (root / COCO).write_text(json.dumps(content))
    for one, other in zip(release.read_rois(root), stated, strict=True):
        assert (one.name, one.size) == (other.name, other.size)
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_hidden_files_and_other_files_do_not_matter(root):
    for name in ('.DS_Store', '._x_[0, 0, 1, 1].png', 'Thumbs.db'):
        (root / 'tissue-cells/images' / name).write_text('x')
    assert len(release.read_rois(root)) == 3


def test_a_file_that_cannot_be_read_has_no_digest(root):
    (root / 'tissue-cells/masks/a.png').mkdir()
    with pytest.raises(InputError, match=r'tissue-cells/masks/a\.png: cannot be read \(Is a dir'):
        release.digest(root)


def test_a_bracket_may_be_rounded(tmp_path):
    write_tiger(tmp_path, [], [], [OTHER])
    for kind in ('images', 'masks'):
        folder = tmp_path / 'tissue-cells' / kind
        (folder / OTHER_NAME).rename(folder / '114S_[7, 8, 68, 58].png')
    image(file_name='114S_[7, 8, 68, 58].png')
    coco = tmp_path / COCO
    coco.write_text(coco.read_text().replace(OTHER_NAME, '114S_[7, 8, 68, 58].png'))
    (roi,) = release.read_rois(tmp_path)
    assert roi.size == (60, 50)


def preparation_error(tmp_path):
    """What is wrong with the data, in one line, nothing having been written."""
    with pytest.raises(InputError) as error:
        preparation.prepare('tiger', tmp_path / 'data', tmp_path / 'manual')
    text = str(error.value)
    assert '\n' not in text
    assert not list(tmp_path.rglob('*record*'))
    assert not list(tmp_path.rglob('*incomplete*'))
    return text


@pytest.mark.parametrize(
    'case', ['entry without image', 'small mask', 'box right of the image', 'no bracket']
)
def test_nothing_is_half_built(case, root, tmp_path):
    change, name, fragments = BAD[case]
    change(root)
    text = preparation_error(tmp_path)
    for fragment in (str(root / name), *fragments):
        assert fragment in text


def test_no_pairs_is_told(tmp_path):
    root = tmp_path / 'manual' / ROOT
    write_tiger(root, [], [], [OTHER])
    text = preparation_error(tmp_path)
    assert str(root) in text
    assert 'no region is large enough' in text


@pytest.mark.parametrize('held', [None, (), ('mnist.zip',), ('tissue-cells/images/a.png',)])
def test_missing_data_are_told_with_where_to_get_them(held, tmp_path):
    if held is not None:
        (tmp_path / 'manual').mkdir()
        for name in held:
            (tmp_path / 'manual' / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / 'manual' / name).write_text('')
    text = preparation_error(tmp_path)
    for fragment in (
        str(tmp_path / 'manual'),
        's3://tiger-training',
        'wsirois/roi-level-annotations',
        'aws s3 cp',
    ):
        assert fragment in text
