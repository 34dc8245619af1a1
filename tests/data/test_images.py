"""Image files, and refusals of what would only look like one."""

import io
import struct

import numpy as np
import pytest
import tifffile
from odd_images import encode_deep
from PIL import Image

from ocelot_jax.data import images
from ocelot_jax.io.errors import InputError

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def save(array, name='PNG', orientation=None, palette=None):
    """The bytes of an image file."""
    image = Image.fromarray(array)
    if palette is not None:  # which makes it one of numbers
        image.putpalette(np.asarray(palette, np.uint8).ravel().tolist())
    exif = Image.Exif()
    if orientation is not None:
        exif[0x112] = orientation
    file = io.BytesIO()
    image.save(file, name, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize('name', ['PNG', 'TIFF'])
def test_images_are_what_was_saved(name):
    np.testing.assert_array_equal(images.decode_rgb(save(PICTURE, name, 1), 'a'), PICTURE)


@pytest.mark.parametrize('name', ['PNG', 'TIFF', 'JPEG'])
@pytest.mark.parametrize('orientation', range(2, 9))
def test_what_is_to_be_turned_is_refused(name, orientation):
    with pytest.raises(InputError, match=rf'a: is to be turned .*\(orientation {orientation}\)'):
        images.decode_rgb(save(PICTURE, name, orientation), 'a')


@pytest.mark.parametrize('kind', [TypeError, struct.error, ZeroDivisionError])
def test_whatever_tifffile_makes_of_damaged_tags(kind, monkeypatch):
    def fail(file):
        raise kind('of\ntwo lines')

    monkeypatch.setattr(images.tifffile, 'TiffFile', fail)
    with pytest.raises(InputError, match=r'^a: is no whole TIFF \(of two lines\)$'):
        images.decode_rgb(save(PICTURE, 'TIFF'), 'a')


def test_masks_may_be_tiff_that_is_not_inverted():
    gray = PICTURE[..., 0]
    np.testing.assert_array_equal(images.decode_gray(save(gray, 'TIFF'), 'a'), gray)
    file = io.BytesIO()
    tifffile.imwrite(file, gray, photometric='miniswhite')
    with pytest.raises(InputError, match='a: is stored inverted'):
        images.decode_gray(file.getvalue(), 'a')
    with pytest.raises(InputError, match='a: has 3 channels of 8 bits; want one channel'):
        images.decode_gray(save(PICTURE, 'TIFF'), 'a')


def test_masks_too():
    with pytest.raises(InputError, match=r'a: is to be turned'):
        images.decode_gray(save(PICTURE[..., 0], orientation=6), 'a')


def test_a_palette_of_grays_is_no_palette():
    numbers = np.array([[1, 2], [2, 1]], np.uint8)
    grays = np.repeat(np.arange(256)[:, None], 3, 1)
    data = save(numbers, palette=grays)
    np.testing.assert_array_equal(images.decode_gray(data, 'a'), numbers)


@pytest.mark.parametrize('order', [(1, 2), (2, 1)])
def test_a_palette_that_could_mean_either_is_refused(order):
    """The same picture, BG as gray 1 and CA as gray 2, by numbers in either order."""
    palette = np.full((256, 3), 7)
    palette[list(order)] = [[1] * 3, [2] * 3]
    numbers = np.array([[order[0], order[1]]], np.uint8)
    data = save(numbers, palette=palette)
    if order == (1, 2):
        np.testing.assert_array_equal(images.decode_gray(data, 'mask'), [[1, 2]])
    else:
        with pytest.raises(InputError, match='mask: has a palette, whose color 1 is not gray 1'):
            images.decode_gray(data, 'mask')


def test_more_than_8_bits_are_refused_and_not_cut():
    file = io.BytesIO()
    tifffile.imwrite(file, PICTURE.astype(np.uint16), photometric='rgb')
    for data, told in (
        (encode_deep(PICTURE), 'of 16 bits'),
        (file.getvalue(), '3 channels of 16'),
    ):
        with pytest.raises(InputError, match=f'a: has .*{told}'):
            images.decode_rgb(data, 'a')
    gray = save(np.uint16([[1, 2]]))
    with pytest.raises(InputError, match='a: has channels of 16 bits'):
        images.decode_gray(gray, 'a')


def test_tensorflow_gets_what_training_reads():
    assert images.encode_for_tensorflow(data := save(PICTURE, 'JPEG'), 'a') is data
    data = images.encode_for_tensorflow(save(PICTURE, 'TIFF'), 'a')
    np.testing.assert_array_equal(images.decode_rgb(data, 'a'), PICTURE)
    bad = {'turned': save(PICTURE, 'TIFF', 6), '1 channel': save(PICTURE[..., 0], 'TIFF')}
    for told, data in bad.items():
        with pytest.raises(InputError, match=told):
            images.encode_for_tensorflow(data, 'a')


@pytest.mark.parametrize('name', ['turned.tif', 'turned.TIFF'])
def test_a_slide_that_openslide_would_not_turn_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(save(PICTURE, 'TIFF', 6))
    with pytest.raises(InputError, match='is to be turned for display'):
        images.check_depth(path)
