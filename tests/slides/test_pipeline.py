"""Cells and tissue of whole slides: the same as of single windows, none twice, none lost."""

import jax
import numpy as np
import pytest
from drawn_slides import darkness, draw_slide, spread_cells, write_pyramid
from fake_runs import small_config
from one_by_one import grid_rows, predict_all, predict_window
from scipy.spatial import cKDTree

from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import loop
from ocelot_jax.models import factory
from ocelot_jax.slides import foreground, pipeline
from ocelot_jax.slides.reader import Slide

PATCHES = Patches(64, 0.5, 64, 2.0)
WIDTH_UM, HEIGHT_UM = 400.0, 330.0
SETTINGS = {'sigma': 1.0, 'min_distance': 3, 'threshold': 0.3, 'max_cells': 256}


class Counted:
    """An engine that counts the tissue windows that it is asked for, and may give up."""

    def __init__(self, engine=darkness, limit=None):
        self.engine, self.limit, self.count = engine, limit, 0

    def __call__(self, batch):
        if self.count == self.limit:
            raise KeyboardInterrupt
        self.count += len(batch['tissue_image'])
        return self.engine(batch)


def make_method(engine=darkness, **changes):
    config = small_config(detection__threshold=0.3)
    values = {
        'engine': engine,
        'detect': loop.Detector(config, PATCHES.cell_mpp),
        'patches': PATCHES,
        'cell_classes': ('BC', 'TC'),
        'tissue_classes': ('BG', 'CA'),
    }
    return pipeline.Method(**values | changes)


def run(path, method, folder, **options):
    with Slide(path, mpp=options.pop('mpp', None)) as slide:
        plan = pipeline.make_plan(slide, method, **options)
        result = pipeline.predict_slide(slide, method, plan, folder, {})
    return plan, result


@pytest.fixture(scope='module')
def cells():
    return spread_cells(WIDTH_UM, HEIGHT_UM, 10.0, np.random.default_rng(1))


@pytest.fixture(scope='module', params=[(0.25, (2, 4)), (0.5, ()), (0.37, (2.5,))], ids=str)
def path(request, cells, tmp_path_factory):
    """One scene as slides of several um/px and levels."""
    mpp, ratios = request.param
    size = [round(n / mpp) for n in (WIDTH_UM, HEIGHT_UM)]
    image = draw_slide(*size, mpp, *cells)
    return write_pyramid(tmp_path_factory.mktemp('slide') / 'scene.tif', image, mpp, ratios)


def assert_known_cells(result, cells):
    """Each cell that was drawn is found once, in its place, with its label; and nothing else."""
    points, labels = cells
    found_um = (result.points + 0.5) * result.mpp
    distance, nearest = cKDTree(points).query(found_um)
    assert distance.max() < 1.5
    np.testing.assert_array_equal(np.bincount(nearest, minlength=len(points)), 1)
    np.testing.assert_array_equal(result.labels, labels[nearest])


def test_every_cell_is_found_once_as_window_by_window(path, cells, tmp_path):
    method = make_method()
    plan, result = run(path, method, tmp_path / 'work')
    assert_known_cells(result, cells)
    with Slide(path) as slide:
        rows, scores = predict_all(slide, plan, darkness, SETTINGS)
    found_rows, found_scores = grid_rows(result, PATCHES)
    np.testing.assert_array_equal(found_rows, rows)
    np.testing.assert_allclose(found_scores, scores, atol=1e-6)


def test_the_tissue_map_is_that_of_single_windows(path, tmp_path):
    method = make_method()
    plan, result = run(path, method, tmp_path / 'work')
    assert result.tissue.shape == plan.layout.tissue_shape
    expected = np.full(result.tissue.shape, 255, np.uint8)
    with Slide(path) as slide:
        for group in plan.groups:
            window = group.windows[0]
            probs = predict_window(slide, plan.layout, group, window, darkness, SETTINGS)[3]
            x, y = plan.layout.tissue_origin(group)
            classes = probs.argmax(-1)
            rows, columns = plan.layout.tissue_core(group)
            for row in range(rows.start, rows.stop):
                for column in range(columns.start, columns.stop):
                    expected[row, column] = classes[row - y, column - x]
    np.testing.assert_array_equal(result.tissue, expected)
    # the rim of glass
    assert result.tissue[:4][result.tissue[:4] != 255].max(initial=0) == 0
    assert (result.tissue == 1).sum() * 4 > 0.6 * WIDTH_UM * HEIGHT_UM


def test_cells_stay_single_where_windows_disagree(path, cells, tmp_path):
    """A network that sees everything a pixel aside, another way in each window."""

    def shifty(batch):
        probs, tissue = darkness(batch)
        rng = np.random.default_rng(int(batch['cell_image'].sum()))
        return np.stack([np.roll(p, rng.integers(-1, 2, 2), (0, 1)) for p in probs]), tissue

    _, result = run(path, make_method(shifty), tmp_path / 'work')
    assert_known_cells(result, cells)


def test_a_killed_run_goes_on(path, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, '_SAVE_SECONDS', 0.0)
    whole = Counted()
    _, expected = run(path, make_method(whole), tmp_path / 'whole')
    killed = Counted(limit=whole.count // 2)
    with pytest.raises(KeyboardInterrupt):
        run(path, make_method(killed), tmp_path / 'work')
    left = Counted()
    _, result = run(path, make_method(left), tmp_path / 'work')
    # at most the two batches that were under way are done again
    assert whole.count - killed.count <= left.count <= whole.count - killed.count + 2
    for name in ('points', 'labels', 'scores', 'tissue'):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))


