"""Which files are read, and what is said of others."""

import fake_slides
import pytest

from ocelot_jax.annotation import reading
from ocelot_jax.io.errors import InputError, MissingFileError


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('a.qpdata', r"want QuPath's GeoJSON \(in QuPath: File > Export objects as GeoJSON\)"),
        ('project.qpproj', 'File > Export objects as GeoJSON'),
        ('a.xml', r'want .geojson, .json, .csv, .tsv, .txt, each also with .gz'),
        ('a.gz', 'want .geojson'),
    ],
)
def test_other_kinds_are_refused(tmp_path, name, told):
    (tmp_path / name).write_bytes(b'\x00')
    with pytest.raises(InputError, match=told):
        reading.read(tmp_path / name, fake_slides.make())


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(MissingFileError, match=r'want annotations of slide.svs'):
        reading.read(tmp_path / 'a.geojson', fake_slides.make())


def test_suffixes_are_those_that_are_read():
    assert {'.geojson', '.geojson.gz', '.tsv', '.csv.gz'} < {*reading.SUFFIXES}
