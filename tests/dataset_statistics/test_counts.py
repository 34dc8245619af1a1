"""What one pair adds to the statistics."""

import fractions

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from ocelot_jax.datasets.ocelot_synthetic import draw
from ocelot_jax.datasets.ocelot_synthetic import ocelot_synthetic_dataset_builder as synthetic

from ocelot_jax.dataset_statistics import counts as statistics_counts

UNK = 255


def record(**changes):
    """A pair of 8 x 8 pixels, the cell patch in the middle; CA right of column 4."""
    rng = np.random.default_rng(0)
    mask = np.zeros((8, 8, 1), np.uint8)
    mask[:, 4:] = 1
    made = {
        'pair_id': '007',
        'slide_name': 'slide',
        'organ': 'kidney',
        'cell_image': rng.integers(0, 255, (8, 8, 3), np.uint8),
        'tissue_image': rng.integers(0, 255, (8, 8, 3), np.uint8),
        'tissue_mask': mask,
        'cells': cells((3, 3, 1), (4, 3, 2), (0, 7, 2)),
        'center': np.array([0.5, 0.5], np.float32),
        'cell_mpp': np.float32(0.2),
        'tissue_mpp': np.float32(0.8),
    }
    return made | changes


def cells(*triples):
    x, y, label = np.array(triples, float).reshape(-1, 3).T
    return {'x': x.astype(np.float32), 'y': y.astype(np.float32), 'label': label.astype(np.int64)}


def count(changed):
    return statistics_counts.count_pair(changed, 'train', 2, 2)


@pytest.mark.parametrize(
    ('x', 'column'),
    [(0, 384), (3, 384), (3.4, 384), (3.6, 385), (4, 385), (511, 511), (512, 512), (1023, 639)],
)
def test_crop_of_1024_pixels_begins_128_before_the_center(x, column):
    mask = np.zeros((1024, 1024), np.int64) + np.arange(1024)
    got = statistics_counts.tissue_at(
        mask, np.array([[x, 0.0]]), np.array([0.5, 0.5]), (1024, 1024), 0.25
    )
    assert got.tolist() == [column]


def column_of(place, size):
    """The pixel [i, i + 1) that holds a place, by looking at all of them; None far outside."""
    if not -1 <= place < size + 1:
        return None
    distances = [max(i - place, place - (i + 1), 0) for i in range(size)]
    inside = [i for i in range(size) if i <= place < i + 1]
    return inside[0] if inside else distances.index(min(distances))


@hypothesis.given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([(1, 4), (1, 2), (3, 8), (1, 1), (5, 4)]),
    st.sampled_from([fractions.Fraction(1, 2), fractions.Fraction(17, 8)]),
    st.tuples(st.integers(0, 64), st.integers(0, 64)),
    st.lists(st.tuples(st.integers(-8, 170), st.integers(-8, 170)), max_size=8),
)
def test_lookup_is_the_exact_formula_in_micrometres(
    mask_size, cell_size, ratio, tissue_mpp, center, points
):
    mask = np.arange(mask_size[0] * mask_size[1]).reshape(mask_size[::-1])
    center = [fractions.Fraction(value, 64) for value in center]
    points = [[fractions.Fraction(value, 4) for value in point] for point in points]
    cell_mpp = tissue_mpp * fractions.Fraction(*ratio)
    expected = []
    for point in points:
        pixel = []
        for value, c, size, cell_length in zip(point, center, mask_size, cell_size, strict=True):
            edge_um = c * size * tissue_mpp - cell_length * cell_mpp / 2
            place_um = edge_um + (value + fractions.Fraction(1, 2)) * cell_mpp
            pixel.append(column_of(place_um / tissue_mpp, size))
        expected.append(UNK if None in pixel else mask[pixel[1], pixel[0]])
    got = statistics_counts.tissue_at(
        mask,
        np.array(points, float).reshape(-1, 2),
        np.array(center, float),
        cell_size,
        ratio[0] / ratio[1],
    )
    assert got.tolist() == expected


def test_counts_cells_by_class_and_tissue():
    got = count(record())
    assert got.cells.tolist() == [[1, 0, 0], [1, 1, 0]]
    assert got.pixels.tolist() == [32, 32, 0]
    assert (got.outside, got.overhang) == (0, 0)
    assert (got.cell_size, got.tissue_size) == ((8, 8), (8, 8))
    assert (got.pair_id, got.split, got.slide_name, got.organ) == (
        '007', 'train', 'slide', 'kidney',
    )  # fmt: skip


def test_unknown_is_the_last_column():
    mask = record()['tissue_mask'].copy()
    mask[3:5, 4] = UNK
    got = count(record(tissue_mask=mask))
    assert got.cells.tolist() == [[1, 0, 0], [1, 0, 1]]
    assert got.pixels.tolist() == [32, 30, 2]


