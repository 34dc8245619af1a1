"""TIFFs that tifffile opens, against its own reading of the whole."""

import struct

import numpy as np
import pytest
import tifffile

from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import readers
from ocelot_jax.slides.readers import tiff
from ocelot_jax.slides.slide import Slide

IMAGE = np.random.default_rng(0).integers(0, 255, (300, 410, 3), np.uint8)
IMAGE[:150] = np.kron(IMAGE[:15, :41], np.ones((10, 10, 1), np.uint8))  # JPEG likes it
KINDS = {
    'strips': {'rowsperstrip': 37, 'compression': 'lzw'},
    'whole': {'rowsperstrip': 300, 'compression': 'zlib'},
    'plain': {},
    'jpeg strips': {'rowsperstrip': 16, 'compression': 'jpeg'},
}


def write_ome(path, levels=3, density=None, **metadata):
    """An OME-TIFF whose smaller levels are SubIFDs."""
    with tifffile.TiffWriter(path, ome=True) as writer:
        for level in range(levels):
            writer.write(
                IMAGE[:: 2**level, :: 2**level],
                subifds=levels - 1 if level == 0 else 0,
                subfiletype=int(level > 0),
                tile=(64, 64),
                photometric='rgb',
                compression='zlib',
                resolution=density and (density, density),
                resolutionunit='CENTIMETER' if density else None,
                metadata={'axes': 'YXS', **metadata} if level == 0 else None,
            )
    return path


@pytest.mark.parametrize('kind', KINDS)
def test_every_region_is_the_wholes(kind, tmp_path):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, IMAGE, photometric='rgb', **KINDS[kind])
    whole = tifffile.imread(path)
    reader = readers.open_reader(path)
    assert isinstance(reader, tiff.Reader)
    assert reader.levels == ((410, 300),)
    for x, y, width, height in [(0, 0, 410, 300), (409, 299, 1, 1), (17, 30, 99, 50)]:
        region = np.asarray(reader.region(0, x, y, width, height))
        np.testing.assert_array_equal(region, whole[y : y + height, x : x + width])
    reader.close()


def test_an_ome_tiff_has_its_levels_and_decodes_what_is_read_alone(tmp_path):
    path = write_ome(tmp_path / 'a.ome.tif', PhysicalSizeX=0.25, PhysicalSizeY=0.25)
    reader = readers.open_reader(path)
    assert reader.levels == ((410, 300), (205, 150), (103, 75))
    for level, (width, height) in enumerate(reader.levels):
        region = np.asarray(reader.region(level, 5, 7, width - 5, height - 7))
        np.testing.assert_array_equal(region, IMAGE[:: 2**level, :: 2**level][7:, 5:])
    reader.close()
    reader = readers.open_reader(path)
    reader.region(0, 60, 60, 10, 10)
    assert len(reader._cache) == 4
    reader.close()


STATED = {
    'um': ({'PhysicalSizeX': 0.25, 'PhysicalSizeY': 0.25}, 0.25),
    'nm': (
        {'PhysicalSizeX': 250.0, 'PhysicalSizeY': 250.0}
        | {f'PhysicalSize{axis}Unit': 'nm' for axis in 'XY'},
        0.25,
    ),
    'mm': (
        {'PhysicalSizeX': 0.0005, 'PhysicalSizeY': 0.0005}
        | {f'PhysicalSize{axis}Unit': 'mm' for axis in 'XY'},
        0.5,
    ),
    'one axis': ({'PhysicalSizeX': 0.25}, 'OME-XML states 0.25 um/px along x and None along y'),
    'zero': ({'PhysicalSizeX': 0.0, 'PhysicalSizeY': 0.0}, 'OME-XML states 0'),
    'screen': ({'PhysicalSizeX': 353.0, 'PhysicalSizeY': 353.0}, 'states 353 .* not plausible'),
    'nothing': ({}, 'has no um/px'),
}


@pytest.mark.parametrize('kind', STATED)
def test_um_px_of_ome_xml(kind, tmp_path):
    """Which go before the resolution of the TIFF, 0.4 um/px."""
    metadata, wanted = STATED[kind]
    density = 25_000 if metadata else None
    path = write_ome(tmp_path / 'a.ome.tif', levels=1, density=density, **metadata)
    if isinstance(wanted, float):
        with Slide(path) as slide:
            assert slide.mpp == pytest.approx(wanted)
    else:
        with pytest.raises(InputError, match=wanted):
            Slide(path)


@pytest.mark.parametrize(
    ('unit', 'density', 'wanted'), [('micron', 2.5, 0.4), ('um', 2.5, 0.4), ('mm', 2500, 0.4)]
)
def test_um_px_of_imagej(unit, density, wanted, tmp_path):
    path = tmp_path / 'a.tif'
    write_imagej(path, unit, density)
    reader = readers.open_reader(path)
    assert reader.mpp() == pytest.approx((wanted, wanted))
    reader.close()


def write_imagej(path, unit, density):
    resolution = (density, density)
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=resolution, metadata={'unit': unit})


