import numpy as np
import pytest
from ocelot_jax.datasets.ocelot_synthetic import draw, noise, stain, tissue
from ocelot_jax.datasets.ocelot_synthetic.ocelot_synthetic_dataset_builder_test import (
    OcelotSyntheticTest as OcelotSyntheticTest,
)
from scipy import ndimage, spatial, stats
from skimage import color, measure

SMALL = tissue.Geometry(size=128, cell_mpp=0.5)
PAPER = tissue.Geometry(size=1024, cell_mpp=0.2)
AMBIGUOUS = 0.3


def equal(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    return np.array_equal(one, other)


@pytest.fixture(scope='module')
def scenes():
    return [draw.draw_scene(SMALL, 5, 'train', index, AMBIGUOUS) for index in range(500)]


@pytest.fixture(scope='module')
def small_pairs():
    return [draw.draw_pair(SMALL, 5, 'train', index, AMBIGUOUS) for index in range(12)]


@pytest.fixture(scope='module')
def paper_pair():
    return draw.draw_pair(PAPER, 5, 'train', 3, AMBIGUOUS)


def count_cells(scenes):
    """Counts [label, in cancer area] of the cells in the cell patches, in the stored records."""
    counts = np.zeros((3, 2), int)
    for scene in scenes:
        cells, pixels = draw.visible_cells(scene)
        geometry = scene.geometry
        # the record alone decides: pixel of the cell patch -> pixel of the tissue patch
        place = scene.center * geometry.size - geometry.size / 8 + (pixels + 0.5) / 4
        column, row = np.minimum(place.astype(int), geometry.size - 1).T
        np.add.at(counts, (cells.label, (scene.tissue.mask[row, column] == 1).astype(int)), 1)
    return counts


def test_cells_obey_table_3(scenes):
    counts = count_cells(scenes)
    assert counts[0].sum() == 0
    assert counts[2, 1] / counts[2].sum() == pytest.approx(67.7 / 73.1, abs=0.02)
    assert counts[1, 0] / counts[1].sum() == pytest.approx(35.2 / 41.6, abs=0.02)
    assert counts[2].sum() / counts.sum() == pytest.approx(73.1 / 114.7, abs=0.02)


def test_small_splits_obey_table_3_too():
    for split, count in (('validation', 64), ('test', 64)):
        counts = count_cells([draw.draw_scene(SMALL, 2023, split, i, 0.3) for i in range(count)])
        assert counts[2, 1] / counts[2].sum() == pytest.approx(0.93, abs=0.04)
        assert counts[1, 0] / counts[1].sum() == pytest.approx(0.85, abs=0.06)


def test_as_many_cells_as_in_the_paper(scenes):
    # 114.7K cells on 673 pairs of 204.8 um, and as densely in the small geometry
    per_pair = 114.7e3 / 673
    paper = [draw.draw_scene(PAPER, 5, 'test', index, AMBIGUOUS) for index in range(20)]
    assert np.mean([len(draw.visible_cells(s)[0]) for s in paper]) == pytest.approx(
        per_pair, rel=0.05
    )
    assert np.mean([len(draw.visible_cells(s)[0]) for s in scenes]) == pytest.approx(
        per_pair * (64 / 204.8) ** 2, rel=0.03
    )


def test_tissue_shares_are_the_papers(scenes):
    masks = np.stack([scene.tissue.mask for scene in scenes])
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 1, 255}
    for value, share in ((0, 0.5577), (1, 0.4017), (255, 0.0406)):
        assert np.mean(masks == value) == pytest.approx(share, abs=0.015)


def test_unknown_lies_between_cancer_and_background(scenes):
    between = []
    for scene in scenes[:40]:
        mask = scene.tissue.mask
        distances = [ndimage.distance_transform_edt(mask != value) for value in (0, 1)]
        between.append((np.max(distances, axis=0) < 12)[mask == 255])
    assert np.mean(np.concatenate(between)) > 0.9


