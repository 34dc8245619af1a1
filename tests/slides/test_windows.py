"""Where windows lie and what they own, whatever slide and patches."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ocelot_jax.data.patches import Patches
from ocelot_jax.slides import windows

QUICK = settings(deadline=None, max_examples=60)


@st.composite
def layouts(draw):
    """A slide and a layout of windows over it."""
    side = draw(st.integers(16, 64))
    cell_mpp = draw(st.floats(0.2, 0.6))
    ratio = draw(st.sampled_from([1.0, 2.0, 3.0, 4.0, 4.0037, 8.0]))
    patches = Patches(side, cell_mpp, draw(st.integers(16, 64)), 1.0)
    patches = Patches(
        side, cell_mpp, patches.tissue_size, side * cell_mpp * ratio / patches.tissue_size
    )
    least = math.ceil(patches.tissue_mpp / cell_mpp)
    assume(least <= side // 4)
    margin = draw(st.integers(least, side // 4))
    width, height = (draw(st.integers(1, 600)) for _ in range(2))
    mpp = draw(st.floats(0.2, 1.0))
    assume(width * mpp / cell_mpp < 600 and height * mpp / cell_mpp < 600)
    return width, height, mpp, windows.lay_out(width, height, mpp, patches, margin), margin


def all_windows(layout):
    return [(window, *layout.origin(window)) for window in range(layout.num_windows)]


def everything(layout):
    return layout.groups(np.ones((1, 1), bool), 1e9)


@QUICK
@given(layouts(), st.integers(0, 2**32 - 1))
def test_every_place_is_owned_by_one_window_that_sees_it_well(drawn, seed):
    width, height, mpp, layout, margin = drawn
    p = layout.patches
    columns, rows = (max(1, math.floor(n * mpp / p.cell_mpp + 1e-6)) for n in (width, height))
    places = np.random.default_rng(seed).integers(0, (columns, rows), (30, 2))
    places = np.concatenate([places, [[0, 0], [columns - 1, rows - 1]]])
    owners = layout.owners(places)
    assert (owners >= 0).all()
    for (x, y), owner in zip(places, owners, strict=True):
        for value, start, length in zip(
            (x, y), layout.origin(owner), (columns, rows), strict=True
        ):
            assert start <= value < start + p.cell_size
            # far from the window's border, but where the slide ends
            assert value - start >= margin or start == 0
            assert start + p.cell_size - 1 - value >= margin or start + p.cell_size >= length
    cores = [layout.is_near_core(places, window, 0) for window in range(layout.num_windows)]
    for place, owned in enumerate(np.transpose(cores)):
        assert np.flatnonzero(owned).tolist() == [owners[place]]
    beyond = np.array([[-1, 0], [0, -1], [columns, 0], [0, rows]])
    assert (layout.owners(beyond) == -1).all()


@QUICK
@given(layouts())
def test_windows_stay_within_the_slide(drawn):
    width, height, mpp, layout, _ = drawn
    p = layout.patches
    for kind, origins in (('cell', layout.origin), ('tissue', layout.tissue_origin)):
        size, um = getattr(p, f'{kind}_size'), getattr(p, f'{kind}_mpp')
        items = range(layout.num_windows) if kind == 'cell' else everything(layout)
        wholes = [max(1, math.floor(n * mpp / um + 1e-6)) for n in (width, height)]
        if kind == 'tissue':  # what is left beyond the last whole cell pixel is not looked at
            looked_at = layout.tissue_shape[::-1]
            for whole, n in zip(wholes, looked_at, strict=True):
                assert 0 <= (whole - n) * um < p.cell_mpp + um
            wholes = looked_at
        for item in items:
            for start, whole in zip(origins(item), wholes, strict=True):
                if whole >= size:
                    assert 0 <= start <= whole - size
                else:  # all of the slide is in the one window
                    assert start <= 0
                    assert start + size >= whole


@QUICK
@given(layouts())
def test_cell_windows_are_where_the_centers_say(drawn):
    *_, layout, _ = drawn
    p = layout.patches
    seen = []
    for group in everything(layout):
        tissue_um = np.array(layout.tissue_origin(group)) * p.tissue_mpp
        for window in group.windows:
            seen.append(window)
            place = tissue_um + layout.center(group, window) * p.tissue_size * p.tissue_mpp
            middle = (np.array(layout.origin(window)) + p.cell_size / 2) * p.cell_mpp
            np.testing.assert_allclose(place, middle, atol=1e-3)
    assert sorted(seen) == list(range(layout.num_windows))


@QUICK
@given(layouts())
def test_cell_windows_lie_in_the_middle_of_their_tissue_window(drawn):
    *_, layout, _ = drawn
    p = layout.patches
    pixel = 1 / p.tissue_size
    share = p.cell_size * p.cell_mpp / (p.tissue_size * p.tissue_mpp)
    limit = max(0.25 - share / 2, 0) + pixel
    for group in everything(layout):
        origin = layout.tissue_origin(group)
        for window in group.windows:
            center = layout.center(group, window)
            for c, start, length in zip(center, origin, layout.tissue_shape[::-1], strict=True):
                room = length - p.tissue_size
                if min(0, room) < start < max(0, room):  # the slide's end moved it not
                    assert abs(c - 0.5) <= limit
                if room >= 0:
                    assert share / 2 - pixel <= c <= 1 - share / 2 + pixel


@QUICK
@given(layouts())
def test_every_tissue_pixel_is_owned_by_one_window_that_sees_it(drawn):
    *_, layout, _ = drawn
    count = np.zeros(layout.tissue_shape, int)
    for group in everything(layout):
        rows, columns = layout.tissue_core(group)
        count[rows, columns] += 1
        x, y = layout.tissue_origin(group)
        size = layout.patches.tissue_size
        if count[rows, columns].size:
            assert x <= columns.start
            assert columns.stop <= x + size
            assert y <= rows.start
            assert rows.stop <= y + size
    assert (count == 1).all()


@QUICK
@given(layouts(), st.integers(0, 2**32 - 1), st.floats(0.3, 3))
def test_no_foreground_is_left_out_and_no_glass_looked_at(drawn, seed, coarse):
    width, height, mpp, layout, _ = drawn
    p = layout.patches
    rng = np.random.default_rng(seed)
    mask_mpp = coarse * p.cell_mpp * 8
    shape = [math.ceil(n * mpp / mask_mpp) for n in (height, width)]
    mask = rng.random(shape) < 0.2
    chosen = {w for group in layout.groups(mask, mask_mpp) for w in group.windows}
    columns, rows = (int(axis.seams[-1]) for axis in (layout.x, layout.y))
    places = rng.integers(0, (columns, rows), (200, 2))
    pixels = ((places + 0.5) * p.cell_mpp / mask_mpp).astype(int)
    pixels = np.minimum(pixels, np.array(shape[::-1]) - 1)
    owners = layout.owners(places)
    on_tissue = mask[pixels[:, 1], pixels[:, 0]]
    assert set(owners[on_tissue].tolist()) <= chosen
    if not mask.any():
        assert not chosen


def test_four_windows_of_the_paper_share_a_tissue_window():
    layout = windows.lay_out(40000, 40000, 0.25, Patches(1024, 0.2, 1024, 0.8), 64)
    sizes = [len(group.windows) for group in everything(layout)]
    assert max(sizes) == layout.max_group == 4
    assert np.mean(sizes) > 3.9


def test_a_margin_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match=r'is 32 px; want .* less than half a cell window'):
        windows.lay_out(100, 100, 0.5, Patches(64, 0.5, 64, 2.0), 32)
