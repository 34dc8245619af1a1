"""Drawing of cell-tissue pairs that look like H&E and obey Table 3 of the paper.

A pair is a scene: one piece of tissue with its cells, in um, looked at twice, from afar (tissue
patch) and from near (cell patch).
"""

import dataclasses
from typing import Any

import numpy as np
from ocelot_jax.datasets.ocelot_synthetic import cells as cells_lib
from ocelot_jax.datasets.ocelot_synthetic import cytoplasm, noise, nuclei, stain, tissue

from ocelot_jax.data import release
from ocelot_jax.io.errors import InputError

SPLITS = tuple(release.SPLIT_FOLDERS)

# Table 2 of the paper: slides per organ (train, validation and test together).
_SLIDES_PER_ORGAN = {
    'kidney': 81,
    'head-and-neck': 24,
    'prostate': 48,
    'stomach': 26,
    'endometrium': 64,
    'bladder': 63,
}
# One to three pairs share a slide; 11 pairs on five slides are the paper's 673 on 306.
_PAIRS_PER_SLIDE = (2, 3, 1, 3, 2)

# How often the cell patch is centered on cancer area. Cells are equally dense everywhere, so
# cell patches see more cancer area than tissue patches do (64.6% of their cells by Table 3).
_CENTER_IN_CANCER = 0.80

# Powers of the inverse of the plastic number, whose multiples fill the unit square evenly.
_EVEN_STEPS = np.array([0.7548776662, 0.5698402910])

# Last part of the seeds of what is not a single pair's.
_SLIDE, _PHASE = 1, 2


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything that decides a pair but its pixels.

    Attributes:
        geometry: sizes.
        slide: number of the slide within the split.
        tissue: fields and mask.
        cells: all cells of the tissue patch and those just outside.
        center: [2] float32, relative center (cx, cy) of the cell patch in the tissue patch.
        picture_rngs: random generators of the tissue's and the cells' picture.
    """

    geometry: tissue.Geometry
    slide: int
    tissue: tissue.Tissue
    cells: cells_lib.Cells
    center: np.ndarray
    picture_rngs: tuple[np.random.Generator, np.random.Generator]

    @property
    def corner(self) -> np.ndarray:
        """Upper left corner (x, y) [2] of the cell patch, um."""
        return self.center * self.geometry.tissue_extent - self.geometry.cell_extent / 2


def draw_scene(
    geometry: tissue.Geometry, seed: int, split: str, index: int, ambiguous_share: float
) -> Scene:
    """Draws a pair without its pixels; the arguments are those of `draw_pair`."""
    if not 0 <= ambiguous_share < 1:
        raise InputError(f'ambiguous_share is {ambiguous_share}; want a number in [0, 1)')
    number = split_number(split)
    rng = noise.generator(seed, number, index)
    # Both draws are spread evenly over any run of pairs, so that small splits have the paper's
    # shares too.
    phase = noise.generator(seed, number, 0, _PHASE).random(2)
    spread = (phase + index * _EVEN_STEPS) % 1
    share = tissue.CANCER_SHARE + 0.5 * (spread[0] - 0.5)
    material = tissue.draw_tissue(rng, geometry, share, ambiguous_share)
    return Scene(
        geometry=geometry,
        slide=slide_number(index),
        tissue=material,
        cells=cells_lib.draw_cells(rng, material, geometry, ambiguous_share),
        center=_draw_center(rng, material.mask, spread[1] < _CENTER_IN_CANCER),
        picture_rngs=tuple(rng.spawn(2)),
    )


def _draw_center(rng: np.random.Generator, mask: np.ndarray, in_cancer: bool) -> np.ndarray:
    """Draws the relative center (cx, cy) [2] of a cell patch, in steps of one cell pixel."""
    size = len(mask)
    margin = size // 8
    allowed = mask[margin : size - margin, margin : size - margin] == tissue.CANCER
    rows, columns = np.nonzero(allowed == in_cancer)
    chosen = rng.integers(len(rows))
    steps = rng.integers(0, 4, 2)
    pixel = np.array([columns[chosen], rows[chosen]]) + margin + steps / 4
    return (pixel / size).astype(np.float32)


def split_number(split: str) -> int:
    """Returns 0, 1 or 2 for 'train', 'validation' (or 'val') and 'test'."""
    return SPLITS.index(release.split_name(split))


def slide_number(index: int) -> int:
    """Returns the number of the slide, within its split, that a pair is from."""
    rounds, position = divmod(index, sum(_PAIRS_PER_SLIDE))
    within = np.searchsorted(np.cumsum(_PAIRS_PER_SLIDE), position, side='right')
    return rounds * len(_PAIRS_PER_SLIDE) + int(within)


def visible_cells(scene: Scene) -> tuple[cells_lib.Cells, np.ndarray]:
    """Returns the cells whose center lies in the cell patch, and their pixels (x, y) [n, 2]."""
    geometry = scene.geometry
    position = np.stack([scene.cells.x, scene.cells.y], axis=-1) - scene.corner
    pixel = np.rint(position / geometry.cell_mpp - 0.5).astype(np.float32)
    inside = np.all((pixel >= 0) & (pixel < geometry.size), axis=-1)
    return scene.cells.take(inside), pixel[inside]


def render(scene: Scene, look: stain.Stain) -> tuple[np.ndarray, np.ndarray]:
    """Takes the pictures [size, size, 3] uint8 of both patches: cell patch, tissue patch."""
    geometry = scene.geometry
    tissue_rng, cell_rng = scene.picture_rngs
    near = tissue.grid(*scene.corner, geometry.size, geometry.cell_mpp)
    # From afar a pixel averages over what it covers; nuclei of two pixels need finer ones first.
    finer = 2 if geometry.tissue_mpp > 1 else 1
    far = tissue.grid(0, 0, geometry.size * finer, geometry.tissue_mpp / finer)
    amounts = (
        v.reshape(geometry.size, finer, geometry.size, finer).mean((1, 3))
        for v in _stained(scene, far)
    )
    cell_image = stain.photograph(cell_rng, *_stained(scene, near), look, near.mpp)
    tissue_image = stain.photograph(tissue_rng, *amounts, look, geometry.tissue_mpp)
    return cell_image, tissue_image


def render_whole(scene: Scene, look: stain.Stain) -> np.ndarray:
    """Takes the picture [4*size, 4*size, 3] uint8 of all tissue, as fine as the cell patch."""
    geometry = scene.geometry
    pixels = tissue.grid(0, 0, 4 * geometry.size, geometry.cell_mpp)
    return stain.photograph(
        scene.picture_rngs[1], *_stained(scene, pixels), look, geometry.cell_mpp
    )


def _stained(scene: Scene, pixels: tissue.Grid) -> tuple[np.ndarray, np.ndarray]:
    territories = cytoplasm.territories(scene.cells, pixels)
    hematoxylin, eosin = tissue.paint(scene.tissue, pixels, *territories)
    return nuclei.add_nuclei(hematoxylin, eosin, scene.cells, scene.tissue, pixels)


def draw_slide(seed: int, split: str, slide: int) -> tuple[str, str, stain.Stain]:
    """Returns a slide's name, its organ and its stain."""
    rng = noise.generator(seed, split_number(split), slide, _SLIDE)
    slides = np.array(list(_SLIDES_PER_ORGAN.values()))
    organ = rng.choice(list(_SLIDES_PER_ORGAN), p=slides / slides.sum())
    return f'synthetic-{split_number(split)}{slide + 1:04d}', str(organ), stain.draw_stain(rng)


