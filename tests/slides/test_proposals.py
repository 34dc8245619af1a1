"""Squares to correct next: those that trying every square finds, as QuPath opens them."""

import dataclasses
import json
import types
import uuid

import numpy as np
import pytest
from drawn_slides import darkness, draw_slide, spread_cells, write_pyramid
from fake_runs import small_config

from ocelot_jax.data.patches import Patches
from ocelot_jax.inference.detector import Detector
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import (
    outputs,
    pipeline,
    prediction,
    proposals,
    proposing,
    summary,
    tables,
    tissue_map,
)
from ocelot_jax.slides.slide import Slide

# of drawn slides, um
WIDTH, HEIGHT, SIDE = 300, 260, 64


def try_all(points, doubts, covered, step, count):
    """Every square in turn, cell by cell; `covered` [rows,columns] bool, by steps."""
    side, found = 8 * step, []
    while len(found) < count:
        best = (0, None)
        for top in range(covered.shape[0] - 7):
            for left in range(covered.shape[1] - 7):
                x, y = left * step, top * step
                if any(abs(x - a) < side and abs(y - b) < side for a, b in found):
                    continue
                if covered[top : top + 8, left : left + 8].mean() < 0.5:
                    continue
                held = [
                    doubt
                    for (cx, cy), doubt in zip(points, doubts, strict=True)
                    if x <= cx < x + side and y <= cy < y + side
                ]
                if sum(held) > best[0] + 1e-5:
                    best = (sum(held), (x, y))
        if best[1] is None:
            break
        found.append(best[1])
    return found


@pytest.mark.parametrize(('seed', 'side', 'count'), [(0, 40, 3), (1, 33.3, 4), (2, 60, 50)])
def test_squares_are_those_of_trying_all(seed, side, count):
    rng = np.random.default_rng(seed)
    step = proposals.step_of(side)
    points = rng.uniform(-5, 24 * step, (60, 2))
    scores, contradicted = rng.random(60).astype(np.float32), rng.random(60) < 0.2
    covered = rng.random((20, 17)) < 0.6
    covered[:, :6] = False
    found = proposals.find(points, scores, contradicted, covered, side, count)
    doubts = np.where(contradicted, 1, 1 - scores)
    assert found
    assert [(p.x, p.y) for p in found] == try_all(points, doubts, covered, step, count)
    assert [p.doubt for p in found] == sorted((p.doubt for p in found), reverse=True)
    for proposal in found:
        assert side <= proposal.side == 8 * step < side + 8
        inside = (points >= (proposal.x, proposal.y)) & (
            points < (proposal.x + proposal.side, proposal.y + proposal.side)
        )
        inside = inside.all(1)
        assert proposal.cells == inside.sum()
        assert proposal.doubt == pytest.approx(doubts[inside].sum())
        assert proposal.uncertainty == pytest.approx(1 - scores[inside].mean(), abs=1e-6)
        assert proposal.contradictions == pytest.approx(contradicted[inside].mean())


@pytest.mark.parametrize('shape', [(7, 30), (0, 0), (30, 30)])
def test_where_no_square_fits_or_nothing_is_doubted_there_is_none(shape):
    points, sure = np.full((1, 2), 3.0), np.ones(1, np.float32)
    assert proposals.find(points, sure, np.zeros(1, bool), np.ones(shape), 16, 5) == []


@pytest.fixture
def method():
    config = small_config(detection__backend='skimage', detection__threshold=0.3)
    return pipeline.Method(
        darkness, Detector(config.detection), Patches(128, 0.5, 128, 2.0), ('BC', 'TC'),
        ('BG', 'CA'),
    )  # fmt: skip


@pytest.fixture
def light(monkeypatch):
    """Writes of a slide what proposals are made of, in a moment."""

    def write(result, work):
        tables.write(result, work / 'cells.csv', work / 'cells.parquet')
        tissue_map.write(result, work / 'tissue.ome.tif')
        summary.write_json(result, summary.summarise(result), work / 'summary.json')

    monkeypatch.setattr(outputs, 'write', write)


def predict(path, method, output, **options):
    with Slide(path, name='a') as slide:
        return prediction.predict(slide, method, output, {}, {'runs': ['r']}, **options)


def read(path):
    return json.loads(path.read_text())['features']


