"""Pictures: what is drawn where, and in which color."""

import os

import numpy as np
import pytest
from PIL import Image

from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.viz import overlay

NAMES = ('BC', 'TC')
SIDE = 720  # Pixels of a patch in a picture.
LEFT, RIGHT, TOP = 15, 750, 35  # Where the two patches begin.
NOBODY = Cells.concatenate([])


def draw(cell=100, tissue=200, **changes):
    gray = np.full((cell, cell, 3), 128, np.uint8)
    arguments = {
        'title': 'pair',
        'cell_image': gray,
        'tissue_image': np.full((tissue, tissue, 3), 128, np.uint8),
        'tissue_mask': np.zeros((tissue, tissue), np.uint8),
        'tissue_pred': None,
        'center': (0.5, 0.5),
        'fov_ratio': 0.25,
        'verdict': overlay.Verdict(NOBODY, NOBODY, NOBODY),
        'radius': 10,
        'cell_classes': NAMES,
    }
    return overlay.draw_pair(**(arguments | changes)).astype(int)


def marks(*cells):
    points, labels = np.array([c[:2] for c in cells], float), np.array([c[2] for c in cells])
    return Cells.annotated(points, labels)


def panels(picture):
    rows = slice(TOP, TOP + SIDE)
    return picture[rows, LEFT : LEFT + SIDE], picture[rows, RIGHT : RIGHT + SIDE]


def is_color(picture, color):
    red, green, blue = np.moveaxis(picture, -1, 0)
    return {
        'red': (red > 200) & (green < 90) & (blue < 90),
        'green': (green > 130) & (red < 90) & (blue < 110),
        'yellow': (red > 200) & (green > 180) & (blue < 90),
        'blue': (blue > 200) & (red < 90) & (green < 140),
    }[color]


def extent(mask):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_cells_are_sorted_by_their_match():
    pred = np.array([[10, 10], [50, 50], [52, 50], [80, 20]])
    true = np.array([[11, 10], [50, 51], [80, 20]])
    found = Cells(pred, np.array([1, 2, 2, 1]), np.array([0.9, 0.8, 0.7, 0.6]))
    known = Cells.annotated(true, np.array([1, 2, 2]))
    match = matching.match_cells(found, known, distance=5, num_classes=2)
    verdict = overlay.judge(match, found, known)
    np.testing.assert_array_equal(verdict.matched.points, pred[:2])
    np.testing.assert_array_equal(verdict.matched.labels, [1, 2])
    np.testing.assert_array_equal(verdict.false.points, pred[2:])
    np.testing.assert_array_equal(verdict.false.labels, [2, 1])
    np.testing.assert_array_equal(verdict.missed.points, true[2:])
    np.testing.assert_array_equal(verdict.missed.labels, [2])


@pytest.mark.parametrize(('cell', 'tissue'), [(64, 100), (512, 300)])
@pytest.mark.parametrize(('label', 'color'), [(1, 'yellow'), (2, 'blue')])
def test_matched_cell_is_a_circle_of_its_class_around_its_point(cell, tissue, label, color):
    x, y, radius = 0.25 * cell, 0.7 * cell, 0.1 * cell
    verdict = overlay.Verdict(marks((x, y, label)), NOBODY, NOBODY)
    _, panel = panels(draw(cell, tissue, verdict=verdict, radius=radius))
    scale = SIDE / cell
    want = [x - radius + 0.5, y - radius + 0.5, x + radius + 0.5, y + radius + 0.5]
    np.testing.assert_allclose(extent(is_color(panel, color)), np.multiply(want, scale), atol=3)


def test_missed_cell_has_gaps_and_false_cell_has_a_middle():
    def colored(**kinds):
        kinds = {'matched': NOBODY, 'missed': NOBODY, 'false': NOBODY} | kinds
        _, panel = panels(draw(verdict=overlay.Verdict(**kinds)))
        return is_color(panel, 'yellow')

    cell = marks((49.5, 49.5, 1))
    matched, missed, false = (colored(**{kind: cell}) for kind in ('matched', 'missed', 'false'))
    assert 0.3 < missed.sum() / matched.sum() < 0.8
    assert not (missed & ~matched).any()
    middle = slice(SIDE // 2 - 3, SIDE // 2 + 3)
    assert false[middle, middle].any()
    assert not matched[middle, middle].any()


@pytest.mark.parametrize('center', [(0.5, 0.5), (0.3, 0.7)])
def test_box_lies_where_the_cell_patch_lies(center):
    panel, _ = panels(draw(center=center, fov_ratio=0.25))
    cx, cy = center
    want = np.multiply([cx - 0.125, cy - 0.125, cx + 0.125, cy + 0.125], SIDE)
    np.testing.assert_allclose(extent(is_color(panel, 'red')), want, atol=3)


def test_cancer_area_is_outlined_where_predicted_and_where_true():
    area = np.zeros((200, 200), np.uint8)
    area[20:60, 100:180] = 1
    want = np.multiply([100, 20, 180, 60], SIDE / 200)
    for field in ('tissue_pred', 'tissue_mask'):
        panel, _ = panels(draw(**{field: area}))
        np.testing.assert_allclose(extent(is_color(panel, 'green')), want, atol=4, err_msg=field)


def test_unknown_is_hatched_and_not_outlined():
    mask = np.zeros((200, 200), np.uint8)
    mask[:100, :100] = 255
    panel, _ = panels(draw(tissue_mask=mask))
    assert not is_color(panel, 'green').any()
    changed = (panel != panels(draw())[0]).any(axis=-1)
    assert changed[: SIDE // 2 - 5, : SIDE // 2 - 5].mean() > 0.03
    assert not changed[SIDE // 2 + 5 :].any()


def test_many_classes_and_no_cells():
    mask = np.arange(200, dtype=np.uint8)[:, None].repeat(200, 1) // 25
    picture = draw(tissue_mask=mask, tissue_pred=mask, cell_classes=('LC',))
    assert picture.shape == draw().shape
    legend = overlay.draw_legend(('LC',), [f'class {i}' for i in range(8)])
    assert legend.shape[1] == picture.shape[1]


def test_page_holds_the_pictures_in_order(tmp_path):
    path = tmp_path / 'page.png'
    legend = overlay.draw_legend(NAMES, ('BG', 'CA'))
    pair = draw().astype(np.uint8)
    overlay.write_page([legend, pair, pair], path)
    np.testing.assert_array_equal(Image.open(path), np.concatenate([legend, pair, pair]))
    assert os.listdir(tmp_path) == ['page.png']


def test_page_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / 'page.png'
    path.write_bytes(b'before')
    with pytest.raises(ValueError, match='dimension'):
        overlay.write_page([np.zeros((4, 5, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)], path)
    assert path.read_bytes() == b'before'
    assert os.listdir(tmp_path) == ['page.png']
