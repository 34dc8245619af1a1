"""Which files of a folder are slides, what they are called, and what is left out with a word."""

import errno
import logging
import os
import shutil
import sys

import numpy as np
import pytest
from drawn_dicom import write_level
from PIL import Image

from ocelot_jax.io.errors import InputError, MissingPackageError
from ocelot_jax.slides import companions, finding
from ocelot_jax.slides.slide import Slide

SERIES = '1.2.826.0.1.3680043.8.498.1'


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def find(folder, **options):
    found = finding.find_slides(folder, **options)
    return {name: path.relative_to(folder).as_posix() for name, path in found.items()}


def write_series(folder, name, series, seed=0):
    """A slide of two files."""
    folder.mkdir(exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 255, (100, 150, 3), np.uint8)
    half = np.asarray(Image.fromarray(image).resize((75, 50)))
    write_level(folder / f'{name}0.dcm', image, 0.5, series)
    write_level(folder / f'{name}1.dcm', half, 1.0, series, level=1)
    return image


def test_a_dicom_series_is_one_slide(tmp_path):
    image = write_series(tmp_path, 'b', SERIES)
    assert find(tmp_path) == {'b0': 'b0.dcm'}
    with Slide(tmp_path / 'b1.dcm') as slide:  # any file opens all
        np.testing.assert_array_equal(slide.read(0, 0, 150, 100, 0.5), image)
    write_series(tmp_path, 'c', SERIES + '2', seed=1)
    (tmp_path / 'a.dcm').write_bytes((tmp_path / 'b0.dcm').read_bytes()[:200])  # damaged
    touch(tmp_path, 'd.dcm', 'e.svs')
    # as archives name them
    (tmp_path / 'c0.dcm').rename(tmp_path / '1.2.840.1')
    (tmp_path / 'c1.dcm').rename(tmp_path / '1.2.840.20')
    touch(tmp_path, 'notes', 'notes.1')
    wanted = {'a': 'a.dcm', 'b0': 'b0.dcm', '1.2.840': '1.2.840.1', 'd': 'd.dcm', 'e': 'e.svs'}
    assert find(tmp_path) == wanted


def test_without_pydicom_a_series_is_not_taken_for_many_slides(tmp_path, monkeypatch):
    write_series(tmp_path, 'b', SERIES)
    monkeypatch.setitem(sys.modules, 'pydicom', None)
    with pytest.raises(MissingPackageError, match=r'b0\.dcm: pydicom is not installed'):
        find(tmp_path)


def test_the_identity_of_a_dicom_slide_covers_all_its_files(tmp_path):
    write_series(tmp_path / 'a', 'x', SERIES)
    shutil.copytree(tmp_path / 'a', tmp_path / 'b')
    (tmp_path / 'b/x1.dcm').rename(tmp_path / 'b/0.dcm')
    write_series(tmp_path / 'b', 'other', SERIES + '2', seed=1)

    def identity(name):
        with Slide(tmp_path / name) as slide:
            return slide.identity()

    first = identity('a/x0.dcm')
    assert identity('a/x1.dcm') == identity('b/0.dcm') == first
    content = bytearray((tmp_path / 'a/x1.dcm').read_bytes())
    content[-100] ^= 1
    (tmp_path / 'a/x1.dcm').write_bytes(content)
    assert identity('a/x0.dcm') != first


def test_tiles_beside_their_slide_are_no_slides(tmp_path, caplog):
    touch(tmp_path, 'tile.jpg', 'Tile(1,0).jpg', 'map.tif', 'photo.jpg', 'm/Slidedat.ini')
    touch(tmp_path, 'm/Data0.dat', 'm/more/preview.jpg', 'm.mrxs')
    text = (
        '[Virtual Microscope Specimen]\r\nImageFile=tile.jpg\r\nImageFile(1,0)=Tile(1,0).jpg\r\n'
    )
    (tmp_path / 'h.vms').write_text(text + 'MapFile=map.tif\r\nSourceLens=\r\n')
    wanted = {'h': 'h.vms', 'm': 'm.mrxs', 'photo': 'photo.jpg'}
    assert find(tmp_path) == find(tmp_path, recursive=True) == wanted
    assert not caplog.records
    files = [path.name for path in companions.files_of(tmp_path / 'h.vms')]
    assert files == ['h.vms', 'Tile(1,0).jpg', 'map.tif', 'tile.jpg']
    files = [path.name for path in companions.files_of(tmp_path / 'm.mrxs')]
    assert files == ['m.mrxs', 'Data0.dat', 'Slidedat.ini', 'preview.jpg']