def draw_pair(
    geometry: tissue.Geometry, seed: int, split: str, index: int, ambiguous_share: float
) -> dict[str, Any]:
    """Draws one pair; the same arguments give the same pair, in any order.

    Args:
        geometry: sizes.
        seed: seed of the whole data set.
        split: one of `SPLITS`, or 'val'.
        index: number of the pair in its split, from 0.
        ambiguous_share: share of cells whose looks say nothing about their class, in [0, 1).

    Returns:
        A record: pair_id, slide_name, organ, cell_image and tissue_image [size, size, 3] uint8,
        tissue_mask [size, size, 1] uint8, cells (x, y [n] float32, label [n] int64), center [2]
        float32, cell_mpp and tissue_mpp float32.

    Raises:
        InputError: for another split, or a share outside of [0, 1).
    """
    scene = draw_scene(geometry, seed, split, index, ambiguous_share)
    slide_name, organ, look = draw_slide(seed, split, scene.slide)
    cell_image, tissue_image = render(scene, look)
    cells, pixels = visible_cells(scene)
    return {
        'pair_id': f'{split_number(split)}{index + 1:04d}',
        'slide_name': slide_name,
        'organ': organ,
        'cell_image': cell_image,
        'tissue_image': tissue_image,
        'tissue_mask': scene.tissue.mask[..., None],
        'cells': {'x': pixels[:, 0], 'y': pixels[:, 1], 'label': cells.label},
        'center': scene.center,
        'cell_mpp': np.float32(geometry.cell_mpp),
        'tissue_mpp': np.float32(geometry.tissue_mpp),
    }
