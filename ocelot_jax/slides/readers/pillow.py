"""Plain images that Pillow reads, all at once."""

from pathlib import Path

from PIL import Image, ImageOps

from ocelot_jax.io.errors import InputError
from ocelot_jax.slides.readers import base
from ocelot_jax.slides.readers.base import on_white

SUFFIXES = ('.png', '.jpg', '.jpeg')

_MAX_PIXELS = 1_000_000_000
_UM_PER_INCH = 25400.0


def can_read(path: Path) -> bool:
    """Whether the file's suffix is that of an image."""
    return path.suffix.lower() in SUFFIXES


class Reader(base.Reader):
    """An image in memory, with one level; see `base.Reader`.

    Raises:
        InputError: the file is damaged, too large, or not in 8-bit color.
    """

    def __init__(self, path: Path):
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(path) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise InputError(
                        f'{path}: {image.width} x {image.height} px are too many to be read at '
                        'once; want a tiled pyramidal TIFF, as `vips tiffsave --tile --pyramid` '
                        'makes it'
                    )
                if image.mode not in ('RGB', 'RGBA'):
                    raise InputError(f'{path}: color mode is {image.mode}; want 8-bit RGB or RGBA')
                self._dpi = image.info.get('dpi')
                self._image = on_white(ImageOps.exif_transpose(image))
        except (OSError, SyntaxError) as error:
            reason = str(error).split(' <')[0]
            raise InputError(f'{path}: cannot be read as an image ({reason})') from None
        finally:
            Image.MAX_IMAGE_PIXELS = limit
        self.levels = (self._image.size,)

    def mpp(self) -> tuple[float, float] | None:
        if not self._dpi or not all(self._dpi):
            return None
        return _UM_PER_INCH / float(self._dpi[0]), _UM_PER_INCH / float(self._dpi[1])

    def bounds(self) -> None:
        return None

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        del level  # there is one
        return self._image.crop((x, y, x + width, y + height))

    def close(self) -> None:
        self._image.close()
