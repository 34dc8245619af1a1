"""Pairs to predict, as users give them: what is read, and what is refused."""

import json
import re

import numpy as np
import pytest
import tifffile
from conftest import make_release
from drawn_pairs import draw_patch, write_stacks
from PIL import Image

from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.prediction import inputs


def test_stacks_are_cut_into_pairs(tmp_path):
    file = write_stacks(tmp_path, 3) / 'metadata.json'
    records = json.loads(file.read_text())
    records[1]['cell'] |= {'resized_mpp_x': 0.4, 'resized_mpp_y': 0.4}
    file.write_text(json.dumps(records))
    pairs = inputs.challenge_pairs(tmp_path)
    mpps = [0.2, 0.4, 0.2]
    assert pairs.cell_mpps == pytest.approx(mpps)
    assert pairs.names == ('image_0', 'image_1', 'image_2')
    for index in range(3):
        record = pairs.read(index)
        np.testing.assert_array_equal(record['cell_image'], draw_patch([(20 + index, 30)]))
        np.testing.assert_array_equal(record['tissue_image'], draw_patch([]))
        assert record['center'].tolist() == [0.5, 0.5]
        wanted = np.float32(mpps[index]), np.float32(0.8)
        assert (record['cell_mpp'], record['tissue_mpp']) == wanted


BAD_STACKS = {
    'unequal stacks': ({'count': 3, 'tissue_count': 2}, '3 cell patches in 000.tif, 2 tissue'),
    'metadata': ({'count': 2, 'records': 5}, 'and 5 records in metadata.json; want as many'),
    'gray': ({'count': 1, 'mode': 'L'}, '000.tif: has 1 channels of 8 bits; want 8-bit color'),
    'RGBA': ({'count': 1, 'mode': 'RGBA'}, '000.tif: color mode is RGBA; want 8-bit RGB'),
}


@pytest.mark.parametrize('case', BAD_STACKS)
def test_bad_stacks(tmp_path, case):
    values, message = BAD_STACKS[case]
    with pytest.raises(InputError, match=re.escape(message)) as error:
        inputs.challenge_pairs(write_stacks(tmp_path, **values))
    assert '\n' not in str(error.value)


def test_stacks_that_are_none(tmp_path):
    folder = write_stacks(tmp_path, 2)
    path = folder / 'images/cell_patches/000.tif'
    tifffile.imwrite(path, np.zeros((100, 64, 3), np.uint8), photometric='rgb')
    with pytest.raises(InputError, match='is 64 x 100 px; want square patches on top'):
        inputs.challenge_pairs(folder)
    tifffile.imwrite(path, np.zeros((128, 64, 3), np.uint16), photometric='rgb')
    with pytest.raises(InputError, match=r'000\.tif: has 3 channels of 16 bits'):
        inputs.challenge_pairs(folder)
    path.unlink()
    with pytest.raises(InputError, match='holds 0 TIFF files; want one'):
        inputs.challenge_pairs(folder)


@pytest.mark.parametrize(
    ('text', 'message'),
    [('{', 'not JSON'), ('{}', 'holds a dict; want a list'), ('[1, 2]', 'record 0 is a int')],
)
def test_bad_metadata(tmp_path, text, message):
    folder = write_stacks(tmp_path, 2)
    (folder / 'metadata.json').write_text(text)
    with pytest.raises(InputError, match=message):
        inputs.challenge_pairs(folder)
    (folder / 'metadata.json').unlink()
    with pytest.raises(MissingFileError, match='want a list with a record per pair'):
        inputs.challenge_pairs(folder)


def test_a_center_that_puts_the_cell_patch_outside(tmp_path):
    paths = [tmp_path / 'cell.png', tmp_path / 'tissue.png']
    for path in paths:
        Image.fromarray(draw_patch([])).save(path)
    with pytest.raises(InputError, match=r'reach out of the tissue patch along x; want .* 0\.125'):
        inputs.one_pair(*paths, (0.05, 0.5), (0.2, 0.8))
    # the release rounds its offsets to about a pixel
    assert inputs.one_pair(*paths, (0.112, 0.5), (0.2, 0.8)).names == ('cell',)


def _touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ('names', 'pairs', 'told'),
    [
        (['a.svs', 'a/metadata.json'], False, ''),  # of another program, as all of these
        (['a.svs', 'metadata.json'], False, ''),
        (['a/a.svs', 'a/metadata.json'], False, ''),
        (['a.svs', 'images/preview.png', 'metadata.json'], False, ''),
        (
            ['a.svs', 'set/metadata.json', 'set/images/train/cell/1.jpg'],
            False,
            "is taken for slides; left out is set, pairs in OCELOT's layout; give that alone as",
        ),
        (
            ['preview.png', 'metadata.json', 'images/train/cell/1.jpg'],
            True,
            "is taken for pairs in OCELOT's layout; left out is preview.png, a slide beside; give",
        ),
    ],
)
def test_metadata_beside_slides(tmp_path, caplog, names, pairs, told):
    assert inputs.is_pair_folder(_touch(tmp_path, *names)) == pairs
    assert told in caplog.text
    assert len(caplog.records) == bool(told)


def test_what_is_which(tmp_path):
    release = make_release(tmp_path / 'inside' / 'release')
    assert inputs.is_pair_folder(release)
    assert inputs.is_pair_folder(release.parent)  # one top folder, as zips have it
    assert inputs.is_pair_folder(tmp_path / 'data.zip')
    assert not inputs.is_pair_folder(tmp_path)
    assert not inputs.is_pair_folder(tmp_path / 'slide.svs')
    assert inputs.is_pair_folder(_touch(tmp_path / 'bare', 'metadata.json'))
    assert inputs.is_pair_folder(_touch(tmp_path / 'no metadata', 'images/test/cell/1.jpg'))
    assert inputs.is_challenge(write_stacks(tmp_path / 'stacks', 1))
    assert not inputs.is_challenge(release)
