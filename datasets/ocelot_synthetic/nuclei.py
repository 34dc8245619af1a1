"""Drawing of nuclei onto the stain amounts of a picture."""

import numpy as np
from ocelot_jax.datasets.ocelot_synthetic import cells as cells_lib
from ocelot_jax.datasets.ocelot_synthetic import tissue


def add_nuclei(
    hematoxylin: np.ndarray,
    eosin: np.ndarray,
    cells: cells_lib.Cells,
    scene: tissue.Tissue,
    pixels: tissue.Grid,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw cells over the tissue between them.

    Args:
      hematoxylin: [h, w] float32, optical density without cells.
      eosin: [h, w] float32, likewise.
      cells: the scene's cells; those out of sight are skipped.
      scene: the tissue, for the texture of the chromatin.
      pixels: the pixels' places.

    Returns:
      hematoxylin, eosin [h, w] float32 with the cells.

    """
    side = int(np.ceil(2 * cells_lib.REACH / pixels.mpp)) + 1
    first, cells = _in_sight(cells, pixels, side)
    padding = ((side, side), (side, side))
    hematoxylin, eosin = np.pad(hematoxylin, padding), np.pad(eosin, padding)
    texture = np.pad(_texture(scene, pixels), padding)
    corner = first + side
    windows = [np.s_[y : y + side, x : x + side] for x, y in corner]
    if not windows:
        return hematoxylin[side:-side, side:-side], eosin[side:-side, side:-side]
    chromatin = np.stack([texture[window] for window in windows])
    cover, dye = _draw(cells, _offsets(cells, pixels, first, side), chromatin, pixels.mpp)
    for window, alpha, amount in zip(windows, cover, dye, strict=True):
        hematoxylin[window] += alpha * (amount - hematoxylin[window])
        eosin[window] *= 1 - 0.45 * alpha
    return hematoxylin[side:-side, side:-side], eosin[side:-side, side:-side]


def _in_sight(
    cells: cells_lib.Cells, pixels: tissue.Grid, side: int
) -> tuple[np.ndarray, cells_lib.Cells]:
    """Return the first pixel (x, y) [n, 2] of each visible cell's window, and these cells."""
    origin = np.array([pixels.x[0], pixels.y[0]])
    position = (np.stack([cells.x, cells.y], axis=-1) - origin) / pixels.mpp
    first = np.rint(position - (side - 1) / 2).astype(int)
    size = np.array([len(pixels.x), len(pixels.y)])
    seen = np.all((first > -side) & (first < size), axis=-1)
    return first[seen], cells.take(seen)


def _texture(scene: tissue.Tissue, pixels: tissue.Grid) -> np.ndarray:
    """Return the chromatin's clumps [h, w]; those finer than a pixel average out."""
    coarse, fine = scene.granules
    return pixels.values(coarse) * min(1, 1.2 / pixels.mpp) + (
        pixels.values(fine) * np.float32(0.6) if pixels.mpp < fine.step else 0
    )


def _offsets(
    cells: cells_lib.Cells, pixels: tissue.Grid, first: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the windows' pixels relative to the cells: x [n, 1, side], y [n, side, 1], um."""
    steps = np.arange(side, dtype=np.float32)
    x = pixels.x[0] + (first[:, :1] + steps) * pixels.mpp - cells.x[:, None]
    y = pixels.y[0] + (first[:, 1:] + steps) * pixels.mpp - cells.y[:, None]
    return x[:, None, :].astype(np.float32), y[:, :, None].astype(np.float32)


def _draw(
    cells: cells_lib.Cells,
    offsets: tuple[np.ndarray, np.ndarray],
    chromatin: np.ndarray,
    mpp: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far nuclei cover their windows and their hematoxylin, both [n, side, side]."""
    look = {name: v[:, None, None] for name, v in vars(cells.morphology).items()}
    turn, *phases, spot = (2 * np.float32(np.pi) * cells.shape.T)[:, :, None, None]
    x, y = offsets
    stretch = np.sqrt(look['elongation'])
    along = (x * np.cos(turn) + y * np.sin(turn)) / (look['radius'] * stretch)
    across = (y * np.cos(turn) - x * np.sin(turn)) / (look['radius'] / stretch)
    distance = np.sqrt(along**2 + across**2) + np.float32(1e-6)
    reach = distance / _outline(along / distance, across / distance, look['irregularity'], phases)
    inside = (1 - reach) * look['radius'] / np.sqrt(stretch)
    cover = np.clip(inside / max(0.7, 1.2 * mpp) + 0.5, 0, 1)
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
    """Return the outline's radius in the direction (cos, sin), relative to the ellipse."""
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
