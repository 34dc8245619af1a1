"""Um/px of slides in a CSV file: whose they are, and what is refused."""

import re
from pathlib import Path

import pytest

from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.prediction import given_mpp
from ocelot_jax.prediction.options import Options

FOLDER = Path('slides')
FILES = {'a.svs': 'a.svs', 'a.tif': 'a.tif', 'b': 'b.png', 'x__b': 'x/b.png', 'ü, c': 'ü, c.jpg'}
SLIDES = {name: FOLDER / path for name, path in FILES.items()}


def read(tmp_path, text, folder=FOLDER, encoding='utf-8'):
    path = tmp_path / 'mpp.csv'
    path.write_bytes(text.encode(encoding))
    return given_mpp.read(path, SLIDES, folder)


@pytest.mark.parametrize(
    'text',
    [
        'name,um/px\na.svs,0.25\nb.png,0.5\n',
        'slide,mpp\na.svs,0.25\n\nb.png,5e-1',
        '\ufeffFile;um/px\r\na.svs;0,25\r\nb.png;0,5\r\n',
        'um_per_px\tfile\tslide\n0.25\ta.svs\ta\n0.5\tb.png\tb\n',
    ],
)
def test_tables_as_people_write_them(tmp_path, text):
    assert read(tmp_path, text) == {'a.svs': 0.25, 'b': 0.5}


def test_names(tmp_path):
    text = 'name,um/px\nx/b.png,0.1\na.tif,0.2\n"ü, c",0.3\n'
    assert read(tmp_path, text) == {'x__b': 0.1, 'a.tif': 0.2, 'ü, c': 0.3}


def test_an_earlier_prediction_s_table(tmp_path):
    text = 'slide,file,status,um/px\nb,b.png,done,0.5\nx__b,b.png,done,0.25\na.tif,a.tif,failed,\n'
    assert read(tmp_path, text) == {'b': 0.5, 'x__b': 0.25}


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('a.svs,0.25', 'line 1: has the columns a.svs, 0.25; want a CSV file with the columns'),
        ('', 'line 1: has the columns ; want a CSV file'),
        ('name,um/px\nb.png,0.5\nz.svs,1', "line 3: 'z.svs' is no slide of slides; want a file"),
        ('name,um/px\na,0.5', "line 2: 'a' may be a.svs, a.tif; want one of these"),
        ('name,um/px\na.svs,1\na.svs,1', "line 3: 'a.svs' is in line 2, too; want it once"),
        ('name,um/px\nx/b.png,1\n\nb.png,-\n', "line 4: '-'; want um/px as a number above 0"),
        ('name,um/px\na.svs,0', "line 2: '0'; want um/px as a number"),
        ('name,um/px\na.svs,0.25 um', "line 2: '0.25 um'; want um/px as a number"),
    ],
)
def test_bad_tables(tmp_path, text, told):
    with pytest.raises(InputError, match=re.escape(f'mpp.csv: {told}')) as error:
        read(tmp_path, text)
    assert '\n' not in str(error.value)


def test_tables_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r'mpp\.csv: cannot be read \(.*, in UTF-8'):
        read(tmp_path, 'name,um/px\nü,0.5\n', encoding='latin-1')
    with pytest.raises(MissingFileError, match='no such file; want a CSV file with the columns'):
        given_mpp.read(tmp_path / 'none.csv', SLIDES, FOLDER)


def test_one_slide_of_a_table_of_many(tmp_path):
    assert read(tmp_path, 'name,um/px\nz.svs,1\na.svs,0.5\n', folder=None) == {'a.svs': 0.5}


def test_one_for_all():
    assert given_mpp.of_slides(0.5, SLIDES) == dict.fromkeys(SLIDES, 0.5)
    assert given_mpp.of_slides(None, SLIDES) == {}


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        ({'override_mpp': True}, '--override_mpp: wants --mpp'),
        ({'tissue': Path('t.png'), 'mpp': Path('m.csv')}, r'--mpp: m\.csv; want a number'),
    ],
)
def test_options_that_contradict_each_other(options, told):
    with pytest.raises(InputError, match=told):
        Options(**options)
