"""Drawing of nuclei onto the stain amounts of a picture."""

import numpy as np
from ocelot_jax.datasets.ocelot_synthetic import cells as cells_lib
from ocelot_jax.datasets.ocelot_synthetic import tissue, windows

# Windows around nuclei grow by this much, um.
_REACH_STEP = 2.0


def add_nuclei(
    hematoxylin: np.ndarray,
    eosin: np.ndarray,
    cells: cells_lib.Cells,
    scene: tissue.Tissue,
    pixels: tissue.Grid,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws cells over the tissue between them.

    Args:
        hematoxylin: [h, w] float32, optical density without cells.
        eosin: [h, w] float32, likewise.
        cells: the scene's cells; those out of sight are skipped.
        scene: the tissue, for the texture of the chromatin and the direction of the fibres.
        pixels: the pixels' places.

    Returns:
        hematoxylin, eosin [h, w] float32 with the cells.
    """
    hematoxylin, eosin, texture = (
        windows.padded(picture, pixels)
        for picture in (hematoxylin, eosin, _texture(scene, pixels))
    )
    # Few nuclei are long; windows that fit spare the others most of the work.
    look = cells.morphology
    reach = look.radius * np.sqrt(look.elongation) * (1 + 1.2 * look.irregularity) + pixels.mpp
    steps = np.minimum(np.ceil(reach / _REACH_STEP), cells_lib.REACH // _REACH_STEP)
    for step in np.unique(steps):
        near = windows.around(cells.take(steps == step), pixels, step * _REACH_STEP)
        if not near.slices:
            continue
        chromatin = np.stack([texture[window] for window in near.slices])
        for window, alpha, dye in zip(
            near.slices, *_draw(near, scene, chromatin, pixels), strict=True
        ):
            hematoxylin[window] += alpha * (dye - hematoxylin[window])
            eosin[window] *= 1 - np.float32(0.4) * alpha
    return windows.cropped(hematoxylin, pixels), windows.cropped(eosin, pixels)


def _texture(scene: tissue.Tissue, pixels: tissue.Grid) -> np.ndarray:
    """Returns the chromatin's clumps [h, w]; those finer than a pixel average out."""
    coarse, fine = scene.granules
    return pixels.values(coarse) * min(1, 1.2 / pixels.mpp) + (
        pixels.values(fine) * np.float32(0.6) if pixels.mpp < fine.step else 0
    )


def _draw(
    near: windows.Windows, scene: tissue.Tissue, chromatin: np.ndarray, pixels: tissue.Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Returns how far nuclei cover their windows and their hematoxylin, both [n, s, s]."""
    look = {name: v[:, None, None] for name, v in vars(near.cells.morphology).items()}
    turn, *phases, spot = near.cells.shape[:, :5].T[:, :, None, None]
    phases, spot = [2 * np.pi * phase for phase in phases], 2 * np.pi * spot
    # All angles occur, those along the fibres most often.
    turn = np.float32(scene.direction) + np.float32(np.pi / 2) * (2 * turn - 1) ** 3
    x, y = near.x, near.y
    stretch = np.sqrt(look['elongation'])
    along = (x * np.cos(turn) + y * np.sin(turn)) / (look['radius'] * stretch)
    across = (y * np.cos(turn) - x * np.sin(turn)) / (look['radius'] / stretch)
    distance = np.sqrt(along**2 + across**2) + np.float32(1e-6)
    reach = distance / _outline(along / distance, across / distance, look['irregularity'], phases)
    inside = (1 - reach) * look['radius'] / np.sqrt(stretch)
    cover = np.clip(inside / max(0.7, 1.2 * pixels.mpp) + 0.5, 0, 1)
    membrane = np.exp(-(((inside - 0.45) / 0.5) ** 2))
    center = np.exp(-((reach / 0.75) ** 4))
    nucleoli = sum(
        np.exp(
            -(
                ((along - 0.35 * np.cos(spot + k)) ** 2 + (across - 0.35 * np.sin(spot + k)) ** 2)
                / s
            )
        )
        for k, s in ((0, 0.025), (2.4, 0.014))
    )
    pale = look['vesicularity'] * (0.5 * center - 0.3 * membrane)
    amount = 1 - pale + look['coarseness'] * chromatin + 0.4 * look['nucleolus'] * nucleoli
    return cover, np.maximum(look['density'] * amount, 0.1)


def _outline(
    cos: np.ndarray, sin: np.ndarray, irregularity: np.ndarray, phases: list[np.ndarray]
) -> np.ndarray:
    """Returns the outline's radius in the direction (cos, sin), relative to the ellipse."""
    cos2, sin2 = cos * cos - sin * sin, 2 * cos * sin
    cos3, sin3 = cos2 * cos - sin2 * sin, sin2 * cos + cos2 * sin
    cos5, sin5 = cos3 * cos2 - sin3 * sin2, sin3 * cos2 + cos3 * sin2
    waves = sum(
        weight * (c * np.cos(phase) + s * np.sin(phase))
        for weight, c, s, phase in zip(
            (0.8, 1.0, 0.6), (cos2, cos3, cos5), (sin2, sin3, sin5), phases, strict=True
        )
    )
    return 1 + irregularity * waves