def test_what_is_left_out_is_told(tmp_path, caplog):
    touch(tmp_path, 'a.svs', '.hidden.svs', 'notes.txt', '.hidden/a.svs', 'text/notes.txt')
    touch(tmp_path, *(f'case{i}/deep/x.tif' for i in range(4)))
    touch(tmp_path, 'found/a/prediction.json', 'found/a/tissue.ome.tif')
    touch(tmp_path, 'c.nd2', 'c.ISYNTAX', 'elsewhere/c.lif')
    (tmp_path / 'gone.svs').symlink_to(tmp_path / 'nowhere.svs')
    (tmp_path / 'gone.txt').symlink_to(tmp_path / 'nowhere.txt')
    with caplog.at_level(logging.WARNING):
        assert find(tmp_path) == {'a': 'a.svs'}
    assert [record.getMessage() for record in caplog.records] == [
        f'{tmp_path}: left out broken links: 1 (gone.svs)',
        f'{tmp_path}: left out formats that are not read: 2 (c.ISYNTAX, c.nd2); --input=FILE '
        'tells how to convert one',
        f'{tmp_path}: left out folders within that hold slides: 4 (case0/deep, case1/deep, '
        'case2/deep, ...); --recursive takes them',
    ]


def test_a_folder_that_cannot_be_read_is_told(tmp_path, caplog, monkeypatch):
    touch(tmp_path, 'a.svs', 'locked/b.svs')
    scan = os.scandir

    def refuse(place):
        if str(place).endswith('locked'):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)
        return scan(place)

    monkeypatch.setattr(os, 'scandir', refuse)
    assert find(tmp_path, recursive=True) == {'a': 'a.svs'}
    wanted = f'{tmp_path}: left out folders that cannot be read: 1 (locked)'
    assert caplog.messages == [wanted]


def test_recursive_takes_folders_within(tmp_path, caplog):
    touch(tmp_path, 'a.svs', 'x/a.svs', 'x/y/b.tif', 'x/y/b.svs', 'x__y/c.svs', 'x/y/c.svs')
    touch(tmp_path, 'found/a/prediction.json', 'found/a/tissue.ome.tif')
    write_series(tmp_path / 'd', 'l', SERIES)
    elsewhere = tmp_path.parent / f'{tmp_path.name}-elsewhere'
    touch(elsewhere, 'z.svs')
    (tmp_path / 'linked').symlink_to(elsewhere)
    (tmp_path / 'x/up').symlink_to(tmp_path)
    found = find(tmp_path, recursive=True)
    digests = {name: path for name, path in found.items() if name.startswith('x__y__c')}
    assert sorted(digests.values()) == ['x/y/c.svs', 'x__y/c.svs']
    assert {name: path for name, path in found.items() if name not in digests} == {
        'a': 'a.svs',
        'd__l0': 'd/l0.dcm',
        'linked__z': 'linked/z.svs',
        'x__a': 'x/a.svs',
        'x__y__b.svs': 'x/y/b.svs',
        'x__y__b.tif': 'x/y/b.tif',
    }
    assert not caplog.records
    os.remove(tmp_path / 'x__y/c.svs')
    assert 'x__y__c' in find(tmp_path, recursive=True)


@pytest.mark.parametrize(
    ('files', 'names'),
    [
        (['a.tif', 'A.svs', 'b.svs'], ['A.svs', 'a.tif', 'b']),
        (['x' * 240 + '.svs'], ['x' * 50 + '-']),
    ],
)
def test_names_that_other_systems_would_take_for_one_or_refuse(tmp_path, files, names):
    touch(tmp_path, *files)
    found = list(find(tmp_path))
    assert [name[: len(want)] for name, want in zip(found, names, strict=True)] == names
    assert max(map(len, found)) < 100


def test_an_empty_directory(tmp_path):
    touch(tmp_path, 'within/a.svs')
    with pytest.raises(InputError, match=r'holds no slide; want files of \.tif, .*\.svs'):
        finding.find_slides(tmp_path)
