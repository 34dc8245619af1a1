"""Slides read at any um/px: the right place, anti-aliased, whatever their levels."""

import numpy as np
import pytest
import tifffile
from drawn_slides import write_pyramid
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.transform import rescale

from ocelot_jax.io.errors import InputError
from ocelot_jax.slides.slide import Slide


@pytest.fixture(scope='module')
def image():
    """Smooth at first, then finer and finer."""
    y, x = np.mgrid[:300, :420] / 60.0
    waves = [np.sin(x * x + 2 * y), np.sin(3 * y - x), np.sin(x * y)]
    return np.uint8(128 + 100 * np.stack(waves, -1))


@pytest.fixture(scope='module')
def paths(image, tmp_path_factory):
    folder = tmp_path_factory.mktemp('slides')
    Image.fromarray(image).save(folder / 'plain.png', dpi=(25400 / 0.5,) * 2)
    write_pyramid(folder / 'one.tif', image, 0.5)
    write_pyramid(folder / 'odd.tif', image, 0.5, ratios=(3, 5.5))
    return {name: folder / name for name in ('plain.png', 'one.tif', 'odd.tif')}


@pytest.mark.parametrize('name', ['plain.png', 'one.tif', 'odd.tif'])
def test_states_what_the_file_states(paths, name):
    with Slide(paths[name]) as slide:
        assert (slide.width, slide.height) == (420, 300)
        assert slide.mpp == pytest.approx(0.5, rel=1e-3)
        assert slide.name == name[:-4]


@settings(deadline=None, max_examples=30)
@given(
    x=st.integers(-60, 440), y=st.integers(-60, 320), w=st.integers(1, 80), h=st.integers(1, 80)
)
@pytest.mark.parametrize('name', ['plain.png', 'one.tif', 'odd.tif'])
def test_its_own_pixels_come_as_they_are_white_around(paths, image, name, x, y, w, h):
    with Slide(paths[name], mpp=0.5) as slide:
        region = slide.read(x, y, w, h, 0.5)
    padded = np.pad(image, ((100, 200), (100, 200), (0, 0)), constant_values=255)
    np.testing.assert_array_equal(region, padded[y + 100 : y + 100 + h, x + 100 : x + 100 + w])


@pytest.mark.parametrize('mpp', [0.2, 0.37, 0.8, 1.3])
@pytest.mark.parametrize('name', ['plain.png', 'one.tif'])
def test_a_region_is_a_part_of_the_whole(paths, name, mpp):
    with Slide(paths[name], mpp=0.5) as slide:
        width, height = int(420 * 0.5 / mpp), int(300 * 0.5 / mpp)
        whole = slide.read(0, 0, width, height, mpp).astype(int)
        assert whole.min() < 60  # no white anywhere
        for x, y in [(0, 0), (13, 7), (width - 40, height - 40), (width // 2, height // 3)]:
            part = slide.read(x, y, 40, 40, mpp)
            # Pillow places the region in float32
            assert np.abs(part - whole[y : y + 40, x : x + 40]).max() <= 2


@pytest.mark.parametrize('name', ['plain.png', 'one.tif', 'odd.tif'])
@pytest.mark.parametrize('factor', [0.5, 2, 4, 7])
def test_resampled_as_scikit_image_would(paths, image, name, factor):
    """Two filters differ a little; half a pixel of shift would differ a lot."""
    expected = rescale(image, 1 / factor, order=1, anti_aliasing=factor > 1, channel_axis=-1)
    with Slide(paths[name], mpp=0.5) as slide:
        height, width = (int(n / factor) for n in image.shape[:2])
        found = slide.read(0, 0, width, height, 0.5 * factor) / 255
    margin = max(2, int(4 / factor))
    inner = np.s_[margin : height - margin, margin : int(width * 0.6)]
    difference = lambda x: np.abs(x[inner] - expected[:height, :width][inner]).mean()
    assert difference(found) < 0.012
    half_a_pixel = (found + np.roll(found, 1, 1)) / 2
    assert difference(half_a_pixel) > 1.3 * difference(found)


def test_shrinking_leaves_no_moire(tmp_path):
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    path = write_pyramid(tmp_path / 'stripes.tif', stripes, 0.5)
    with Slide(path) as slide:
        small = slide.read(2, 2, 60, 60, 1.57)
    assert np.abs(small.astype(int) - 127).max() < 8


@pytest.mark.parametrize('name', ['plain.png', 'odd.tif'])
def test_overview_is_the_whole_slide(paths, name, monkeypatch):
    monkeypatch.setattr('ocelot_jax.slides.slide._OVERVIEW_BLOCK', 100)
    with Slide(paths[name], mpp=0.5) as slide:
        picture = slide.overview(2.0)
        assert picture.shape == (75, 105, 3)
        assert np.abs(picture - slide.read(0, 0, 105, 75, 2.0).astype(int)).max() <= 2


def test_what_the_file_states_goes_before_what_is_given(paths):
    with Slide(paths['one.tif'], mpp=0.25) as slide:
        assert slide.mpp == pytest.approx(0.5)
    assert 'states 0.5 um/px, so 0.25 is not taken; --override_mpp' in slide.doubt
    with Slide(paths['one.tif'], mpp=0.25, override_mpp=True) as slide:
        assert (slide.mpp, slide.doubt) == (0.25, None)


@pytest.mark.parametrize('dpi', [None, (72, 72)])
def test_a_resolution_of_screens_states_nothing(image, tmp_path, dpi):
    Image.fromarray(image).save(tmp_path / 'a.png', **({} if dpi is None else {'dpi': dpi}))
    with Slide(tmp_path / 'a.png', mpp=0.25) as slide:
        assert slide.mpp == 0.25


@pytest.mark.parametrize('along_y', [0.25, 0.2515, 0.26])
def test_pixels_that_are_no_squares_are_told_of(image, tmp_path, along_y):
    density = {'resolution': (1e4 / 0.25, 1e4 / along_y), 'resolutionunit': 'CENTIMETER'}
    tifffile.imwrite(tmp_path / 'a.tif', image, photometric='rgb', **density)
    with Slide(tmp_path / 'a.tif') as slide:
        assert slide.mpp == pytest.approx((0.25 + along_y) / 2, rel=1e-4)
        told = 'states 0.25 um/px along x and 0.26 along y; their mean is taken'
        assert slide.doubt == (told if along_y == 0.26 else None)


def test_a_slide_cut_short(paths, tmp_path):
    """The header may be whole where pixels are not."""
    data = paths['one.tif'].read_bytes()
    path = tmp_path / 'cut.tif'
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r'cut\.tif: ') as error, Slide(path, mpp=0.5) as slide:
        slide.read(0, 0, 420, 300, 0.5)
    assert '\n' not in str(error.value)


def test_the_real_slide(shared):
    with Slide(shared / 'data/slides/cmu-1-small-region.svs') as slide:
        assert (slide.width, slide.height) == (2220, 2967)
        assert slide.mpp == pytest.approx(0.499)
        assert slide.overview(8.0).mean() > 128


def test_a_level_with_filled_up_tiles_is_not_read(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    filled = np.full((64, 80, 3), 255, np.uint8)
    filled[:, :64] = image[::4, ::4]
    path = tmp_path / 'filled.tif'
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate((image, filled)):
            writer.write(level, tile=(64, 64), photometric='rgb', subfiletype=int(number > 0))
    alone = tmp_path / 'alone.tif'
    tifffile.imwrite(alone, image, tile=(64, 64), photometric='rgb')
    with Slide(path, 0.25) as slide, Slide(alone, 0.25) as wanted:
        assert len(slide._reader.levels) == 2
        np.testing.assert_array_equal(slide.overview(1.0), wanted.overview(1.0))


@pytest.mark.parametrize(
    ('levels', 'why'),
    [
        (((0, 50),), r'states 0 x 50 px as the size of a level'),
        (((60, 50), (30, 0)), r'states 30 x 0 px as the size of a level'),
        (((60, 50), (-1, 25)), r'states -1 x 25 px as the size of a level'),
        # one bit of a width
        (((16777316, 100), (50, 50)), r'16777316 x 100 px and a level of 50 x 50 px'),
        (((100, 80), (50, 32808)), r'a level of 50 x 32808 px, which is another shape'),
    ],
)
def test_a_level_that_cannot_be_is_one_line(levels, why, tmp_path):
    class Damaged:
        closed = False

        def close(self):
            self.closed = True

    reader = Damaged()
    reader.levels = levels
    with pytest.raises(InputError, match=rf'a\.svs: .*{why}'):
        Slide(tmp_path / 'a.svs', 0.5, open_reader=lambda path: reader)
    assert reader.closed
