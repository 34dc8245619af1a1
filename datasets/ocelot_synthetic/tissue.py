"""The tissue of a synthetic scene: cancer area, architecture, what lies between the cells.

Lengths that decide how much of the tissue a cell patch gives away (cancer areas, nests, the
drift of the stain) are fractions of the field of view, so that the small geometry is as hard as
the paper's; fibres and granules have their natural size in um.
"""

import dataclasses

import numpy as np
from ocelot_jax.datasets.ocelot_synthetic import noise

from ocelot_jax.io.errors import InputError

BACKGROUND, CANCER, UNKNOWN = 0, 1, 255

# Table 4 and Section 3.1 of the paper: shares of the tissue patches' pixels.
CANCER_SHARE, UNKNOWN_SHARE = 0.4017, 0.0406

BORDER_ROUGHNESS = 0.12

# Eosin, in optical density, that cancer lacks beside other tissue, that comes and goes within a
# scene, and that whole scenes lack: these differ the most, so that a cell patch's own color tells
# little.
_CANCER_TINT, _DRIFT, _SCENE_TINTS = 0.08, 0.02, (-0.24, 0.02)


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Sizes of a pair.

    Attributes:
        size: side of both patches, pixels.
        cell_mpp: um per pixel of the cell patch; the tissue patch has four times as much.
    """

    size: int
    cell_mpp: float

    def __post_init__(self) -> None:
        if self.size % 8 or self.size <= 0:
            raise InputError(f'Geometry.size is {self.size}; want a positive multiple of 8')
        if not self.cell_mpp > 0:
            raise InputError(f'Geometry.cell_mpp is {self.cell_mpp}; want um per pixel above 0')

    @property
    def tissue_mpp(self) -> float:
        """Um per pixel of the tissue patch."""
        return 4 * self.cell_mpp

    @property
    def cell_extent(self) -> float:
        """Side of the cell patch's field of view, um."""
        return self.size * self.cell_mpp

    @property
    def tissue_extent(self) -> float:
        """Side of the tissue patch's field of view, um."""
        return self.size * self.tissue_mpp


@dataclasses.dataclass(frozen=True)
class Points:
    """Places of a scene: x [n] and y [n], um."""

    x: np.ndarray
    y: np.ndarray

    def values(self, field: noise.Field) -> np.ndarray:
        """Returns a field's values [n] at the points."""
        return field.at(self.x, self.y)


@dataclasses.dataclass(frozen=True)
class Grid:
    """Pixels that look at a scene: the centers of the columns x [w] and of the rows y [h], um."""

    x: np.ndarray
    y: np.ndarray
    mpp: float

    def values(self, field: noise.Field) -> np.ndarray:
        """Returns a field's values [h, w] at the pixels."""
        return field.on_grid(self.x, self.y)


def grid(left: float, top: float, size: int, mpp: float) -> Grid:
    """Returns the square grid of `size` pixels whose upper left corner is (left, top), um."""
    offsets = ((np.arange(size) + 0.5) * mpp).astype(np.float32)
    return Grid(x=np.float32(left) + offsets, y=np.float32(top) + offsets, mpp=mpp)


@dataclasses.dataclass(frozen=True)
class Tissue:
    """The random fields of one scene; every `noise.Field` has a value at every point.

    Attributes:
        cancer: high in the cancer area; `cancer_border` is where the area begins.
        border: irregularity added to `cancer`.
        nests: decides epithelium (high) or stroma (low) around a point; where it is farther from
            the middle than `glass_border` there is neither, but a lumen or a gap.
        ragged: irregularity added to `nests`.
        tint: how much less eosin the whole scene has, optical density; half of it more
            hematoxylin.
        drift: slow drift of that within the scene.
        ambiguity: high where cells look alike; `ambiguity_border` is where that begins.
        warp: two fields that bend the fibres.
        fibres: [m, n] float32 lattice, stretched along the fibres.
        direction: main direction of the fibres, radians.
        granules: fine and finer texture of cytoplasm and chromatin.
        mask: [size, size] uint8 tissue mask.
    """

    cancer: noise.Field
    cancer_border: float
    border: noise.Field
    nests: noise.Field
    glass_border: float
    ragged: noise.Field
    tint: float
    drift: noise.Field
    ambiguity: noise.Field
    ambiguity_border: float
    warp: tuple[noise.Field, noise.Field]
    fibres: np.ndarray
    direction: float
    granules: tuple[noise.Field, noise.Field]
    mask: np.ndarray


def draw_tissue(
    rng: np.random.Generator, geometry: Geometry, cancer_share: float, ambiguous_share: float
) -> Tissue:
    """Draws the fields of a scene and its mask.

    Args:
        rng: random generator.
        geometry: sizes.
        cancer_share: share of cancer area in the tissue patch, in [0, 1].
        ambiguous_share: share of the tissue in which cells look alike, in [0, 1].
    """
    extent = geometry.tissue_extent
    cancer, border, ambiguity, part = (
        noise.field(rng, step * extent, extent) for step in (0.26, 0.06, 0.16, 0.12)
    )
    pixels = grid(0, 0, geometry.size, geometry.tissue_mpp)
    level = pixels.values(cancer) + BORDER_ROUGHNESS * pixels.values(border)
    unknown_share = rng.uniform(0, 2 * UNKNOWN_SHARE)
    cancer_border = _upper_quantile(level, cancer_share + unknown_share / 2)
    mask = _draw_mask(level - cancer_border, pixels.values(part), unknown_share)
    return Tissue(
        cancer=cancer,
        cancer_border=cancer_border,
        border=border,
        nests=noise.field(rng, 0.07 * extent, extent),
        glass_border=rng.uniform(1.6, 2.5),
        ragged=noise.field(rng, 4.0, extent),
        # by a generator of its own, which leaves what is drawn after it alone
        tint=rng.spawn(1)[0].uniform(*_SCENE_TINTS),
        drift=noise.field(rng, 0.12 * extent, extent),
        ambiguity=ambiguity,
        ambiguity_border=_upper_quantile(pixels.values(ambiguity), ambiguous_share),
        warp=(noise.field(rng, 0.2 * extent, extent), noise.field(rng, 0.05 * extent, extent)),
        fibres=rng.standard_normal((256, 256), np.float32),
        direction=rng.uniform(0, np.pi),
        granules=(noise.field(rng, 1.6, extent), noise.field(rng, 0.6, extent)),
        mask=mask,
    )


