"""Pairs of drawn slides hold the cells, the tissue and the places that were drawn."""

import json

import numpy as np
import pytest
from ocelot_jax.datasets.ocelot_synthetic import draw, slides, tissue

from ocelot_jax import PairFolder
from ocelot_jax.annotation import classes, making, picture
from ocelot_jax.annotation.choices import Choices
from ocelot_jax.data.patches import Patches

SIZE, RIM, MPP = 256, 64, 0.5
KINDS = 'cell', 'tissue'


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, 'draw', lambda pairs, choices: np.zeros((1, 1, 3), np.uint8))
    slides.write_slides(tmp_path / 'slides', 1, SIZE, seed=5)
    choices = Choices(
        patches=Patches(32, MPP, 32, 4 * MPP),
        cell_classes=classes.parse('cell_classes', ['Other=BC', 'Tumor=TC']),
        tissue_classes=classes.parse('tissue_classes', ['Stroma=BG', 'Tumor=CA'], ('BG',)),
    )
    making.make(tmp_path / 'slides', tmp_path / 'slides', tmp_path / 'pairs', choices)
    return tmp_path / 'pairs'


def test_cells_masks_and_centers_are_the_drawings(pairs):
    scene = draw.draw_scene(tissue.Geometry(SIZE // 4, MPP), 5, 'train', 0, ambiguous_share=0.1)
    mask = np.pad(scene.tissue.mask, RIM // 4, constant_values=255)
    drawn = np.stack([scene.cells.x, scene.cells.y], -1) / MPP + RIM - 0.5
    entries = json.loads((pairs / 'metadata.json').read_text())['sample_pairs']
    corners = set()
    for pair in PairFolder(pairs).as_data_source('train'):
        entry = entries[str(pair['pair_id'])]
        corner, wide = ([entry[kind][f'{axis}_start'] for axis in 'xy'] for kind in KINDS)
        corners.add(tuple(corner))
        places = drawn - corner
        inside = ((places >= -0.5) & (places < 31.5)).all(-1)
        wanted = np.column_stack([places[inside], scene.cells.label[inside]])
        found = np.column_stack([pair['cells'][name] for name in ('x', 'y', 'label')])
        order = np.argsort(found[:, 0]), np.argsort(wanted[:, 0])
        np.testing.assert_allclose(found[order[0]], wanted[order[1]], atol=0.0051)
        # pixels of the tissue patch are four of the slide's wide
        left, top = (round(start / 4) for start in wide)
        np.testing.assert_array_equal(
            pair['tissue_mask'][..., 0], mask[top : top + 32, left : left + 32]
        )
        middle = (np.array(corner) + 16 - wide) / 128
        np.testing.assert_allclose(pair['center'], middle, atol=1e-6)
    # all of the ROI, which begins at the rim
    assert corners == {(RIM + 32 * i, RIM + 32 * j) for i in range(8) for j in range(8)}