def balanced_accuracy(features, tumor):
    """Fits linear discriminant analysis on one half of the cells and scores it on the other."""
    half = np.arange(len(tumor)) % 2 == 0
    fit, labels = features[half], tumor[half]
    means = np.stack([fit[labels == k].mean(0) for k in (0, 1)])
    spread = sum(np.cov(fit[labels == k].T) for k in (0, 1)) / 2
    direction = np.linalg.solve(spread, means[1] - means[0])
    guess = (features[~half] - means.mean(0)) @ direction > 0
    return np.mean([np.mean(guess[tumor[~half] == k] == k) for k in (0, 1)])


def test_looks_tell_the_class_but_of_ambiguous_cells(scenes):
    visible = [draw.visible_cells(scene)[0] for scene in scenes]
    looks = np.concatenate([np.stack([*vars(c.morphology).values()], -1) for c in visible])
    tumor = np.concatenate([c.label for c in visible]) == 2
    ambiguous = np.concatenate([c.ambiguous for c in visible])
    assert ambiguous.mean() == pytest.approx(AMBIGUOUS, abs=0.04)
    assert balanced_accuracy(looks[~ambiguous], tumor[~ambiguous]) > 0.9
    assert balanced_accuracy(looks[ambiguous], tumor[ambiguous]) == pytest.approx(0.5, abs=0.05)


def test_ambiguous_cells_are_as_often_tumor_as_others(scenes):
    visible = [draw.visible_cells(scene)[0] for scene in scenes]
    tumor = np.concatenate([c.label for c in visible]) == 2
    ambiguous = np.concatenate([c.ambiguous for c in visible])
    assert tumor[ambiguous].mean() == pytest.approx(tumor[~ambiguous].mean(), abs=0.06)


def test_cells_keep_their_distance(scenes):
    for scene in scenes[:20]:
        points = np.stack([scene.cells.x, scene.cells.y], -1)
        nearest = spatial.cKDTree(points).query(points, k=2)[0][:, 1]
        # 1.4 um is the radius of the paper's disks: two of them never touch
        assert nearest.min() > 2 * 1.4 + 2


@pytest.mark.parametrize('geometry', [SMALL, PAPER])
def test_record(geometry, small_pairs, paper_pair):
    record = small_pairs[0] if geometry is SMALL else paper_pair
    size = geometry.size
    arrays = {
        'cell_image': ((size, size, 3), np.uint8),
        'tissue_image': ((size, size, 3), np.uint8),
        'tissue_mask': ((size, size, 1), np.uint8),
        'center': ((2,), np.float32),
    }
    for name, (shape, dtype) in arrays.items():
        assert (record[name].shape, record[name].dtype) == (shape, dtype), name
    assert (record['cell_mpp'], record['tissue_mpp']) == (
        np.float32(geometry.cell_mpp),
        np.float32(4 * geometry.cell_mpp),
    )
    cells = record['cells']
    assert {name: cells[name].dtype for name in cells} == {
        'x': np.float32,
        'y': np.float32,
        'label': np.int64,
    }
    assert len(cells['x']) == len(cells['y']) == len(cells['label']) > 0
    for name in 'xy':
        assert np.array_equal(cells[name], np.rint(cells[name]))
        assert cells[name].min() >= 0
        assert cells[name].max() <= size - 1
    assert np.all(np.abs(record['center'] - 0.5) <= 0.375)


def test_same_arguments_same_pair_in_any_order(small_pairs):
    for index in (7, 2, 11):
        assert equal(draw.draw_pair(SMALL, 5, 'train', index, AMBIGUOUS), small_pairs[index])


@pytest.mark.parametrize(
    'arguments',
    [(SMALL, 6, 'train', 0), (SMALL, 5, 'validation', 0), (SMALL, 5, 'train', 1)],
)
def test_other_arguments_other_pair(arguments, small_pairs):
    other = draw.draw_pair(*arguments, AMBIGUOUS)
    for name in ('cell_image', 'tissue_image', 'tissue_mask'):
        assert not np.array_equal(other[name], small_pairs[0][name])