@pytest.mark.parametrize('x', [-0.6, -3, 7.5, 100, np.nan, np.inf])
def test_cells_outside_count_apart(x):
    got = count(record(cells=cells((x, 2, 1), (2, x, 2), (2, 2, 2))))
    assert (got.outside, got.cells.sum()) == (2, 1)


@pytest.mark.parametrize('x', [-0.5, 7.49])
def test_pixels_reach_half_a_pixel_beyond_their_centers(x):
    assert count(record(cells=cells((x, 2, 1)))).outside == 0


def test_cell_patches_without_cells():
    got = count(record(cells=cells()))
    assert got.cells.tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ('center', 'overhang'),
    [((0.125, 0.875), 0), ((0.0, 0.5), 1), ((0.5, 1.0), 1), ((1.25, 0.5), 3), ((0.5, -0.5), 5)],
)
def test_overhang_is_in_pixels_of_the_tissue_patch(center, overhang):
    assert count(record(center=np.array(center, np.float32))).overhang == overhang


def test_cells_far_off_the_tissue_are_on_unknown():
    got = count(record(center=np.array([2.0, 0.5], np.float32)))
    assert got.cells.tolist() == [[0, 0, 1], [0, 0, 2]]


def test_digests_tell_sizes_and_pixels_apart():
    flat = np.arange(24, dtype=np.uint8)
    images = [flat.reshape(2, 4, 3), flat.reshape(4, 2, 3), flat[::-1].reshape(2, 4, 3)]
    images.append(images[0].copy())
    images[-1][1, 3, 2] += 1
    assert len({statistics_counts.digest(image) for image in images}) == 4
    view = np.repeat(images[0], 2, axis=1)[:, ::2]
    assert not view.flags.c_contiguous
    assert statistics_counts.digest(view) == statistics_counts.digest(images[0])


def test_images_of_one_color_have_no_digest():
    flat = np.zeros((4, 4, 3), np.uint8) + np.array([250, 240, 250], np.uint8)
    assert statistics_counts.digest(flat) is None
    flat[3, 3, 1] += 1
    assert statistics_counts.digest(flat) is not None


def test_annotations_are_compared_in_any_order():
    triples = [(3, 3, 1), (4, 3, 2), (0, 7, 2)]
    alone = count(record()).cells_digest
    assert count(record(cells=cells(*reversed(triples)))).cells_digest == alone
    others = [[(3, 3, 2), *triples[1:]], [(3, 3.5, 1), *triples[1:]], triples[1:], []]
    digests = {count(record(cells=cells(*other))).cells_digest for other in others}
    assert len(digests - {alone}) == 4


def test_masks_of_one_class_are_compared_too():
    masks = [record()['tissue_mask'], *(np.full((8, 8, 1), v, np.uint8) for v in (0, 1, UNK))]
    digests = [count(record(tissue_mask=mask.copy())).mask_digest for mask in masks + masks]
    assert digests[:4] == digests[4:]
    assert len(set(digests)) == 4


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'cells': cells((1, 1, 3))},
            r'pair 007: label 3 is of no class; want 1\.\.2, or .*--cell',
        ),
        ({'cells': cells((1, 1, 0))}, 'pair 007: label 0 is of no class'),
        (
            {'tissue_mask': np.full((8, 8, 1), 2, np.uint8)},
            r'pair 007: tissue_mask value 2 is of no class; want 0\.\.1, or .*--tissue_classes',
        ),
        (
            {'tissue_mask': np.zeros((8, 4, 1), np.uint8)},
            'pair 007: tissue_mask is 4 x 8, but tissue_image 8 x 8; want one size',
        ),
    ],
)
def test_what_cannot_be_counted_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        count(record(**changes))


@pytest.mark.parametrize('config', synthetic.Builder.BUILDER_CONFIGS, ids=lambda each: each.name)
def test_synthetic_pairs_obey_table_3(config):
    counts = np.zeros((2, 2), int)
    for split, pairs in zip(draw.SPLITS, config.pairs, strict=True):
        for index in range(pairs):
            scene = draw.draw_scene(
                config.geometry, config.seed, split, index, config.ambiguous_share
            )
            visible, pixels = draw.visible_cells(scene)
            size = (config.geometry.size, config.geometry.size)
            tissue = statistics_counts.tissue_at(
                scene.tissue.mask, pixels, scene.center, size, 0.25
            )
            np.add.at(counts, (visible.label - 1, (tissue == 1).astype(int)), 1)
    background, tumor = counts
    assert 100 * tumor[1] / tumor.sum() == pytest.approx(100 * 67.7 / 73.1, abs=2)
    assert 100 * background[0] / background.sum() == pytest.approx(100 * 35.2 / 41.6, abs=2)
