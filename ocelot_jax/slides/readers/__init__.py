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

_CONVERT = 'as `bfconvert` of Bio-Formats does it'
_EXPORT = "as the vendor's software exports it"
# formats of slides that nothing here reads, and how they become OME-TIFF
_OTHERS = {
    '.nd2': ("Nikon's ND2", _CONVERT),
    '.vsi': ("Olympus' VSI", _CONVERT),
    '.oir': ("Olympus' OIR", _CONVERT),
    '.lif': ("Leica's LIF", _CONVERT),
    '.zvi': ("Zeiss' ZVI", _CONVERT),
    '.jp2': ('JPEG 2000', _CONVERT),
    '.ims': ("Imaris' IMS", _CONVERT),
    '.isyntax': ("Philips' iSyntax", _EXPORT),
    '.i2syntax': ("Philips' iSyntax", _EXPORT),
    '.kfb': ("KFBIO's KFB", _EXPORT),
    '.sdpc': ("SQRAY's SDPC", _EXPORT),
}


def is_slide(path: Path) -> bool:
    """Whether a file is one to open, by its suffix; of DICOM by its bytes, too."""
    return path.suffix.lower() in SUFFIXES or openslide.is_dicom(path)


def is_foreign(path: Path) -> bool:
    """Whether a file is a slide of a format that nothing here reads, by its suffix."""
    return path.suffix.lower() in _OTHERS


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
    raise InputError(f'{path}: {_why_unknown(path)}')


def _why_unknown(path: Path) -> str:
    """Says what a file may be that no reader knows, and what is wanted."""
    if is_foreign(path):
        name, how = _OTHERS[path.suffix.lower()]
        return f'is {name}, which is not read; want it as OME-TIFF, {how}'
    with path.open('rb') as file:
        start = file.read(4)
    if not start:
        return 'is empty; want a whole copy'
    if images.begins_as_tiff(start):
        return (
            'begins as a TIFF, but nothing can read it, as a copy that was cut off; want a whole '
            'one'
        )
    missing = ', which is not installed: pip install ocelot_jax[slides]'
    return (
        f'no slide that OpenSlide knows{"" if openslide.INSTALLED else missing}; want one, or '
        f'{", ".join(s for s in SUFFIXES if s not in openslide.SUFFIXES)}'
    )
