"""What a reader of slides offers, and what readers share."""

from typing import Protocol

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]
Corners = tuple[float, float, float, float]

_WHITE = (255, 255, 255)


class Reader(Protocol):
    """An open slide or image; may be read by many threads at once.

    Attributes:
        levels: (width, height) of each level in pixels, the full resolution first.
    """

    levels: tuple[tuple[int, int], ...]

    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per pixel of the full level along x and y; None where the file has none.

        Raises:
            InputError: what the file states is not whole, or no number.
        """

    def bounds(self) -> tuple[int, int, int, int] | None:
        """The part that was scanned, (x, y, width, height) in pixels of the full level.

        None where the file states none.
        """

    def region(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        """Reads pixels of a level as RGB; the region lies within the level.

        Raises:
            InputError: the file is damaged there.
        """

    def resample(self, level: int, place: Box, size: tuple[int, int], box: Corners) -> np.ndarray:
        """Reads pixels of a level, and makes a part of them larger or smaller.

        Bicubic, with anti-aliasing: what lies around the part counts, too.

        Args:
            level: of `levels`.
            place: (x, y, width, height) of what is read, within the level.
            size: (width, height) of the result.
            box: (left, top, right, bottom) of the part, in pixels from the corner of `place`.

        Returns:
            [height,width,3] uint8.

        Raises:
            InputError: the file is damaged there.
        """
        read = self.region(level, *place)
        return np.asarray(read.resize(size, Image.Resampling.BICUBIC, box=box))

    def close(self) -> None:
        """Closes the file."""


def on_white(image: Image.Image) -> Image.Image:
    """Puts an RGB or RGBA image on white: RGB, a copy."""
    if image.mode == 'RGB':
        return image.copy()
    alpha = image.getchannel('A')
    if alpha.getextrema()[0] == 255:
        return image.convert('RGB')
    result = Image.new('RGB', image.size, _WHITE)
    result.paste(image, mask=alpha)
    return result
