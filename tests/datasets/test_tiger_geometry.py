"""Where patches lie, which cells they hold, what becomes of classes, and who is in which split."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocelot_jax.datasets.tiger import geometry, plan, splits

SIDES = st.integers(1, 2600)
PLACES = st.integers(-20, 900)
REGION_SIDES = st.integers(700, 1300)


@settings(deadline=None)
@given(x=PLACES, y=PLACES, width=REGION_SIDES, height=REGION_SIDES)
def test_tissue_patches_lie_in_the_region_and_hold_the_cell_patch(x, y, width, height):
    corners = geometry.surrounding_tissue((x, y), (width, height))
    wanted = {
        (i, j)
        for i in range(4)
        for j in range(4)
        if x >= 128 * j and x - 128 * j + 512 <= width
        if y >= 128 * i and y - 128 * i + 512 <= height
    }
    assert corners.keys() == wanted
    for (i, j), (left, top) in corners.items():
        assert (x - left, y - top) == (128 * j, 128 * i) == geometry.cell_grid()[i, j]


def test_a_roi_amid_a_large_region_has_16():
    assert len(geometry.surrounding_tissue((384, 384), (384 + 512, 384 + 512))) == 16
    assert len(geometry.surrounding_tissue((383, 384), (384 + 512, 384 + 512))) == 12
    assert len(geometry.surrounding_tissue((384, 384), (384 + 512, 384 + 511))) == 12


@settings(deadline=None, max_examples=50)
@given(width=SIDES, height=SIDES)
def test_grid_of_tissue_patches_covers_what_it_can_once(width, height):
    corners = geometry.tissue_grid((width, height))
    if width <= 1024 or height <= 1024:
        assert not corners
        return
    covered = np.zeros((height, width), np.uint8)
    for left, top in corners.values():
        patch = covered[top : top + 512, left : left + 512]
        assert patch.shape == (512, 512)
        patch += 1
    assert covered.max() == 1
    assert (covered[: height // 512 * 512, : width // 512 * 512] == 1).all()


@pytest.mark.parametrize(('size', 'count'), [((1024, 1025), 0), ((1025, 1024), 0)])
def test_images_of_1024_are_not_large(size, count):
    assert len(geometry.tissue_grid(size)) == count


def test_steps_count_rows_then_columns():
    assert geometry.tissue_grid((1600, 1100))[1, 2] == (1024, 512)
    assert geometry.cell_grid()[1, 2] == (256, 128)
    assert len(geometry.cell_grid()) == 16
    assert geometry.relative_center((256, 128)) == (0.625, 0.375)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(*[st.integers(-40, 900).map(lambda v: v / 4)] * 2, *[st.integers(0, 40)] * 2)
    )
)
def test_cells_are_the_boxes_whose_center_is_inside(boxes):
    found = geometry.cells_inside(np.array(boxes, float).reshape(-1, 4), (30, 50))
    wanted = [
        (x + width / 2 - 30 - 0.5, y + height / 2 - 50 - 0.5)
        for x, y, width, height in boxes
        if 30 <= x + width / 2 < 158 and 50 <= y + height / 2 < 178
    ]
    assert found.dtype == np.float32
    assert found.tolist() == [list(cell) for cell in wanted]


def test_the_center_of_a_box_is_that_of_its_pixels():
    # of pixels 10..13 and 20..24, centers at integers
    box = np.array([[10, 20, 4, 5]], float)
    assert geometry.cells_inside(box, (0, 0)).tolist() == [[11.5, 22.0]]
    assert (np.arange(10, 14).mean(), np.arange(20, 25).mean()) == (11.5, 22.0)


def test_classes():
    mask = np.arange(8, dtype=np.uint8).reshape(2, 4)
    assert geometry.tissue_classes(mask).tolist() == [[255, 0, 1, 0], [0, 0, 1, 0]]
    with pytest.raises(ValueError, match=r'mask value 9 is no class; want 0\.\.7'):
        geometry.tissue_classes(np.array([[7, 9, 255]], np.uint8))


# ---- splits

TCGA = [f'TCGA-{letter}{n}-A{n:03d}-01Z-00-DX1.{n:04X}' for letter in 'ABE' for n in range(40)]
OTHERS = [f'TC_S01_P{n:06d}_C0001_B101' for n in range(26)] + [f'{n}S' for n in range(100, 118)]


def regions(slides):
    return [plan.Region(f'{slide}.png', '', slide, (), {}) for slide in slides]


def slides(divided):
    return {split: {region.slide for region in own} for split, own in divided.items()}


def test_splits_are_six_two_two_of_either_kind():
    divided = slides(splits.assign_splits(regions(TCGA + OTHERS)))
    for kind, wanted in ((TCGA, (72, 24, 24)), (OTHERS, (26, 9, 9))):
        counts = {split: len(own & set(kind)) for split, own in divided.items()}
        assert counts == dict(zip(('train', 'validation', 'test'), wanted, strict=True))


def test_splits_are_the_same_always():
    divided = slides(splits.assign_splits(regions(TCGA + OTHERS)))
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(TCGA + OTHERS).tolist()
    assert slides(splits.assign_splits(regions(shuffled))) == divided
    # Written down when they were made: a change of them is another version of the data set.
    assert sorted(divided['test'] & set(OTHERS)) == [
        *('101S', '103S', '112S', '117S'),
        *(f'TC_S01_P{number:06d}_C0001_B101' for number in (1, 5, 13, 18, 19)),
    ]


def test_splits_are_random():
    """Not by name: every split has patients of every hospital."""
    for own in slides(splits.assign_splits(regions(TCGA + OTHERS))).values():
        assert {slide[:6] for slide in own} >= {'TCGA-A', 'TCGA-B', 'TCGA-E', 'TC_S01'}


@settings(deadline=None)
@given(st.lists(st.sampled_from(TCGA + OTHERS), max_size=12))
def test_no_patient_leaks_and_none_is_lost(chosen):
    several = [slide.replace('DX1', 'DX2') for slide in chosen]
    several += [slide.replace('S', 'B') for slide in chosen if slide[0] == '1']
    several += [slide.replace('_B101', '_B205') for slide in chosen]
    given_regions = regions(chosen + several)
    divided = splits.assign_splits(given_regions)
    assert sum(map(len, divided.values())) == len(given_regions)
    homes = collections.defaultdict(set)
    for split, own in divided.items():
        for region in own:
            parts = region.slide.split('-')
            name = region.slide.split('_C')[0].rstrip('BS')
            homes['-'.join(parts[:3]) if parts[0] == 'TCGA' else name].add(split)
    assert all(len(found) == 1 for found in homes.values())


@pytest.mark.parametrize('tcga', range(4))
@pytest.mark.parametrize('others', range(4))
def test_three_patients_are_in_three_splits(tcga, others):
    divided = splits.assign_splits(regions(TCGA[:tcga] + OTHERS[:others]))
    assert len(divided) == min(tcga + others, 3)
    assert list(divided)[:1] == ['train'][: tcga + others]
