"""The page over all slides of a folder, as a browser shows it."""

import pathlib
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from ocelot_jax.slides import cohort

NAMES = ('<b>&', 'damaged', 'größe #1?%20', 'waiting')
NUMBERS = {
    'um_per_px': 0.25, 'tumor_purity': 0.6666, 'foreground_mm2': 12.345, 'regions': [{}, {}],
    'cells': {'BC': 1000, 'TC <i>': 2000},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name in (NAMES[0], NAMES[2]):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'page.html').write_text(f'<title>{name == NAMES[0]}</title>')
        Image.fromarray(np.zeros((90, 120, 3), np.uint8)).save(tmp_path / name / 'thumbnail.jpg')
    table = cohort.Table(tmp_path, {name: pathlib.Path(f'{name}.svs') for name in NAMES})
    record = {'runs': ['one', 'two'], 'warnings': ['the slide has 2 um/px']}
    table.done(NAMES[0], NUMBERS, record, 3.0)
    table.failed(NAMES[1], 'damaged.svs: is cut short')
    nothing = {'tumor_purity': None, 'cells': {'BC': 0, 'TC <i>': 0}, 'regions': []}
    table.done(NAMES[2], NUMBERS | nothing, {}, None)
    table.write()
    return tmp_path


@pytest.mark.parametrize('width', [1200, 390])
def test_it_shows_and_links_every_slide(tab, folder, width):
    tab.open(folder / 'index.html', width)
    assert tab.evaluate('document.documentElement.scrollWidth') <= width
    assert tab.evaluate('document.scripts.length') == 0
    rows = tab.evaluate(
        '[...document.querySelectorAll("tbody tr")].map(r => [...r.cells].map(c => c.innerText))'
    )
    assert [row[0].split('\n')[0] for row in rows] == list(NAMES)
    assert rows[0][2].split('\n') == ['done', 'the slide has 2 um/px']
    numbers = ['66.7%', '3,000', '1,000', '2,000', '12.35', '2', '0.25', '3', 'one; two']
    assert rows[0][3:] == numbers
    assert rows[1][3:] == [''] * 9
    assert rows[2][3:] == ['', '0', '0', '0', '12.35', '0', '0.25', '', '']
    tab.load_images()
    images = tab.evaluate('[...document.images].map(i => i.complete && i.naturalWidth)')
    assert images == [120, 120]
    links = tab.evaluate('[...document.querySelectorAll("tbody a")].map(a => a.href)')
    paths = [urllib.parse.unquote(urllib.parse.urlsplit(link).path) for link in links]
    assert paths == [str(folder / name / 'page.html') for name in (NAMES[0], NAMES[2])]
    assert not [event for event in tab.events if event.get('method') == 'Log.entryAdded']