def test_pair_ids_are_unique_over_splits():
    pairs = [
        draw.draw_pair(SMALL, 5, split, index, AMBIGUOUS)
        for split in draw.SPLITS
        for index in range(3)
    ]
    assert len({pair['pair_id'] for pair in pairs}) == 9
    # no slide leaks from one split into another
    assert len({pair['slide_name'] for pair in pairs}) == 6


def test_one_to_three_pairs_share_a_slide():
    slides = [draw.slide_number(index) for index in range(673)]
    pairs = np.bincount(slides)
    assert (np.diff(slides) >= 0).all()
    assert set(pairs[:-1]) == {1, 2, 3}
    assert len(pairs) == pytest.approx(306, abs=2)


def test_slides_have_their_own_stain_and_one_of_six_organs(small_pairs):
    by_slide = {}
    for pair in small_pairs:
        by_slide.setdefault(pair['slide_name'], set()).add(pair['organ'])
    assert all(len(organs) == 1 for organs in by_slide.values())
    slides = [draw.draw_slide(5, 'train', number) for number in range(200)]
    assert {organ for _, organ, _ in slides} == {
        'kidney', 'head-and-neck', 'prostate', 'stomach', 'endometrium', 'bladder',
    }  # fmt: skip
    strength = [np.linalg.norm(look.vectors, axis=1) for *_, look in slides]
    assert np.all(np.std(strength, axis=0) > 0.05)


def shrunk(cell_image):
    size = len(cell_image) // 4
    return cell_image.reshape(size, 4, size, 4, 3).mean((1, 3))


