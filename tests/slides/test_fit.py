"""What is said of a slide that does not look like what a run was trained on, and where."""

import dataclasses
import json

import drawn_looks
import numpy as np
import pytest
from drawn_slides import darkness, draw_slide, spread_cells, write_pyramid
from fake_runs import SMALL, small_config
from outline import Outline

from ocelot_jax.cluster import pool as pool_lib
from ocelot_jax.inference.detector import Detector
from ocelot_jax.io import csv_files
from ocelot_jax.slides import collection, fit, prediction
from ocelot_jax.slides.pipeline import Method, make_plan
from ocelot_jax.slides.slide import Slide
from ocelot_jax.slides.windows import lay_out


@pytest.fixture(scope='module')
def known():
    return drawn_looks.learn()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A directory with a slide that is drawn as the patches are."""
    folder = tmp_path_factory.mktemp('slides')
    points, labels = spread_cells(150, 150, 6.5, np.random.default_rng(0))
    write_pyramid(folder / 'a.tif', draw_slide(300, 300, 0.5, points, labels), 0.5)
    return folder


def make_method(appearances):
    """For runs that know some looks."""
    detect = Detector(small_config(detection__backend='skimage').detection)
    return Method(darkness, detect, SMALL, ('BC', 'TC'), ('BG', 'CA'), appearances=appearances)


@pytest.fixture
def plan(folder):
    """Plans the slide, as it is or at another um/px."""

    def plan(appearances, mpp=None):
        method = make_method(appearances)
        with Slide(folder / 'a.tif', mpp, override_mpp=mpp is not None) as slide:
            return make_plan(slide, method)

    return plan


def test_a_slide_that_fits_is_not_warned_of(plan, known, caplog):
    found = plan({'one': known})
    [told] = found.fits
    assert found.doubts == ()
    assert told.verdict.patches > 5
    numbers = told.as_json()
    assert (numbers['fits'], numbers['cause'], numbers['run']) == (True, None, None)
    assert all(numbers['scores'][name] < limit for name, limit in numbers['limits'].items())
    assert 0 < numbers['distance'] < numbers['distance_limit']
    assert not caplog.text
    assert plan({}).fits == ()


def test_each_run_of_several_is_told_by_its_name(plan, known, caplog):
    strict = dataclasses.replace(known, far=0.01)
    found = plan({'one': known, 'other': strict})
    assert [(each.run, each.as_json()['fits']) for each in found.fits] == [
        ('one', True),
        ('other', False),
    ]
    [doubt] = found.doubts
    assert doubt.startswith('other: does not look like what the run was trained on, in ')
    assert f'a: {doubt}' in caplog.text


def test_half_the_um_per_px_are_told_in_the_plan(plan, known):
    found = plan({'one': known}, mpp=0.25)
    [doubt] = found.doubts
    assert found.fits[0].verdict.cause == 'shrunk'
    assert 'may be twice what is taken' in doubt


def test_twice_the_um_per_px_are_told_everywhere(known, folder, tmp_path, caplog):
    """In the log, the summary, the table of all slides and at the top of the page."""
    method = make_method({'one': known})

    def perform(name, path):
        with Slide(path, 1.0, name, override_mpp=True) as slide:
            return prediction.predict(slide, method, tmp_path, {}, {'runs': ['one']})

    with pool_lib.open_pool(pool_lib.HERE, lambda: perform, 'predict') as pool:
        list(collection.predict_slides({'a': folder / 'a.tif'}, pool, tmp_path))
    [row] = csv_files.read_rows(tmp_path / 'slides.csv')
    numbers = json.loads((tmp_path / 'a/summary.json').read_text())
    [found] = numbers['fit']
    assert (found['fits'], found['cause']) == (False, 'magnified')
    score, limit = (found[kind]['magnified'] for kind in ('scores', 'limits'))
    assert score > limit
    [told] = [line for line in numbers['warnings'] if 'does not look like' in line]
    assert 'may be half of what is taken' in told
    assert f'{score:.2f} on the way from 0, as in training, to 1' in told
    assert told in row['warnings']
    assert f'a: {told}' in caplog.text
    words = Outline((tmp_path / 'a/page.html').read_text('utf-8')).words
    assert f'{told[0].upper()}{told[1:]}.' in words


def test_a_few_windows_are_read_where_tissue_is(known):
    """At most one in fifty of many, but nine of few; all over the tissue."""
    reads = []

    class Large:
        def read(self, x, y, width, height, mpp):
            reads.append((x, y))
            return np.zeros((height, width, 3), np.uint8)

    def read(side):
        reads.clear()
        tissue = np.zeros((100, 100), bool)
        tissue[5:95, 45:] = True
        layout = lay_out(side, side, 0.5, SMALL, 8)
        groups = layout.groups(tissue, side * 0.5 / 100)
        fit.compare_slide({'run': known}, Large(), layout, groups, tissue, side * 0.5 / 100)
        assert len(set(reads)) == len(reads)
        assert min(x for x, _ in reads) > 0.4 * side
        assert np.ptp(reads, axis=0).min() > 0.3 * side
        return len(reads), sum(len(group.windows) for group in groups)

    assert read(600)[0] == 9
    some, windows = read(3000)
    assert some == windows // 50 > 9
    assert read(7000)[0] == 64


def test_pairs_are_told_of_by_how_many_look_odd(known):
    patches = [p for slide in range(100, 105) for p in drawn_looks.draw_patches(slide, 2)]
    gray = [np.repeat(p.mean(-1, keepdims=True).astype(np.uint8), 3, -1) for p in patches]
    for odd, alarm in ((0, False), (4, True)):
        [found] = fit.compare({'run': known}, gray[:odd] + patches[odd:])
        assert found.doubt is None
        assert (found.verdict.outside > 0.25) == alarm
    [found] = fit.compare({'run': known}, gray)
    assert 'but like that without color: ' in found.doubt