@pytest.mark.parametrize(('unit', 'density'), [('micron', 0), ('mm', 2.5)])
def test_um_px_of_imagej_that_make_no_sense_are_refused(unit, density, tmp_path):
    write_imagej(tmp_path / 'a.tif', unit, density)
    with pytest.raises(InputError, match=r'its ImageJ metadata states .* want'):
        Slide(tmp_path / 'a.tif', 0.25)


def test_a_resolution_of_another_type_is_one_line(tmp_path):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, IMAGE, photometric='rgb', resolution=(2e4, 2e4))
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags['XResolution']
    data = bytearray(path.read_bytes())
    data[tag.offset + 2 : tag.offset + 4] = (3).to_bytes(2, 'little')  # a whole number
    path.write_bytes(data)
    with pytest.raises(InputError, match=r'a\.tif: is no whole TIFF') as error:
        Slide(path)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('image', 'options', 'message'),
    [
        (np.zeros((3, 64, 64, 3), np.uint8), {}, r'shape \(3, 64, 64, 3\), axes \wYXS; want one'),
        (np.zeros((3, 64, 64), np.uint8), {'planarconfig': 'separate'}, 'axes SYX; want one'),
    ],
)
def test_more_than_one_picture_in_color_is_refused_in_one_line(image, options, message, tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', image, photometric='rgb', **options)
    with pytest.raises(InputError, match=message) as error:
        readers.open_reader(tmp_path / 'a.tif')
    assert '\n' not in str(error.value)


def write_images(path, *images):
    """A TIFF of several images, which are no levels of each other."""
    with tifffile.TiffWriter(path, ome=path.name.endswith('.ome.tif')) as writer:
        for image in images:
            color = 'rgb' if image.ndim == 3 else 'minisblack'
            writer.write(image, photometric=color, metadata={})
    return path


@pytest.mark.parametrize('name', ['a.ome.tif', 'a.tif'])
@pytest.mark.parametrize(
    ('images', 'sizes'),
    [
        ((IMAGE[:75, :103], IMAGE), '2 color images, of 103 x 75, 410 x 300'),
        ((IMAGE, IMAGE[:9, :9], IMAGE.swapaxes(0, 1)), '3 .* 410 x 300, 9 x 9, 300 x 410'),
        ((IMAGE[:, :300], IMAGE[..., 0], IMAGE), '2 color images, of 300 x 300, 410 x 300'),
    ],
)
def test_scenes_beside_the_first_are_not_left_out_silently(name, images, sizes, tmp_path):
    path = write_images(tmp_path / name, *images)
    message = rf'{name}: holds {sizes} pixels; want .*`bfconvert -series 0`'
    with pytest.raises(InputError, match=message) as error:
        readers.open_reader(path)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['a.ome.tif', 'a.tif'])
@pytest.mark.parametrize(
    'beside',
    [
        (IMAGE[::3, ::3], IMAGE[:290, :50]),  # a thumbnail and a label, larger along one side
        (np.zeros((400, 500), np.uint8),),  # which is no color image
    ],
)
def test_what_lies_beside_a_slide_does_not_matter(name, beside, tmp_path):
    path = write_images(tmp_path / name, IMAGE[:280], *beside)
    reader = readers.open_reader(path)
    assert reader.levels[0] == (410, 280)
    np.testing.assert_array_equal(reader.region(0, 0, 0, 410, 280), IMAGE[:280])
    reader.close()


def test_the_macro_of_a_scanner_may_be_larger_than_a_small_slide(tmp_path):
    """As in what Aperio's viewer cuts out of a slide."""
    path = tmp_path / 'a.tif'
    options = {'photometric': 'rgb', 'metadata': None}
    with tifffile.TiffWriter(path) as writer:
        aperio = 'Aperio Image Library |AppMag = 20|MPP = 0.5'
        writer.write(IMAGE[:64, :64], tile=(64, 64), description=aperio, **options)
        for kind, image in ((0, IMAGE[:9, :9]), (1, IMAGE[:50, :50]), (9, IMAGE)):
            writer.write(image, rowsperstrip=300, subfiletype=kind, **options)
    with tifffile.TiffFile(path) as file:
        assert [one.name for one in file.series] == ['Baseline', 'Thumbnail', 'Label', 'Macro']
    reader = tiff.Reader(path)
    assert reader.levels == ((64, 64),)
    reader.close()


def test_a_strip_beyond_the_memory_says_what_to_convert_with(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / 'a.tif', IMAGE, photometric='rgb', rowsperstrip=300)
    monkeypatch.setattr(tiff, '_MAX_SEGMENT_BYTES', 1000)
    with pytest.raises(InputError, match='vips tiffsave --tile --pyramid'):
        readers.open_reader(tmp_path / 'a.tif')