def _upper_quantile(values: np.ndarray, share: float) -> float:
    """Returns the value that a share of `values` exceeds."""
    return float(np.quantile(values[::2, ::2], 1 - share))


def _draw_mask(level: np.ndarray, part: np.ndarray, unknown_share: float) -> np.ndarray:
    """Draws the mask: cancer where `level` > 0, unknown along the parts of the border."""
    mask = np.where(level > 0, CANCER, BACKGROUND).astype(np.uint8)
    distance = np.abs(level) + np.float32(0.5) * np.maximum(-part, 0)
    mask[distance < np.quantile(distance[::2, ::2], unknown_share)] = UNKNOWN
    return mask


def lookup(mask: np.ndarray, x: np.ndarray, y: np.ndarray, mpp: float) -> np.ndarray:
    """Returns the mask's values at the points (x, y), um; outside the nearest pixel counts."""
    row, column = (np.clip((v / mpp).astype(int), 0, len(mask) - 1) for v in (y, x))
    return mask[row, column]


def compartments(tissue: Tissue, places: Grid | Points) -> tuple[np.ndarray, ...]:
    """Returns softly, from 0 to 1, cancer area, epithelium and glass at some places."""
    level = places.values(tissue.cancer) + BORDER_ROUGHNESS * places.values(tissue.border)
    cancer = noise.sigmoid((level - tissue.cancer_border) / 0.1)
    nests = places.values(tissue.nests) + 0.7 * (cancer - 0.4)
    rough = 0.06 * places.values(tissue.ragged)
    epithelium = noise.sigmoid((nests + 2 * rough + 0.1) / 0.07)
    glass = noise.sigmoid((np.abs(nests - 0.1) + rough - tissue.glass_border) / 0.03)
    return cancer, epithelium, glass


def is_ambiguous_zone(tissue: Tissue, places: Points) -> np.ndarray:
    """Returns [n] bool: whether most cells around a place look alike."""
    return places.values(tissue.ambiguity) > tissue.ambiguity_border


def paint(
    tissue: Tissue, pixels: Grid, nearest: np.ndarray, membrane: np.ndarray, body: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lays down the stain of everything but the nuclei.

    Args:
        tissue: the tissue.
        pixels: the pixels' places.
        nearest: [h, w], distance to the nearest nucleus's edge, um.
        membrane: [h, w], 1 where two cells touch, 0 farther off.
        body: [h, w] in [0, 1), a random number of each cell.

    Returns:
        hematoxylin, eosin [h, w] float32, optical density.
    """
    cancer, epithelium, glass = compartments(tissue, pixels)
    granules = pixels.values(tissue.granules[0])
    if pixels.mpp < tissue.granules[1].step:
        granules += 0.8 * pixels.values(tissue.granules[1])
    strength = 0.17 + 0.10 * body + 0.03 * granules
    cytoplasm = strength + 0.13 * membrane - 0.015 * np.clip(nearest - 2, 0, 4)
    strands = _fibres(tissue, pixels)
    stroma = 0.08 + 0.16 * noise.sigmoid(4 * strands + 1.5) + 0.09 * strands
    rim = 4 * glass * (1 - glass)
    # Cancer is a little bluer, but so are whole scenes and other places of a cell patch's size:
    # only a look at much more tissue compares the two and averages the drift out.
    bluish = tissue.tint + _CANCER_TINT * cancer + _DRIFT * pixels.values(tissue.drift)
    eosin = stroma + epithelium * (cytoplasm - stroma) + 0.06 * rim - bluish
    hematoxylin = 0.03 + epithelium * (0.2 * cytoplasm + 0.01) + 0.03 * rim + bluish / 2
    kept = 1 - glass
    return np.maximum(hematoxylin, 0) * kept, np.maximum(eosin, 0.02) * kept


def _fibres(tissue: Tissue, pixels: Grid) -> np.ndarray:
    """Returns wavy fibres [h, w] of about -1 to 1."""
    bend, wave = (pixels.values(warp) for warp in tissue.warp)
    cos, sin = np.float32(np.cos(tissue.direction)), np.float32(np.sin(tissue.direction))
    swing = 0.3 * tissue.warp[0].step
    along = pixels.x * cos + pixels.y[:, None] * sin
    across = pixels.y[:, None] * cos - pixels.x * sin + swing * bend + 4.0 * wave
    broad = noise.sample_warped(tissue.fibres, along / 40, across / 4.5)
    thin = noise.sample_warped(tissue.fibres, along / 22 + 97, across / 1.7 + 31)
    if pixels.mpp > 0.4:
        return np.tanh(0.8 * broad + 0.6 * thin)
    fine = noise.sample_warped(tissue.fibres, along / 14 + 53, across / 0.6 + 11)
    return np.tanh(0.8 * broad + 0.6 * thin + 0.3 * fine)
