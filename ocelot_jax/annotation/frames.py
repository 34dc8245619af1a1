"""How a file counts places on a slide, and whether what it holds lies on that slide."""

import dataclasses
from pathlib import Path
from typing import Self

import numpy as np

from ocelot_jax.io.errors import InputError
from ocelot_jax.slides.slide import Slide


@dataclasses.dataclass(frozen=True)
class Frame:
    """How a file counts places.

    Attributes:
        corner: [2] float64, where its (0, 0) lies, in micrometres from the whole slide's corner.
        unit: [2] float64, micrometres per unit along x and along y.
        size: [2] float64, how wide and high what it counts is, in its units.
        pixel: [2] float64, how wide and high a level-0 pixel is, in its units.
        name: what it is called, for people.
    """

    corner: np.ndarray
    unit: np.ndarray
    size: np.ndarray
    pixel: np.ndarray
    name: str

    @classmethod
    def of_qupath(cls, slide: Slide) -> Self:
        """From the corner of the slide's bounds, where it has some, a pixel's center at +0.5."""
        return cls._of_qupath(slide, np.ones(2))

    @classmethod
    def of_qupath_um(cls, slide: Slide) -> Self:
        """The same in QuPath's micrometres: along each axis by the um/px that the file states.

        Raises:
            InputError: the file's um/px are overridden, so that those which QuPath took, the
                file's or others set there by hand, are not known.
        """
        if slide.overridden:
            raise InputError(
                f'{slide.path}: how many um/px QuPath took for places in um is not known where '
                '--override_mpp sets them; want GeoJSON, or a table with places in px'
            )
        return cls._of_qupath(slide, np.array(slide.axis_mpps or (slide.mpp,) * 2))

    @classmethod
    def _of_qupath(cls, slide: Slide, pixel: np.ndarray) -> Self:
        x, y, width, height = slide.bounds or (0, 0, slide.width, slide.height)
        name = "QuPath's frame" + (f', which begins at ({x}, {y}) px' if slide.bounds else '')
        size = np.array([width, height]) * pixel
        return cls(np.array([x, y]) * slide.mpp, slide.mpp / pixel, size, pixel, name)

    @classmethod
    def of_centers(cls, slide: Slide) -> Self:
        """Pixels of the whole slide, their centers at integers."""
        corner, size = np.full(2, 0.5 * slide.mpp), np.array([slide.width, slide.height], float)
        return cls(corner, np.full(2, slide.mpp), size, np.ones(2), 'pixels of the whole slide')

    @classmethod
    def of_micrometres(cls, slide: Slide) -> Self:
        """Micrometres from the whole slide's corner."""
        size = np.array([slide.width, slide.height]) * slide.mpp
        pixel = np.full(2, slide.mpp)
        return cls(np.zeros(2), np.ones(2), size, pixel, 'micrometres of the whole slide')

    def to_um(self, places: np.ndarray) -> np.ndarray:
        """Places [n,2] of the file, as micrometres from the whole slide's corner."""
        return places * self.unit + self.corner


def check_inside(path: Path, frame: Frame, boxes: np.ndarray, slide: Slide) -> None:
    """Refuses what cannot have been annotated on the slide.

    Args:
        path: the file.
        frame: how it counts.
        boxes: [n,4] float64, of each object the least x and y, and the greatest, as in the file.
        slide: where they should lie.

    Raises:
        InputError: some lie more than a pixel outside of it.
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    outside = ((low < -frame.pixel) | (high > frame.size + frame.pixel)).any(axis=1)
    if not outside.any():
        return
    (left, top), (right, bottom) = low.min(axis=0), high.max(axis=0)
    doubt = 'is it of another slide, or in other units (pixels, micrometres)?'
    if slide.bounds and not _outside_of_whole(frame, low, high, slide):
        doubt = 'is it counted from the corner of the whole slide, as with --no-crop in QuPath?'
    raise InputError(
        f'{path}: {outside.sum()} of {len(boxes)} objects lie outside of {slide.path.name}: '
        f'x {left:.2f} to {right:.2f}, y {top:.2f} to {bottom:.2f}; want 0 to {frame.size[0]:.6g} '
        f'and 0 to {frame.size[1]:.6g} in {frame.name}; {doubt}'
    )


def _outside_of_whole(frame: Frame, low: np.ndarray, high: np.ndarray, slide: Slide) -> bool:
    """Whether places are outside even if they count from the corner of the whole slide."""
    whole = np.array([slide.width, slide.height]) * frame.pixel
    return bool((low < -frame.pixel).any() or (high > whole + frame.pixel).any())