@pytest.mark.parametrize('compression', ['zlib', 'lzw', 'jpeg'])
def test_a_part_that_is_damaged_is_one_line(compression, tmp_path):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, IMAGE, photometric='rgb', rowsperstrip=32, compression=compression)
    with tifffile.TiffFile(path) as file:
        start, length = (
            values[3] for values in (file.pages.first.dataoffsets, file.pages.first.databytecounts)
        )
    data = bytearray(path.read_bytes())
    data[start : start + length] = bytes([255]) * length
    path.write_bytes(data)
    reader = readers.open_reader(path)
    assert reader.region(0, 0, 0, 410, 96).size == (410, 96)
    with pytest.raises(InputError, match=r'a\.tif: a part cannot be decoded') as error:
        reader.region(0, 0, 96, 10, 10)
    assert '\n' not in str(error.value)
    reader.close()


def test_a_part_beyond_the_files_end_is_one_line(tmp_path):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, IMAGE, photometric='rgb', rowsperstrip=32)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r'the file ends within it') as error:
        readers.open_reader(path).region(0, 0, 280, 10, 10)
    assert '\n' not in str(error.value)


def test_tiles_that_were_not_written_are_white(tmp_path):
    path = tmp_path / 'a.tif'
    tiles = [IMAGE[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64)]
    written = iter([tiles[0], None, tiles[2], tiles[3]])
    tifffile.imwrite(
        path, written, shape=(128, 128, 3), dtype=np.uint8, tile=(64, 64), photometric='rgb',
        compression='zlib',
    )  # fmt: skip
    wanted = IMAGE[:128, :128].copy()
    wanted[:64, 64:] = 255
    shown = tiff.Reader(path).region(0, 0, 0, 128, 128)
    np.testing.assert_array_equal(shown, wanted)


def test_a_pyramid_in_subifds_without_ome_xml(tmp_path):
    path = write_ome(tmp_path / 'a.tif')
    data = path.read_bytes().replace(b'<OME', b'<XXX').replace(b'</OME', b'</XXX')
    path.write_bytes(data.replace(b'OME>', b'XXX>'))
    assert readers.open_reader(path).levels == ((410, 300), (205, 150), (103, 75))


@pytest.mark.parametrize('photometric', ['cielab', 'separated', 'ycbcr'])
def test_other_colors_are_refused(photometric, tmp_path):
    image = np.zeros((64, 64, 4 if photometric == 'separated' else 3), np.uint8)
    tifffile.imwrite(tmp_path / 'a.tif', image, photometric=photometric)
    with pytest.raises(InputError, match=f'stored as {photometric.upper()}; want 8-bit RGB'):
        readers.open_reader(tmp_path / 'a.tif')


def test_a_codec_that_is_not_installed(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / 'a.tif', IMAGE, photometric='rgb', compression='jpeg')
    monkeypatch.setattr(tifffile.TIFF, 'DECOMPRESSORS', {})
    with pytest.raises(InputError, match=r'JPEG, which wants imagecodecs: pip install'):
        readers.open_reader(tmp_path / 'a.tif')


def test_a_large_strip_is_decoded_once(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / 'a.tif', IMAGE, photometric='rgb', rowsperstrip=300)
    monkeypatch.setattr(tiff, '_CACHE_BYTES', 1000)
    reader = readers.open_reader(tmp_path / 'a.tif')
    reader.region(0, 0, 0, 10, 10)
    assert list(reader._cache) == [(0, 0)]


def test_a_real_ome_tiff(shared):
    with Slide(shared / 'data/slides/OS-1-detail.ome.tif') as slide:
        assert slide.mpp == pytest.approx(0.2271, abs=1e-4)
        assert slide.overview(slide.mpp * 4).std() > 10


def test_tables_that_make_no_sense_are_one_line(tmp_path):
    """Tiles without a size, and offsets that are no whole numbers."""
    path = write_ome(tmp_path / 'a.ome.tif', levels=1)
    with tifffile.TiffFile(path) as file:
        tags = {name: file.pages.first.tags[name] for name in ('TileLength', 'TileOffsets')}
        places = {name: tag.offset for name, tag in tags.items()}
    data = path.read_bytes()
    for name, part, value, message in (
        ('TileLength', 8, bytes(4), 'its tiles have no size'),
        ('TileOffsets', 2, (11).to_bytes(2, 'little'), 'a part cannot be decoded'),
    ):
        place = places[name] + part
        path.write_bytes(data[:place] + value + data[place + len(value) :])
        with pytest.raises(InputError, match=message) as error:
            tiff.Reader(path).region(0, 0, 0, 10, 10)
        assert '\n' not in str(error.value)


@pytest.mark.parametrize('kind', [struct.error, TypeError, ZeroDivisionError])
def test_whatever_tifffile_raises_is_one_line(kind, tmp_path, monkeypatch):
    def fail(*_):
        raise kind('in two\nlines')

    tifffile.imwrite(tmp_path / 'a.tif', IMAGE, photometric='rgb')
    for module, name in ((tiff.Reader, '_check'), (tifffile, 'TiffFile')):
        monkeypatch.setattr(module, name, fail)
        with pytest.raises(InputError, match=r'a\.tif: is no whole TIFF \(in two lines\)'):
            tiff.Reader(tmp_path / 'a.tif')
