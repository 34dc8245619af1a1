"""From amounts of hematoxylin and eosin to the picture that a slide scanner takes."""

import dataclasses

import numpy as np
from scipy import ndimage

# Optical densities of red, green, blue per unit of stain: those that Ruifrok and Johnston measured
# (Anal Quant Cytol Histol 23, 2001), moved to the redder hues that scanned slides show.
HEMATOXYLIN = (0.61, 0.74, 0.29)
EOSIN = (0.13, 0.92, 0.36)


@dataclasses.dataclass(frozen=True)
class Stain:
    """How one slide was stained and scanned.

    Attributes:
        vectors: [2, 3] float32, optical density of red, green, blue per unit of hematoxylin and
            of eosin.
        light: [3] float32, grey level of empty glass.
        noise: standard deviation of the sensor's noise, grey levels.
        blur_um: standard deviation of the optics' blur, um.
    """

    vectors: np.ndarray
    light: np.ndarray
    noise: float
    blur_um: float


def draw_stain(rng: np.random.Generator) -> Stain:
    """Draws a slide's stain: hue and strength of both dyes, lamp, optics."""
    vectors = np.array([HEMATOXYLIN, EOSIN]) + rng.normal(0, 0.035, (2, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors *= np.exp(rng.normal(0, [[0.13], [0.2]], (2, 1)))
    return Stain(
        vectors=vectors.astype(np.float32),
        light=rng.uniform(238, 250, 3).astype(np.float32),
        noise=rng.uniform(1.0, 2.2),
        blur_um=rng.uniform(0.15, 0.3),
    )


def photograph(
    rng: np.random.Generator, hematoxylin: np.ndarray, eosin: np.ndarray, stain: Stain, mpp: float
) -> np.ndarray:
    """Takes the picture [h, w, 3] uint8 of stain amounts [h, w] by the Beer-Lambert law."""
    blurred = [ndimage.gaussian_filter(dye, stain.blur_um / mpp) for dye in (hematoxylin, eosin)]
    density = sum(
        dye[..., None] * vector for dye, vector in zip(blurred, stain.vectors, strict=True)
    )
    picture = stain.light * np.exp(-np.log(10, dtype=np.float32) * density)
    picture += np.float32(stain.noise) * rng.standard_normal(picture.shape, np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
