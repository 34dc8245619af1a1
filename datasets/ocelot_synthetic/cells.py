"""Cells of a synthetic scene: where they lie, what they look like, how they are drawn."""

import dataclasses

import numpy as np
from ocelot_jax.datasets.ocelot_synthetic import tissue
from scipy import spatial

BACKGROUND_CELL, TUMOR_CELL = 1, 2

# Table 3 (a) of the paper: share of tumor cells among the cells inside and outside of the
# cancer area.
TUMOR_SHARE_IN_CANCER = 67.7 / (67.7 + 6.4)
TUMOR_SHARE_OUTSIDE = 5.4 / (5.4 + 35.2)

# Two cells keep this distance, um; so many are thrown down per mm^2, of which those that come too
# close to another one or fall on glass are dropped. 170 cells per patch of 204.8 um remain.
MIN_SPACING = 7.2
THROWN_PER_MM2 = 7450

# Cells reach no farther than this from their center, um.
REACH = 12.0


@dataclasses.dataclass(frozen=True)
class Morphology:
    """What nuclei look like; every attribute is [n] float32.

    Attributes:
        radius: radius of the disk of the same area, um.
        elongation: long axis over short axis.
        irregularity: how far the outline leaves the ellipse, relative to the radius.
        density: optical density of hematoxylin.
        vesicularity: 0 for even chromatin, 1 for a pale nucleus with a dark membrane.
        coarseness: strength of the chromatin's clumps.
        nucleolus: strength of the nucleoli.
    """

    radius: np.ndarray
    elongation: np.ndarray
    irregularity: np.ndarray
    density: np.ndarray
    vesicularity: np.ndarray
    coarseness: np.ndarray
    nucleolus: np.ndarray


# Mean and standard deviation of each attribute of Morphology, in its order.
_TUMOR = (
    (5.0, 0.7),
    (1.3, 0.2),
    (0.075, 0.025),
    (0.45, 0.07),
    (0.75, 0.12),
    (0.2, 0.05),
    (0.8, 0.2),
)
_LYMPHOCYTE = (
    (3.2, 0.3),
    (1.08, 0.06),
    (0.02, 0.01),
    (0.68, 0.07),
    (0.1, 0.08),
    (0.14, 0.04),
    (0.0, 0.02),
)
_FIBROBLAST = (
    (3.3, 0.35),
    (3.2, 0.6),
    (0.05, 0.02),
    (0.62, 0.08),
    (0.2, 0.1),
    (0.1, 0.03),
    (0.0, 0.05),
)
_AMBIGUOUS = (
    (4.0, 0.4),
    (1.35, 0.2),
    (0.05, 0.02),
    (0.56, 0.08),
    (0.4, 0.15),
    (0.17, 0.05),
    (0.25, 0.2),
)
_LYMPHOCYTE_SHARE = 0.6


@dataclasses.dataclass(frozen=True)
class Cells:
    """The cells of a scene.

    Attributes:
        x, y: [n] float32, centers, um.
        label: [n] int64, 1 background cell, 2 tumor cell.
        ambiguous: [n] bool, whether the morphology says nothing about the label.
        morphology: what the nuclei look like.
        shape: [n, 6] float32 in [0, 1), random numbers that fix orientation (one), outline
            (three), nucleoli, and the strength of the cytoplasm.
    """

    x: np.ndarray
    y: np.ndarray
    label: np.ndarray
    ambiguous: np.ndarray
    morphology: Morphology
    shape: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, chosen: np.ndarray) -> 'Cells':
        """Returns the cells that `chosen` (a mask or indices) picks."""
        morphology = Morphology(*(v[chosen] for v in vars(self.morphology).values()))
        x, y, label, ambiguous, shape = (
            v[chosen] for v in (self.x, self.y, self.label, self.ambiguous, self.shape)
        )
        return Cells(x, y, label, ambiguous, morphology, shape)


def draw_cells(
    rng: np.random.Generator,
    scene: tissue.Tissue,
    geometry: tissue.Geometry,
    ambiguous_share: float,
) -> Cells:
    """Draws all the cells of a scene, those just outside of the tissue patch included."""
    x, y = _place(rng, geometry.tissue_extent)
    *_, glass = tissue.compartments(scene, tissue.Points(x, y))
    on_tissue = glass < 0.5
    x, y = x[on_tissue], y[on_tissue]
    in_cancer = tissue.lookup(scene.mask, x, y, geometry.tissue_mpp) == tissue.CANCER
    tumor = rng.random(len(x)) < np.where(in_cancer, TUMOR_SHARE_IN_CANCER, TUMOR_SHARE_OUTSIDE)
    ambiguous = _draw_ambiguous(rng, scene, tissue.Points(x, y), ambiguous_share)
    return Cells(
        x=x,
        y=y,
        label=np.where(tumor, TUMOR_CELL, BACKGROUND_CELL),
        ambiguous=ambiguous,
        morphology=_draw_morphology(rng, tumor, ambiguous),
        shape=rng.random((len(x), 6), np.float32),
    )


def _place(rng: np.random.Generator, extent: float) -> tuple[np.ndarray, np.ndarray]:
    """Throws down points that keep their distance (a Matern hard-core process of type II)."""
    side = extent + 2 * REACH
    thrown = rng.poisson(THROWN_PER_MM2 * 1e-6 * side**2)
    points = (rng.random((thrown, 2)) * side - REACH).astype(np.float32)
    close = spatial.cKDTree(points).query_pairs(MIN_SPACING, output_type='ndarray')
    kept = np.ones(thrown, bool)
    kept[close.max(axis=1, initial=0)] = False
    return points[kept, 0], points[kept, 1]


def _draw_ambiguous(
    rng: np.random.Generator, scene: tissue.Tissue, points: tissue.Points, share: float
) -> np.ndarray:
    """Draws which cells look alike: nine tenths of them in the zones, the rest anywhere else.

    Zones are larger than a cell patch, so that a cell's neighbors do not tell either.
    """
    outside = 0.1 * share / (1 - share)
    chance = np.where(tissue.is_ambiguous_zone(scene, points), 0.9, outside)
    return rng.random(len(points.x)) < chance


def _draw_morphology(
    rng: np.random.Generator, tumor: np.ndarray, ambiguous: np.ndarray
) -> Morphology:
    """Draws what nuclei look like; the ambiguous ones alike for both labels."""
    lymphocyte = rng.random(len(tumor)) < _LYMPHOCYTE_SHARE
    kind = np.where(ambiguous, 3, np.where(tumor, 0, np.where(lymphocyte, 1, 2)))
    mean, deviation = np.moveaxis(
        np.array([_TUMOR, _LYMPHOCYTE, _FIBROBLAST, _AMBIGUOUS])[kind], -1, 0
    )
    drawn = mean + deviation * np.clip(rng.standard_normal(mean.shape), -2.5, 2.5)
    lowest = np.array([2.0, 1.0, 0.0, 0.3, 0.0, 0.0, 0.0])
    return Morphology(*np.maximum(drawn, lowest).astype(np.float32).T)