def test_what_another_run_left_is_not_taken(path, tmp_path):
    with Slide(path) as slide:
        plan = pipeline.make_plan(slide, make_method())
        for identity in ({'steps': [1]}, {'steps': [2]}, {'steps': [2]}):
            engine = Counted()
            pipeline.predict_slide(slide, make_method(engine), plan, tmp_path, identity)
            last = engine.count
            if identity == {'steps': [1]}:
                first = last
            elif last:
                assert last == first
    assert last == 0


def test_batches_change_nothing(path, tmp_path):
    _, expected = run(path, make_method(), tmp_path / 'one')
    _, result = run(path, make_method(batch_size=4), tmp_path / 'four')
    np.testing.assert_array_equal(result.points, expected.points)
    np.testing.assert_array_equal(result.tissue, expected.tissue)


def test_a_network_without_a_tissue_branch(path, cells, tmp_path):
    def blind(batch):
        assert not batch['tissue_image'].any()
        return darkness(batch)[0], None

    method = make_method(blind, reads_tissue=False, maps_tissue=False)
    _, result = run(path, method, tmp_path)
    assert result.tissue is None
    assert_known_cells(result, cells)


@pytest.mark.parametrize('size', [(40, 30), (64, 64), (65, 20), (1, 1)])
def test_a_slide_smaller_than_one_window(tmp_path, size):
    points = np.array([[10.0, 8.0]]) if min(size) > 20 else np.zeros((0, 2))
    image = draw_slide(*size, 0.5, points, np.full(len(points), 2))
    path = write_pyramid(tmp_path / 'small.tif', image, 0.5)
    _, result = run(path, make_method(), tmp_path / 'work', everywhere=True)
    np.testing.assert_allclose(result.points, points / 0.5 - 0.5, atol=1.5)
    assert result.labels.tolist() == [2] * len(points)


def test_glass_has_no_windows_and_no_cells(tmp_path):
    path = write_pyramid(tmp_path / 'glass.tif', np.full((300, 300, 3), 244, np.uint8), 0.5)
    engine = Counted()
    plan, result = run(path, make_method(engine), tmp_path / 'work')
    assert engine.count == plan.num_windows == len(result.points) == 0
    assert (result.tissue == 255).all()
    assert not result.foreground.any()


def test_samples_are_windows_of_the_slide(path, tmp_path):
    _, result = run(path, make_method(), tmp_path)
    assert 1 <= len(result.samples) <= 6
    with Slide(path) as slide:
        for sample in result.samples:
            x, y = (round(v * slide.mpp / sample.mpp) for v in (sample.x, sample.y))
            again = slide.read(x, y, 64, 64, sample.mpp).astype(int)
            assert np.abs(again - sample.image).mean() < 2


@pytest.fixture(scope='module')
def network_engine():
    """A network that nobody trained, and the same as JAX's own function of one pair."""
    config = small_config()
    model = factory.create_model(config)
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        """Weights under which the outputs depend on the image."""
        if path[-1].key in ('scale', 'var'):
            return np.ones(leaf.shape, np.float32)
        noise = rng.standard_normal(leaf.shape, np.float32)
        return noise * np.float32(1.5 / np.sqrt(max(1, np.prod(leaf.shape[:-1]))))

    shapes = factory.abstract_variables(model)
    variables = jax.tree_util.tree_map_with_path(draw, shapes)
    single = jax.jit(lambda batch: loop.probabilities(model, variables, batch))
    return loop.create_engine(config, variables, ensemble=False), single


def test_the_network_itself_finds_what_it_finds_in_single_windows(network_engine, cells, tmp_path):
    engine, single = network_engine
    points, labels = cells
    inside = (points < (240, 180)).all(1)
    image = draw_slide(520, 400, 0.5, points[inside], labels[inside])
    path = write_pyramid(tmp_path / 'scene.tif', image, 0.5)
    settings = SETTINGS | {'threshold': 0.7}
    detect = loop.Detector(small_config(detection__threshold=0.7), 0.5)
    plan, result = run(path, make_method(engine, detect=detect), tmp_path / 'work')
    assert plan.layout.max_group == 4
    with Slide(path) as slide:
        rows, scores = predict_all(slide, plan, single, settings)
    found_rows, found_scores = grid_rows(result, PATCHES)
    assert len(rows) > 50
    np.testing.assert_allclose(found_scores.mean(), scores.mean(), atol=0.01)
    # at the seams such a network may place a cell in both windows or in none
    differing = set(map(tuple, found_rows)) ^ set(map(tuple, rows))
    seams = [set(axis.seams[1:-1]) for axis in (plan.layout.x, plan.layout.y)]
    for x, y, _ in differing:
        assert min(abs(v - s) for v, axis in zip((x, y), seams, strict=True) for s in axis) <= 6
    assert len(differing) < 0.1 * len(rows)


def test_foreground_and_thumbnail_share_the_slides_corner(path, tmp_path):
    plan, result = run(path, make_method(), tmp_path)
    for picture, mpp in (
        (result.thumbnail, WIDTH_UM / result.thumbnail.shape[1]),
        (result.foreground, result.foreground_mpp),
    ):
        height, width = picture.shape[:2]
        assert width * mpp == pytest.approx(WIDTH_UM, abs=mpp)
        assert height * mpp == pytest.approx(HEIGHT_UM, abs=mpp)
    assert plan.foreground is result.foreground
    assert foreground.find(result.thumbnail, WIDTH_UM / result.thumbnail.shape[1])[0].any()