def cropped(record, shift):
    """The tissue patch where the cell patch lies, `shift` pixels to the right of it."""
    size = len(record['tissue_image'])
    # a pixel of the shrunk cell patch is as large as one of the tissue patch, and as far off
    # its corner: half a pixel
    place = np.arange(size // 4) - size / 8
    rows, columns = np.meshgrid(
        record['center'][1] * size + place, record['center'][0] * size + place + shift,
        indexing='ij',
    )  # fmt: skip
    return np.stack(
        [
            ndimage.map_coordinates(
                channel.astype(float), [rows, columns], order=1, mode='nearest'
            )
            for channel in np.moveaxis(record['tissue_image'], -1, 0)
        ],
        -1,
    )


def test_patches_show_the_same_scene(small_pairs, paper_pair):
    for record in (*small_pairs, paper_pair):
        seen = shrunk(record['cell_image']).ravel()
        here, beside = (
            np.corrcoef(seen, cropped(record, shift).ravel())[0, 1] for shift in (0, 1.5)
        )
        assert here > 0.9
        assert here > beside + 0.02
        # and in the same colors
        means = [shrunk(record['cell_image']).mean((0, 1)), cropped(record, 0).mean((0, 1))]
        np.testing.assert_allclose(*means, atol=5)


def test_nuclei_hold_the_hematoxylin(small_pairs, paper_pair):
    for record in (*small_pairs, paper_pair):
        hematoxylin = color.rgb2hed(record['cell_image'])[..., 0]
        column, row = (record['cells'][name].astype(int) for name in 'xy')
        at_cells = ndimage.uniform_filter(hematoxylin, 3)[row, column]
        assert np.mean(at_cells > np.median(hematoxylin)) > 0.9
        assert np.median(at_cells) > 1.5 * np.median(hematoxylin)


def test_colors_are_those_of_real_slides(small_pairs):
    # medians over three real H&E sources lie in R 219-234, G 169-190, B 200-228 where a third or
    # so is empty glass, which synthetic pairs show less of
    pixels = np.concatenate([p['tissue_image'].reshape(-1, 3) for p in small_pairs])
    red, green, blue = np.median(pixels, axis=0)
    assert 170 < red < 235
    assert 115 < green < 195
    assert 160 < blue < 230
    assert green < min(red, blue) - 20
    dark = pixels[pixels.sum(1) < np.quantile(pixels.sum(1), 0.05)].mean(0)
    assert np.argsort(dark).tolist() == [1, 0, 2]
    assert np.mean(pixels == 0) < 0.001


def test_color_tells_cancer_beside_the_rest_of_the_tissue_patch_alone():
    alone, beside, cancer = [], [], []
    for index in range(80):
        pair = draw.draw_pair(SMALL, 5, 'train', index, AMBIGUOUS)
        density = -np.log10(np.maximum(pair['tissue_image'], 1) / 255)
        blueness = density[..., 0] - density[..., 1]
        # in blocks as large as a cell patch
        blocks = measure.block_reduce(blueness, (32, 32), np.mean)
        alone.append(blocks)
        beside.append(blocks - blueness.mean())
        cancer.append(measure.block_reduce(pair['tissue_mask'][..., 0] == 1, (32, 32), np.mean))
    cancer = np.ravel(cancer)
    pure = (cancer < 0.1) | (cancer > 0.9)
    # share of the pairs of a block of cancer and one of other tissue whose first is bluer
    alone, beside = (np.ravel(values)[pure] for values in (alone, beside))
    in_cancer = cancer[pure] > 0.5
    count = np.sum(in_cancer) * np.sum(~in_cancer)
    shares = [
        stats.mannwhitneyu(values[in_cancer], values[~in_cancer]).statistic / count
        for values in (alone, beside)
    ]
    assert shares[0] < 0.72
    assert shares[1] > 0.85


def test_photograph_obeys_beer_lambert():
    vectors = np.array([[0.6, 0.7, 0.3], [0.1, 0.9, 0.4]], np.float32)
    look = stain.Stain(vectors, np.array([250, 240, 245], np.float32), noise=0.0, blur_um=0.2)
    amounts = np.random.default_rng(0).uniform(0, 1, (3, 2))
    for hematoxylin, eosin in amounts:
        flat = [np.full((4, 4), v, np.float32) for v in (hematoxylin, eosin)]
        picture = stain.photograph(noise.generator(0), *flat, look, 0.2)
        expected = [250, 240, 245] * 10 ** -(hematoxylin * vectors[0] + eosin * vectors[1])
        np.testing.assert_allclose(picture, np.broadcast_to(expected, (4, 4, 3)), atol=0.51)


def test_field_is_a_periodic_cubic_spline():
    field = noise.field(np.random.default_rng(0), step=3.0, extent=40.0)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-60, 90, (2, 50)).astype(np.float32)
    expected = ndimage.map_coordinates(
        field.lattice.astype(float), [y / 3, x / 3], order=3, mode='grid-wrap', prefilter=False
    )
    np.testing.assert_allclose(field.at(x, y) * 0.479, expected, atol=1e-4)
    columns, rows = np.sort(x[:9]), np.sort(y[:7])
    grid = field.on_grid(columns, rows)
    np.testing.assert_allclose(grid, field.at(*np.meshgrid(columns, rows)), atol=1e-4)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: tissue.Geometry(100, 0.5), r'Geometry\.size is 100; want a positive multiple'),
        (lambda: tissue.Geometry(128, 0.0), r'Geometry\.cell_mpp is 0\.0; want'),
        (lambda: draw.draw_pair(SMALL, 0, 'train', 0, 1.0), r'ambiguous_share is 1\.0; want'),
        (lambda: draw.draw_pair(SMALL, 0, 'dev', 0, 0.3), r"split is 'dev'; want 'train'"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_val_is_validation():
    assert equal(*(draw.draw_pair(SMALL, 5, s, 1, AMBIGUOUS) for s in ('val', 'validation')))


def test_where_the_cell_patch_lies_is_not_bound_to_the_share_of_cancer(scenes):
    shares = [np.mean(scene.tissue.mask == tissue.CANCER) for scene in scenes]
    inside = []
    for scene in scenes:
        column, row = (scene.center * SMALL.size).astype(int)
        inside.append(scene.tissue.mask[row, column] == tissue.CANCER)
    assert abs(np.corrcoef(shares, inside)[0, 1]) < 0.1
