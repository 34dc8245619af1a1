"""Formats of slides and large images: a module each.

To add a format, write a module with `SUFFIXES`, `can_read(path)` and a class `Reader(path)` that
offers what `base.Reader` says, and add it to `_FORMATS`.
"""

from pathlib import Path

from ocelot_jax.data import images
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.slides.readers import openslide, pillow, tiff
from ocelot_jax.slides.readers.base import Reader

# the first that can read a file reads it
_FORMATS = (tiff, openslide, pillow)

SUFFIXES = tuple(dict.fromkeys(s for module in _FORMATS for s in module.SUFFIXES))


def open_reader(path: Path) -> Reader:
    """Opens a slide or image.

    Raises:
        MissingFileError: there is no such file.
        InputError: no reader knows it, or it is damaged or not in 8-bit color.
    """
    if not path.exists():
        raise MissingFileError(f'{path}: no such file; want a slide or an image')
    images.check_depth(path)
    for module in _FORMATS:
        if module.can_read(path):
            return module.Reader(path)
    with path.open('rb') as file:
        if images.begins_as_tiff(file.read(4)):
            raise InputError(
                f'{path}: begins as a TIFF, but nothing can read it, as a copy that was cut off; '
                'want a whole one'
            )
    missing = ', which is not installed: pip install ocelot_jax[slides]'
    raise InputError(
        f'{path}: no slide that OpenSlide knows{"" if openslide.INSTALLED else missing}; want '
        f'one, or {", ".join(s for s in SUFFIXES if s not in openslide.SUFFIXES)}'
    )