def test_a_slide_that_is_done_gets_proposals_too_and_others_take_their_place(
    tmp_path, method, light
):
    points, labels = spread_cells(WIDTH, HEIGHT, 12.0, np.random.default_rng(0))
    path = write_pyramid(
        tmp_path / 'a.tif', draw_slide(WIDTH * 2, HEIGHT * 2, 0.5, points, labels), 0.5
    )
    output = tmp_path / 'out'
    output.mkdir()
    predict(path, method, output)
    assert not (output / 'a' / proposing.FILE).exists()
    assert predict(path, method, output, propose=2).windows is None
    features = read(output / 'a' / proposing.FILE)
    assert [f['properties']['name'] for f in features] == ['Proposal 1', 'Proposal 2']
    predict(path, method, tmp_path / 'out', propose=3)
    assert read(output / 'a' / proposing.FILE)[:2] == features
    # all the same when it is done at once
    (tmp_path / 'once').mkdir()
    predict(path, method, tmp_path / 'once', propose=3)
    written = (tmp_path / 'once/a' / proposing.FILE).read_bytes()
    assert written == (output / 'a' / proposing.FILE).read_bytes()

    # the drawn tissue is all cancer, by `darkness`: every other cell contradicts it
    table = np.genfromtxt(
        output / 'a/cells.csv', delimiter=',', names=True, dtype=None, encoding='utf-8'
    )
    for feature in features:
        assert feature['type'] == 'Feature'
        assert uuid.UUID(feature['id'])
        properties = feature['properties']
        assert properties['objectType'] == 'annotation'
        assert properties['classification']['name'] == 'ROI'
        assert feature['geometry']['type'] == 'Polygon'
        (ring,) = feature['geometry']['coordinates']
        assert len(ring) == 5
        assert ring[0] == ring[-1]
        (left, top), (right, bottom) = ring[0], ring[2]
        assert right - left == bottom - top == SIDE * 2
        inside = (table['x_px'] + 0.5 >= left) & (table['x_px'] + 0.5 < right)
        inside &= (table['y_px'] + 0.5 >= top) & (table['y_px'] + 0.5 < bottom)
        scores, other = table['score'][inside], np.char.strip(table['class'][inside], '"') == 'BC'
        measured = properties['measurements']
        assert measured['Cells'] == inside.sum()
        assert measured['Share of contradictions'] == pytest.approx(other.mean(), abs=1e-4)
        assert measured['Mean uncertainty'] == pytest.approx(1 - scores.mean(), abs=1e-4)
        want = np.where(other, 1, 1 - scores).sum()
        assert measured['Doubt'] == pytest.approx(want, abs=0.01)
    (output / 'a/cells.parquet').write_bytes(b'no table')
    with pytest.raises(InputError, match='its cells or its tissue map cannot be read'):
        predict(path, method, output, propose=3)


@pytest.mark.parametrize('bounds', [None, (1003, 2051, 20_001, 18_000)])
def test_a_square_lies_where_qupath_shows_its_cells_and_their_tissue(base, tmp_path, bounds):
    result = dataclasses.replace(
        base, tissue=base.tissue[5::10, 5::10], tissue_mpp=8.0, bounds=bounds
    )
    tables.write(result, tmp_path / 'cells.csv', tmp_path / 'cells.parquet')
    tissue_map.write(result, tmp_path / 'tissue.ome.tif')
    proposing.write(
        result,
        types.SimpleNamespace(
            patches=Patches(500, 2.0, 500, 8.0), maps_tissue=True, tissue_classes=('BG', 'CA')
        ),
        result,
        'TC',
        tmp_path,
        4,
    )
    features = read(tmp_path / proposing.FILE)
    assert len(features) == 4
    columns, rows = np.floor(result.micrometres / 8.0).astype(int).T
    cancer, shown = result.tissue[rows, columns] == 1, result.foreground[rows, columns]
    against = cancer != (result.cells.labels == 2)
    places = result.cells.points + 0.5 - result.qupath_frame[:2]
    for feature in features:
        (ring,) = feature['geometry']['coordinates']
        inside = ((places >= ring[0]) & (places < ring[2])).all(1) & shown
        measured = feature['properties']['measurements']
        assert measured['Cells'] == inside.sum() > 5
        share = against[inside].mean()
        assert measured['Share of contradictions'] == pytest.approx(share, abs=1e-4)
        # whole squares, within what QuPath shows
        assert ((np.array(ring) >= 0) & (np.array(ring) <= result.qupath_frame[2:])).all()
