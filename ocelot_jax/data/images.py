"""Image files: 8-bit color, or classes, and nothing that would only look like it."""

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import ExifTags, Image

from ocelot_jax.io.errors import InputError, MissingFileError

_PNG = b'\x89PNG\r\n\x1a\n'
_PNG_DEPTH = 24  # where the header tells the bits of a channel
_COLOR = (3, 4)  # channels of RGB, RGBA
# the first bytes of a TIFF and of a BigTIFF, in both byte orders
_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


def begins_as_tiff(data: bytes) -> bool:
    """Whether bytes begin as those of a TIFF or BigTIFF do."""
    return data.startswith(_TIFF)


def check_depth(path: Path) -> None:
    """Refuses PNG and TIFF files of more than 8 bits, which readers would cut down silently.

    A TIFF in gray is refused too, because OpenSlide shows it in color, and one that is to be
    turned for display, because OpenSlide does not.

    Raises:
        InputError: the file is one of these, or is no whole TIFF.
    """
    with path.open('rb') as file:
        if path.suffix.lower() in ('.tif', '.tiff', '.qptiff'):
            _check_orientation(_check_tiff(file, str(path)), str(path))
        _check_png(file, str(path))


def read_rgb(path: Path) -> np.ndarray:
    """Reads an image in 8-bit RGB, of any size; see `decode_rgb`.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is no such image.
    """
    if not path.is_file():
        raise MissingFileError(f'{path}: no such file; want an image')
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # a stack of patches is long
    try:
        return decode_rgb(path.read_bytes(), str(path))
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def decode_rgb(data: bytes, label: str) -> np.ndarray:
    """Decodes an image that is stored as viewers show it.

    One that is to be turned for display is refused: not every program that reads the annotations'
    image turns it, TensorFlow for one.

    Args:
        data: the file's bytes: JPEG, PNG or TIFF.
        label: the name of the file, for errors.

    Returns:
        [h,w,3] uint8.

    Raises:
        InputError: it is damaged, not in 8-bit RGB, or to be turned for display.
    """
    image = _decode(data, label, ('JPEG', 'PNG', 'TIFF'))
    if image.mode != 'RGB':
        raise InputError(f'{label}: color mode is {image.mode}; want 8-bit RGB')
    return np.asarray(image)


def decode_gray(data: bytes, label: str) -> np.ndarray:
    """Decodes a PNG or TIFF of one channel, [h,w] uint8, that is stored as viewers show it.

    Raises:
        InputError: it is damaged, has another number of channels or bits, is to be turned for
            display, or has a palette whose colors are not the gray of their numbers, so that
            either could be meant.
    """
    image = _decode(data, label, ('PNG', 'TIFF'), channels=(1,))
    if image.mode not in ('L', 'P'):
        raise InputError(f'{label}: mode is {image.mode}; want one channel of 8 bits')
    values = np.asarray(image)
    if image.mode == 'P':
        palette = np.asarray(image.getpalette('RGB'), np.uint8).reshape(-1, 3)
        for value in np.unique(values):
            if value >= len(palette) or (palette[value] != value).any():
                raise InputError(
                    f'{label}: has a palette, whose color {value} is not gray {value}; want one '
                    'without a palette'
                )
    return values


def encode_for_tensorflow(data: bytes, label: str) -> bytes:
    """The bytes of an image as they are where TensorFlow decodes them, else as PNG.

    Raises:
        InputError: as of `decode_rgb`.
    """
    if not begins_as_tiff(data):
        return data
    file = io.BytesIO()
    Image.fromarray(decode_rgb(data, label)).save(file, 'PNG')
    return file.getvalue()


def read_size(data: bytes, label: str) -> tuple[int, int]:
    """(width, height) of an image, by its header alone.

    Raises:
        InputError: it has none.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).split(' <')[0]
        raise InputError(f'{label}: cannot be decoded ({reason}); want a whole image') from None


def _decode(
    data: bytes, label: str, formats: tuple[str, ...], channels: tuple[int, ...] = _COLOR
) -> Image.Image:
    """Decodes a file that is stored as it is to be displayed."""
    file = io.BytesIO(data)
    if 'TIFF' in formats and begins_as_tiff(data):
        _check_orientation(_check_tiff(file, label, channels), label)
    _check_png(file, label)
    try:
        image = Image.open(file, formats=formats)
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's words for an unknown format end in the address of the buffer
        reason = str(error).split(' <')[0]
        raise InputError(f'{label}: cannot be decoded ({reason}); want a whole image') from None
    _check_orientation(orientation, label)
    return image


def _check_tiff(file: BinaryIO, label: str, wanted: tuple[int, ...] = _COLOR) -> int:
    """Checks the bits and channels of a TIFF, and gives its orientation."""
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            bits, channels = page.bitspersample, page.samplesperpixel
            inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
            tag = page.tags.get('Orientation')
            orientation = 1 if tag is None else int(tag.value)
    except Exception as error:  # of damaged tags tifffile raises whatever comes of them
        raise InputError(f'{label}: is no whole TIFF ({" ".join(str(error).split())})') from None
    if bits != 8 or channels not in wanted:
        good = '8-bit color, RGB or RGBA' if wanted == _COLOR else 'one channel of 8 bits'
        raise InputError(f'{label}: has {channels} channels of {bits} bits; want {good}')
    if inverted:
        raise InputError(f'{label}: is stored inverted (MINISWHITE); want 0 to be black')
    return orientation


def _check_orientation(orientation: int, label: str) -> None:
    if orientation in range(2, 9):  # the others mean nothing
        raise InputError(
            f'{label}: is to be turned for display (orientation {orientation}); want one that is '
            'stored as it is seen, as `vips autorot` makes it'
        )


def _check_png(file: BinaryIO, label: str) -> None:
    file.seek(0)
    header = file.read(_PNG_DEPTH + 1)
    file.seek(0)
    if header.startswith(_PNG) and header[_PNG_DEPTH:] not in (b'', b'\x08'):
        raise InputError(f'{label}: has channels of {header[_PNG_DEPTH]} bits; want 8 bits')
