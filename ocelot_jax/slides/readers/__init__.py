"""Formats of slides and large images: a module each.

To add a format, write a module with `SUFFIXES`, `can_read(path)` and a class `Reader(path)` that
offers what `base.Reader` says, and add it to `_FORMATS`.
"""

from pathlib import Path

from ocelot_jax.data import images
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.slides.readers import openslide, pillow
from ocelot_jax.slides.readers.base import Reader

# the first that can read a file reads it
_FORMATS = (openslide, pillow)

SUFFIXES = tuple(suffix for module in _FORMATS for suffix in module.SUFFIXES)


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
    missing = ', which is not installed: pip install ocelot_jax[slides]'
    raise InputError(
        f'{path}: no slide that OpenSlide knows{"" if openslide.INSTALLED else missing}; want '
        f'one, or {", ".join(s for s in SUFFIXES if s not in openslide.SUFFIXES)}'
    )
