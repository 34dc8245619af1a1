"""Regions that are put together of blocks, beside the same regions read at once."""

import collections
import concurrent.futures

import numpy as np
import pytest
from drawn_slides import draw_slide
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import mosaic
from ocelot_jax.slides.slide import Slide

QUICK = settings(deadline=None, max_examples=60)
MPP = 0.5


class Numbered:
    """A slide without an end whose pixels tell where they are; counts what is read."""

    def __init__(self):
        self.reads = collections.Counter()

    def read(self, x, y, width, height, mpp):
        assert mpp == MPP
        self.reads[x, y, width, height] += 1
        rows, columns = np.mgrid[y : y + height, x : x + width]
        return np.stack([columns, rows, columns // 256 + 16 * (rows // 256)], -1).astype(np.uint8)


@pytest.fixture(scope='module')
def pool():
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        yield threads


@QUICK
@given(st.integers(-300, 3000), st.integers(-300, 3000), st.integers(1, 600), st.integers(1, 600))
def test_a_region_is_what_is_read_at_once(pool, x, y, width, height):
    slide = Numbered()
    region = mosaic.Mosaic(slide, MPP, pool).start(x, y, width, height)()
    np.testing.assert_array_equal(region, slide.read(x, y, width, height, MPP))


def test_a_block_is_read_once_however_many_ask_at_the_same_time(pool):
    slide = Numbered()
    blocks = mosaic.Mosaic(slide, MPP, pool)
    corners = [(128 * i, 128 * j) for i in range(6) for j in range(6)]
    with concurrent.futures.ThreadPoolExecutor(8) as others:
        regions = list(others.map(lambda corner: blocks.start(*corner, 512, 512)(), corners))
    assert set(slide.reads.values()) == {1}
    for corner, region in zip(corners, regions, strict=True):
        np.testing.assert_array_equal(region, slide.read(*corner, 512, 512, MPP))


def test_what_was_asked_for_last_is_kept_and_no_more(pool, monkeypatch):
    monkeypatch.setattr(mosaic, '_MOST_BLOCKS', 3)
    slide = Numbered()
    blocks = mosaic.Mosaic(slide, MPP, pool)
    side = mosaic.BLOCK
    read = lambda *columns: [blocks.start(side * c, 0, side, side)() for c in columns]
    read(0, 1, 2, 0, 3)  # 1 was asked for longest ago
    assert slide.reads == {(side * c, 0, side, side): 1 for c in range(4)}
    read(0, 2, 3, 1)
    assert slide.reads == {(side * c, 0, side, side): 1 + (c == 1) for c in range(4)}


@pytest.mark.parametrize('mpp', [0.31, 0.5, 1.3])
def test_a_slide_looks_as_read_at_once_up_to_its_end_and_beyond(tmp_path, pool, mpp):
    cells = np.random.default_rng(0).uniform(0, (350, 250), (60, 2))
    Image.fromarray(draw_slide(700, 500, MPP, cells, np.ones(60, int))).save(
        tmp_path / 'slide.png'
    )
    with Slide(tmp_path / 'slide.png', mpp=MPP) as slide:
        size = int(700 * MPP / mpp) + 40, int(500 * MPP / mpp) + 40
        once = slide.read(-20, -20, *size, mpp).astype(int)
        region = mosaic.Mosaic(slide, mpp, pool).start(-20, -20, *size)()
    # places are rounded otherwise
    assert abs(region - once).max() <= 1
    assert (region == once).mean() > 0.99


def test_damage_is_told_to_whoever_waits(pool):
    class Damaged:
        def read(self, *place):
            raise InputError('slide: damaged')

    join = mosaic.Mosaic(Damaged(), MPP, pool).start(0, 0, 10, 10)
    with pytest.raises(InputError, match='damaged'):
        join()
