"""Image files in 8-bit color, and nothing that would only look like it."""

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from ocelot_jax.io.errors import InputError, MissingFileError

_PNG = b'\x89PNG\r\n\x1a\n'
_PNG_DEPTH = 24  # where the header tells the bits of a channel


def check_depth(path: Path) -> None:
    """Refuses PNG and TIFF files of more than 8 bits, which readers would cut down silently.

    A TIFF in gray is refused too, because OpenSlide shows it in color.

    Raises:
        InputError: the file is one of these, or is no whole TIFF.
    """
    if path.suffix.lower() in ('.tif', '.tiff'):
        try:
            with tifffile.TiffFile(path) as file:
                page = file.pages[0]
                bits, channels = page.bitspersample, page.samplesperpixel
        except (tifffile.TiffFileError, OSError, IndexError, ValueError, KeyError) as error:
            raise InputError(f'{path}: is no whole TIFF ({error})') from None
        if bits != 8 or channels not in (3, 4):
            raise InputError(
                f'{path}: has {channels} channels of {bits} bits; want 8-bit color, RGB or RGBA'
            )
    with path.open('rb') as file:
        header = file.read(_PNG_DEPTH + 1)
    if header.startswith(_PNG) and header[_PNG_DEPTH:] not in (b'', b'\x08'):
        raise InputError(f'{path}: has channels of {header[_PNG_DEPTH]} bits; want 8-bit color')


def read_rgb(path: Path) -> np.ndarray:
    """Reads an image in 8-bit RGB, of any size.

    Returns:
        [h,w,3] uint8.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is no such image.
    """
    if not path.is_file():
        raise MissingFileError(f'{path}: no such file; want an image')
    check_depth(path)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # a stack of patches is long
    try:
        with Image.open(path) as image:
            if image.mode != 'RGB':
                raise InputError(f'{path}: color mode is {image.mode}; want 8-bit RGB')
            return np.asarray(image)
    except (OSError, SyntaxError) as error:
        reason = str(error).split(' <')[0]
        raise InputError(f'{path}: cannot be read as an image ({reason})') from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit
