"""What the readers of slides and images accept, and what they refuse in one line."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawn_slides import write_pyramid
from PIL import Image

from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.slides import readers
from ocelot_jax.slides.readers import openslide, pillow, tiff
from ocelot_jax.slides.slide import Slide


def test_the_first_format_that_can_read_a_file_reads_it(tmp_path):
    image = np.full((150, 150, 3), 200, np.uint8)
    write_pyramid(tmp_path / 'tiled.tif', image, 0.5, ratios=(2,))
    tifffile.imwrite(tmp_path / 'stripes.tif', image, photometric='rgb')
    Image.fromarray(image).save(tmp_path / 'a.PNG')
    write_pyramid(tmp_path / 'b.qptiff', image, 0.5)  # OpenSlide could, without its um/px
    kinds = {'tiled.tif': openslide, 'stripes.tif': tiff, 'b.qptiff': tiff, 'a.PNG': pillow}
    for name, module in kinds.items():
        reader = readers.open_reader(tmp_path / name)
        assert isinstance(reader, module.Reader)
        assert reader.levels[0] == (150, 150)
        reader.close()


def test_without_openslide_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(openslide, 'INSTALLED', False)
    (tmp_path / 'a.svs').write_text('hello')
    with pytest.raises(InputError, match=r'OpenSlide knows, which is not installed: pip install'):
        readers.open_reader(tmp_path / 'a.svs')


@pytest.mark.parametrize('size', [(128, 128), (132, 128), (124, 128)])
def test_a_region_of_a_level_lies_where_it_is_asked_for(tmp_path, size):
    """OpenSlide takes one factor for both axes, whatever the level's proportions."""
    with tifffile.TiffWriter(tmp_path / 'a.tif') as writer:
        for number, (width, height) in enumerate([(512, 512), size]):
            ramp = np.linspace(0, 255, width).round().astype(np.uint8)
            image = np.broadcast_to(ramp[:, None], (height, width, 3))
            writer.write(image, tile=(64, 64), photometric='rgb', subfiletype=int(number > 0))
    reader = openslide.Reader(tmp_path / 'a.tif')
    found = np.asarray(reader.region(1, 90, 60, 20, 8)).astype(float)
    wanted = np.linspace(0, 255, size[0]).round()[90:110]
    assert abs(found[..., 0] - wanted).mean() < 1  # of 2 a pixel
    reader.close()


def test_what_is_transparent_is_white(tmp_path):
    image = np.zeros((40, 40, 4), np.uint8)
    image[:, 20:, 3] = 255
    Image.fromarray(image).save(tmp_path / 'a.png')
    with Slide(tmp_path / 'a.png', mpp=0.5) as slide:
        region = slide.read(0, 0, 40, 40, 0.5)
    assert (region[:, :20] == 255).all()
    assert (region[:, 20:] == 0).all()


def test_a_photograph_is_read_as_it_is_to_be_seen(tmp_path):
    """Stored lying on its side: row 0 is the right edge (EXIF orientation 6)."""
    seen = np.zeros((40, 64, 3), np.uint8)
    seen[:, 32:] = 255
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(np.rot90(seen)).save(tmp_path / 'a.png', exif=exif)
    with Slide(tmp_path / 'a.png', 0.5) as slide:
        assert (slide.width, slide.height) == (64, 40)
        np.testing.assert_array_equal(slide.read(0, 0, 64, 40, 0.5), seen)


def save(path, mode='RGB', **options):
    Image.new(mode, (64, 64)).save(path, **options)


def write_tiff(path, shape, dtype, **options):
    tifffile.imwrite(path, np.zeros(shape, dtype), tile=(64, 64), **options)


BAD = {
    'none.png': (save, {}, 'has no um/px; give it as --mpp'),
    'screen.png': (save, {'dpi': (72, 72)}, '352.* um/px is not plausible'),
    'gray.png': (save, {'mode': 'L'}, 'color mode is L; want 8-bit RGB'),
    'deep.png': (save, {'mode': 'I;16'}, 'has channels of 16 bits; want 8 bits'),
    'deep.tif': (
        write_tiff,
        {'shape': (64, 64, 3), 'dtype': np.uint16, 'photometric': 'rgb'},
        'has 3 channels of 16 bits; want 8-bit color',
    ),
    'gray.tif': (write_tiff, {'shape': (64, 64), 'dtype': np.uint8}, 'has 1 channels of 8 bits'),
    'flat.tif': (
        write_tiff,
        {'shape': (64, 64, 3), 'dtype': np.uint8, 'photometric': 'rgb'},
        'um/px',
    ),
    'stretched.png': (save, {'dpi': (50800, 25400)}, '0.5 um/px along x and 1 along y'),
    'text.png': (lambda path: path.write_text('hello'), {}, 'cannot be read as an image'),
    'text.svs': (lambda path: path.write_text('hello'), {}, 'no slide that OpenSlide knows'),
    'empty.svs': (Path.touch, {}, 'is empty; want a whole copy'),
    'a.nd2': (
        lambda path: path.write_bytes(b'\xda\xce'),
        {},
        'want it as OME-TIFF, as .bfconvert. of Bio',
    ),
    'A.iSyntax': (Path.touch, {}, "Philips' iSyntax, which is not read; want it as OME-TIFF"),
    'cut.svs': (lambda path: path.write_bytes(b'II*\0' + bytes(64)), {}, 'copy that was cut off'),
    'big.ndpi': (lambda path: path.write_bytes(b'II+\0\x08'), {}, 'copy that was cut off'),
    'text.tif': (lambda path: path.write_text('hello'), {}, 'is no whole TIFF'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_files_end_with_one_line(tmp_path, name):
    make, options, message = BAD[name]
    make(tmp_path / name, **options)
    with pytest.raises(ValueError, match=message.replace('*', r'\d*')) as error:
        Slide(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))
    assert '\n' not in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r'a\.svs: no such file'):
        Slide(tmp_path / 'a.svs')


def state(monkeypatch, **properties):
    """Lets OpenSlide state more of each slide, as other formats do."""
    told = {name.replace('_', '.', 1).replace('_', '-'): v for name, v in properties.items()}
    told |= {'openslide.vendor': 'aperio'}
    original = openslide.openslide.OpenSlide.properties.fget
    monkeypatch.setattr(
        openslide.openslide.OpenSlide,
        'properties',
        property(lambda self: dict(original(self)) | told),
    )


@pytest.fixture
def tiled(tmp_path):
    """A slide whose TIFF resolution says 0.5 um/px."""
    write_pyramid(tmp_path / 'a.tif', np.full((150, 150, 3), 200, np.uint8), 0.5)
    return tmp_path / 'a.tif'


@pytest.mark.parametrize(
    'stated',
    [
        {'openslide_mpp_x': '0.25', 'openslide_mpp_y': None},
        {'openslide_mpp_x': None, 'openslide_mpp_y': '0.25'},
        {'openslide_mpp_x': '0.25', 'openslide_mpp_y': '0'},
        {'openslide_mpp_x': 'nan', 'openslide_mpp_y': '0.25'},
        {'openslide_mpp_x': '', 'openslide_mpp_y': '0.25'},
    ],
)
def test_half_a_statement_is_not_passed_over_for_a_weaker_one(tiled, monkeypatch, stated):
    state(monkeypatch, **stated)
    wanted = (
        r'a\.tif: its slide states \S* um/px along x and \S* along y; want both, or .* --mpp with'
    )
    for given in (None, 0.25):
        with pytest.raises(InputError, match=wanted):
            Slide(tiled, given)
    with Slide(tiled, 0.25, override_mpp=True) as slide:
        assert slide.mpp == 0.25


@pytest.mark.parametrize('value', ['353', '0.0001'])
def test_a_statement_that_no_microscope_makes_is_not_passed_over(tiled, monkeypatch, value):
    state(monkeypatch, openslide_mpp_x=value, openslide_mpp_y=value)
    for given in (None, 0.25):
        with pytest.raises(InputError, match=f'slide states {value} um/px .* not plausible'):
            Slide(tiled, given)


def test_the_resolution_of_a_screen_is_no_statement(tmp_path):
    image = np.full((150, 150, 3), 200, np.uint8)
    tifffile.imwrite(
        tmp_path / 'a.tif', image, tile=(64, 64), resolution=(72, 72), resolutionunit='INCH'
    )
    with Slide(tmp_path / 'a.tif', 0.25) as slide:
        assert isinstance(slide._reader, openslide.Reader)
        assert slide.mpp == 0.25
