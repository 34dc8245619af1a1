"""Cells and tissue of whole slides: the same as of single windows, none twice, none lost."""

import itertools
import types

import numpy as np
import pytest
import scipy.ndimage
from drawn_slides import TISSUE, darkness, draw_slide, spread_cells, write_pyramid
from fake_runs import small_config
from one_by_one import grid_rows, predict_all, predict_window
from scipy.spatial import cKDTree

from ocelot_jax.data.patches import Patches
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Maps
from ocelot_jax.slides import foreground, maps, pipeline, summary
from ocelot_jax.slides.slide import Slide

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


def make_method(engine=darkness, backend='skimage', max_cells=256, **changes):
    """Finds cells on the host, where nothing is compiled, or by `backend`."""
    config = small_config(detection__threshold=0.3)
    config.detection.update(backend=backend, max_cells=max_cells)
    values = {
        'engine': engine,
        'detect': Detector(config.detection),
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


def write_scene(folder, cells, mpp, ratios):
    size = [round(n / mpp) for n in (WIDTH_UM, HEIGHT_UM)]
    return write_pyramid(folder / 'scene.tif', draw_slide(*size, mpp, *cells), mpp, ratios)


@pytest.fixture(scope='module')
def path(cells, tmp_path_factory):
    """A scene whose um/px are no multiple of the windows'."""
    return write_scene(tmp_path_factory.mktemp('slide'), cells, 0.37, (2.5,))


def assert_known_cells(result, points, labels):
    """Each cell that was drawn is found once, in its place, with its label; and nothing else."""
    distance, nearest = cKDTree(points).query(result.micrometres)
    assert distance.max() < 1.5
    np.testing.assert_array_equal(np.bincount(nearest, minlength=len(points)), 1)
    np.testing.assert_array_equal(result.cells.labels, labels[nearest])


@pytest.mark.parametrize(('mpp', 'ratios'), [(0.25, (2, 4)), (0.5, ()), (0.37, (2.5,))])
def test_cells_and_tissue_are_those_of_single_windows(cells, tmp_path, mpp, ratios):
    path = write_scene(tmp_path, cells, mpp, ratios)
    plan, result = run(path, make_method(backend='jax'), tmp_path / 'work')
    assert plan.layout.max_group == 4
    assert_known_cells(result, *cells)
    with Slide(path) as slide:
        rows, scores = predict_all(slide, plan, darkness, SETTINGS)
        expected = np.full(result.tissue.shape, 255, np.uint8)
        for group in plan.groups:
            alone = predict_window(slide, plan.layout, group, group.windows[0], darkness, SETTINGS)
            x, y = plan.layout.tissue_origin(group)
            classes = alone[3].argmax(-1)
            rows_of, columns_of = plan.layout.tissue_core(group)
            for row in range(rows_of.start, rows_of.stop):
                for column in range(columns_of.start, columns_of.stop):
                    expected[row, column] = classes[row - y, column - x]
    found_rows, found_scores = grid_rows(result, PATCHES)
    np.testing.assert_array_equal(found_rows, rows)
    np.testing.assert_allclose(found_scores, scores, atol=1e-6)
    assert result.tissue.shape == plan.layout.tissue_shape
    np.testing.assert_array_equal(result.tissue, expected)
    # the rim is glass
    assert result.tissue[:4][result.tissue[:4] != 255].max(initial=0) == 0
    assert (result.tissue == 1).sum() * 4 > 0.6 * WIDTH_UM * HEIGHT_UM


def test_cells_stay_single_where_windows_disagree(path, cells, tmp_path):
    """A network that sees everything a pixel aside, another way in each window."""

    def shifty(batch):
        probs, tissue = darkness(batch)
        rng = np.random.default_rng(int(batch['cell_image'].sum()))
        shifted = [np.roll(p, rng.integers(-1, 2, 2), (0, 1)) for p in probs]
        return Maps(np.stack(shifted), tissue)

    _, result = run(path, make_method(shifty), tmp_path / 'work')
    assert_known_cells(result, *cells)


SQUARE_UM = 60.0
PALE = 190  # green of every second square; else TISSUE's, 150


def by_context(batch):
    """An engine that tells a cell's class by the tissue patch around it alone."""
    cell = darkness(batch).cell[..., 0]
    green = batch['tissue_image'][..., 1].astype(float)
    pale = scipy.ndimage.uniform_filter(green, (0, 5, 5)) > 162
    shared = len(cell) // len(pale)
    second = np.empty(cell.shape)
    for row, center in enumerate(batch['center']):
        ratio = batch['cell_mpp'][row] / batch['tissue_mpp'][row]
        x, y = (
            (middle * pale.shape[1] + (np.arange(size) + 0.5 - size / 2) * ratio).astype(int)
            for middle, size in zip(center, cell.shape[:0:-1], strict=True)
        )
        second[row] = pale[row // shared][np.ix_(y, x)]
    found = 1 - cell
    probs = np.stack([cell, found * (1 - second), found * second], -1)
    return Maps(probs.astype(np.float32), darkness(batch).tissue)


@pytest.mark.parametrize('batch_size', [1, 3])
def test_each_window_lies_where_it_is_said_to_in_its_tissue_window(cells, tmp_path, batch_size):
    points, _ = cells
    image = draw_slide(800, 660, 0.5, points, np.ones(len(points), int))
    x, y = (np.arange(n) * 0.5 // SQUARE_UM for n in (800, 660))
    pale = (y[:, None] + x) % 2 == 1
    image[pale & (image[..., 1] >= TISSUE[1]) & (image[..., 1] < 200), 1] = PALE
    path = write_pyramid(tmp_path / 'squares.tif', image, 0.5)
    method = make_method(by_context, batch_size=batch_size)
    plan, result = run(path, method, tmp_path / 'work')
    assert plan.layout.max_group == 4
    _, nearest = cKDTree(points).query(result.micrometres)
    np.testing.assert_array_equal(np.bincount(nearest, minlength=len(points)), 1)
    # what is near a square's border may belong to either
    inner = (np.abs(points % SQUARE_UM - SQUARE_UM / 2) < SQUARE_UM / 2 - 9).all(1)[nearest]
    assert inner.sum() > 100
    squares = (points // SQUARE_UM).sum(1)[nearest] % 2
    np.testing.assert_array_equal(result.cells.labels[inner], 1 + squares[inner])


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
    for name in ('points', 'labels', 'scores'):
        np.testing.assert_array_equal(getattr(result.cells, name), getattr(expected.cells, name))
    np.testing.assert_array_equal(result.tissue, expected.tissue)


def test_what_another_run_left_is_not_taken(path, tmp_path):
    counts = []
    with Slide(path) as slide:
        plan = pipeline.make_plan(slide, make_method())
        for steps in (1, 2, 2):
            engine = Counted()
            identity = {'steps': [steps]}
            pipeline.predict_slide(slide, make_method(engine), plan, tmp_path, identity)
            counts.append(engine.count)
    assert counts == [counts[0], counts[0], 0]


def test_batches_change_nothing(path, tmp_path):
    rows = []

    def engine(batch):
        rows.append(len(batch['cell_image']))
        return darkness(batch)

    plan, expected = run(path, make_method(engine), tmp_path / 'one')
    assert set(rows) == {plan.layout.max_group}
    rows.clear()
    _, bare = run(path, make_method(engine, takes_any_size=True), tmp_path / 'bare')
    assert rows == [len(group.windows) for group in plan.groups]
    assert min(rows) < max(rows)
    rows.clear()
    method = make_method(engine, batch_size=4, takes_any_size=True)
    _, four = run(path, method, tmp_path / 'four')
    assert set(rows[:-1]) == {4 * plan.layout.max_group}
    assert sum(rows) == len(plan.groups) * plan.layout.max_group
    for result in (bare, four):
        np.testing.assert_array_equal(result.cells.points, expected.cells.points)
        np.testing.assert_array_equal(result.tissue, expected.tissue)


@pytest.mark.parametrize(
    ('count', 'devices', 'takes_any_size', 'sizes'),
    [
        (1, 1, False, [1]),
        (3, 1, False, [4]),
        (9, 1, False, [8, 8]),
        (1, 2, False, [2]),
        (5, 2, False, [8]),
        (1, 1, True, [1]),
        (3, 1, True, [3]),
        (9, 1, True, [8, 1]),
    ],
)
def test_few_windows_are_not_computed_many_times_over(
    path, monkeypatch, count, devices, takes_any_size, sizes
):
    monkeypatch.setattr('jax.local_device_count', lambda: devices)
    found = []

    def engine(batch):
        found.append(len(batch['tissue_image']))
        return darkness(batch)

    method = make_method(engine, batch_size=8, takes_any_size=takes_any_size)
    with Slide(path) as slide:
        plan = pipeline.make_plan(slide, method)
        groups = plan.groups[:count]
        done = pipeline.find(slide, method, plan.layout, groups)
        assert [group for each in done for group in each.groups] == groups
    assert found == sizes


def test_a_network_without_a_tissue_branch(path, cells, tmp_path):
    def blind(batch):
        assert not batch['tissue_image'].any()
        return Maps(darkness(batch).cell, None)

    method = make_method(blind, reads_tissue=False, maps_tissue=False)
    _, result = run(path, method, tmp_path)
    assert result.tissue is None
    assert_known_cells(result, *cells)


@pytest.mark.parametrize('size', [(40, 30), (64, 64), (65, 20), (1, 1)])
def test_a_slide_smaller_than_one_window(tmp_path, size):
    points = np.array([[10.0, 8.0]]) if min(size) > 20 else np.zeros((0, 2))
    image = draw_slide(*size, 0.5, points, np.full(len(points), 2))
    path = write_pyramid(tmp_path / 'small.tif', image, 0.5)
    _, result = run(path, make_method(), tmp_path / 'work', everywhere=True)
    np.testing.assert_allclose(result.cells.points, points / 0.5 - 0.5, atol=1.5)
    assert result.cells.labels.tolist() == [2] * len(points)


@pytest.mark.parametrize(
    ('size', 'mpp'), [((1101, 900), 0.2271), ((200, 180), 0.5), ((65, 65), 0.5), ((30, 400), 0.37)]
)
@pytest.mark.parametrize('longest', [2000, 50])
def test_areas_of_a_small_slide_are_its_own(tmp_path, monkeypatch, size, mpp, longest):
    """Whatever is left over of a square of the foreground, or of a pixel of the tissue map."""
    monkeypatch.setattr(foreground, '_SIDE', longest)
    path = write_pyramid(tmp_path / 'roi.tif', draw_slide(*size, mpp, [], []), mpp)
    plan, result = run(path, make_method(), tmp_path / 'work', everywhere=True)
    area = size[0] * size[1] * mpp**2 / 1e6
    whole = summary.summarise(result).slide
    assert whole.foreground_mm2 == pytest.approx(area)
    assert sum(whole.tissue_mm2.values()) + whole.unpredicted_mm2 == pytest.approx(area)
    assert maps.count_on_grid(result).foreground_mm2.sum() == pytest.approx(area)
    with Slide(path) as slide:
        measured = foreground.area_mm2(plan.foreground, plan.foreground_mpp, slide.size_um)
    assert measured == pytest.approx(area)


def test_glass_has_no_windows_and_no_cells(tmp_path):
    path = write_pyramid(tmp_path / 'glass.tif', np.full((300, 300, 3), 244, np.uint8), 0.5)
    engine = Counted()
    plan, result = run(path, make_method(engine), tmp_path / 'work')
    assert engine.count == plan.num_windows == len(result.cells) == 0
    assert (result.tissue == 255).all()
    assert not result.foreground.any()
    assert result.warnings[0].startswith('no tissue was found; --everywhere looks at all')


def test_pictures_lie_on_the_slide(path, tmp_path):
    plan, result = run(path, make_method(), tmp_path)
    assert 1 <= len(result.samples) <= 6
    with Slide(path) as slide:
        for sample in result.samples:
            x, y = (round(v * slide.mpp / sample.mpp) for v in (sample.x, sample.y))
            again = slide.read(x, y, 64, 64, sample.mpp).astype(int)
            assert np.abs(again - sample.image).mean() < 2
    thumbnail_mpp = WIDTH_UM / result.thumbnail.shape[1]
    for picture, mpp in (
        (result.thumbnail, thumbnail_mpp),
        (result.foreground, result.foreground_mpp),
    ):
        height, width = picture.shape[:2]
        assert width * mpp == pytest.approx(WIDTH_UM, abs=mpp)
        assert height * mpp == pytest.approx(HEIGHT_UM, abs=mpp)
    assert plan.foreground is result.foreground
    assert foreground.find(result.thumbnail, thumbnail_mpp)[0].any()


def test_samples_are_the_windows_with_most_cells_of_each_class(path, tmp_path):
    plan, result = run(path, make_method(), tmp_path)
    corners = {
        window: np.round(np.array(plan.layout.origin(window)) * PATCHES.cell_mpp / result.mpp)
        for group in plan.groups
        for window in group.windows
    }
    owners = plan.layout.owners(np.rint(result.micrometres / PATCHES.cell_mpp - 0.5).astype(int))
    for sample, label in zip(result.samples[:2], (1, 2), strict=True):
        counts = {w: np.sum((owners == w) & (result.cells.labels == label)) for w in corners}
        [window] = [w for w, xy in corners.items() if tuple(xy) == (sample.x, sample.y)]
        assert counts[window] >= max(counts.values()) - 1  # at seams the owner may be another


def test_too_many_cells_for_the_settings_leave_the_lowest_out(path, tmp_path, caplog):
    plan, result = run(path, make_method(max_cells=2), tmp_path)
    assert len(result.cells) <= 2 * plan.num_windows
    [line] = [m for m in caplog.messages if 'max_cells' in m]
    assert 'more peaks than config.detection.max_cells = 2' in line
    assert result.warnings == (line,)


def test_cells_that_a_killed_run_left_out_are_told_of(path, tmp_path, monkeypatch, caplog):
    """By as many windows as there would be in one go, which single windows tell."""
    monkeypatch.setattr(pipeline, '_SAVE_SECONDS', 0.0)
    crowded = 0
    with Slide(path) as slide:
        plan = pipeline.make_plan(slide, make_method())
        for group in plan.groups:
            for window in group.windows:
                points = predict_window(slide, plan.layout, group, window, darkness, SETTINGS)[0]
                crowded += len(points) > 4
    assert 0 < crowded < plan.num_windows
    with pytest.raises(KeyboardInterrupt):
        run(path, make_method(Counted(limit=len(plan.groups) // 2), max_cells=4), tmp_path)
    _, result = run(path, make_method(max_cells=4), tmp_path)
    [warning] = result.warnings
    assert warning.startswith(f'{crowded} patches have more peaks than config.detection.max_cel')


@pytest.mark.parametrize('takes_any_size', [False, True])
@pytest.mark.parametrize('batch_size', [1, 2, 100])
def test_the_time_of_a_window_is_told_however_few_there_are(
    path, monkeypatch, batch_size, takes_any_size
):
    ticks = itertools.count()
    monkeypatch.setattr(pipeline, 'time', types.SimpleNamespace(monotonic=ticks.__next__))
    engine = Counted()
    method = make_method(engine, batch_size=batch_size, takes_any_size=takes_any_size)
    with Slide(path) as slide:
        plan = pipeline.make_plan(slide, method)
        seconds = pipeline.measure(slide, method, plan)
    batches = min(3, np.ceil(len(plan.groups) / batch_size))  # each is a tick long
    assert seconds * engine.count / 2 == pytest.approx(batches)  # the first half compiles
