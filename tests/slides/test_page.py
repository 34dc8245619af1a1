"""The page, as a browser shows it; what needs no browser is asked of its text."""

import dataclasses
import io

import numpy as np
import pytest
from outline import Outline
from PIL import Image

from ocelot_jax.slides import page, summary
from ocelot_jax.viz import overlay

NAME = '<b>S-07</b> & "co" <script>document.title = 1</script>'
WIDTHS = (1200, 390)


def write(result, path):
    overlays = [
        overlay.draw_found(sample.image, page.cells_of(result, sample), 15)
        for sample in result.samples
    ]
    found = summary.summarise(result)
    page.write(result, found, overlays, path)
    return found


@pytest.fixture(scope='module')
def pages(slide, tmp_path_factory):
    """Pages of a slide, of an empty one, and of a long one with other classes and no tissue."""
    folder = tmp_path_factory.mktemp('pages')
    empty = dataclasses.replace(
        slide,
        cells=slide.cells[:0],
        foreground=np.zeros_like(slide.foreground),
        samples=(),
        warnings=('the slide has 2 um/px <&>', 'x' * 300),
    )
    other = dataclasses.replace(
        slide, cell_classes=('TC-', 'TC+ <&>'), tissue=None, height=4 * slide.height
    )
    tumor = dataclasses.replace(slide, cell_classes=('glia', 'IDH <&>'), tumor_class='IDH <&>')
    kinds = {
        'tumor': tumor,
        'full': dataclasses.replace(slide, name=NAME),
        'empty': empty,
        'other': other,
    }
    for kind, result in kinds.items():
        write(result, folder / f'{kind}.html')
    return folder


def test_it_is_whole_in_itself(pages):
    text = (pages / 'full.html').read_text('utf-8')
    assert len(text) < 3e6
    outline = Outline(text)
    addresses = [a[key] for _, a in outline.tags for key in ('src', 'href') if key in a]
    assert len(addresses) == 5 + 4  # Outline, tissue, purity, two densities; samples.
    assert all(address.startswith('data:image/jpeg;base64,') for address in addresses)
    assert 'url(' not in text
    alts = [attributes['alt'] for tag, attributes in outline.tags if tag == 'img']
    assert len(set(alts)) == len(addresses)
    assert all(len(alt) > 20 for alt in alts)


def test_names_are_words_and_not_markup(pages):
    outline = Outline((pages / 'full.html').read_text('utf-8'))
    assert NAME in outline.words
    assert not {'script', 'b'} & {tag for tag, _ in outline.tags}


def test_cells_of_a_sample_lie_on_its_image(slide):
    sample = slide.samples[0]
    cells = page.cells_of(slide, sample)
    assert len(cells.points) > 10
    places = np.floor(cells.points + 0.5).astype(int)
    # Nuclei are drawn darker than all else.
    assert (sample.image[places[:, 1], places[:, 0]].sum(axis=1) < 310).all()
    micrometres = (cells.points + 0.5) * sample.mpp + np.array([sample.x, sample.y]) * slide.mpp
    inside = (np.abs(slide.micrometres[:, None] - micrometres).max(axis=-1) < 1e-6).any(axis=1)
    assert inside.sum() == len(cells.points)


@pytest.mark.parametrize('width', WIDTHS)
@pytest.mark.parametrize('kind', ['full', 'empty', 'other'])
def test_it_fits_and_its_images_are_there(tab, pages, kind, width):
    path = pages / f'{kind}.html'
    tab.open(path, width)
    assert tab.requested() == [path.resolve().as_uri()]
    assert tab.evaluate('innerWidth') == width
    assert tab.evaluate('document.documentElement.scrollWidth') <= width
    images = tab.evaluate(
        '[...document.images].map(i => [i.complete && i.naturalWidth, i.naturalHeight,'
        ' i.getBoundingClientRect().width, i.getBoundingClientRect().height])'
    )
    assert images
    for natural_width, natural_height, shown_width, shown_height in images:
        assert natural_width > 0
        assert 0 < shown_width < width
        # Not distorted.
        assert shown_height / shown_width == pytest.approx(
            natural_height / natural_width, rel=0.02
        )
    size = tab.evaluate('parseFloat(getComputedStyle(document.body).fontSize)')
    assert size >= 16
    errors = [event for event in tab.events if event.get('method') == 'Log.entryAdded']
    assert not errors


def test_it_shows_the_numbers(tab, pages, slide):
    tab.open(pages / 'full.html', 1200)
    found = summary.summarise(slide)
    assert tab.evaluate('document.querySelector("h1").textContent') == NAME
    key = tab.evaluate('document.querySelector(".key .first dd").innerText')
    assert key.startswith(f'{100 * found.slide.purity:.1f}%')
    rows = tab.evaluate(
        '[...document.querySelectorAll("tbody tr")].map(r => [...r.cells].map(c => c.innerText))'
    )
    assert [row[0] for row in rows] == ['1', '2', '3']
    for row, part in zip(rows, found.parts, strict=True):
        assert row[1] == f'{100 * part.purity:.1f}%'
        assert row[2] == f'{part.cells["BC"]:,}'
    tab.open(pages / 'empty.html', 1200)
    nothing = tab.evaluate('document.querySelector(".key .first dd").innerText')
    assert nothing.split('\n') == ['unknown', 'no cells found']
    # before any number
    told = tab.evaluate('document.querySelector("header [role=alert]").innerText')
    assert told.split('\n') == ['The slide has 2 um/px <&>.', f'X{"x" * 299}.']
    tab.open(pages / 'tumor.html', 1200)
    purity = tab.evaluate('document.querySelector(".key .first dd").innerText')
    assert purity == key.replace('cells are tumor cells', 'cells are tumor cells (IDH <&>)')
    assert 'IDH <&> / (glia + IDH <&>)' in tab.evaluate('document.body.innerText')
    tab.open(pages / 'other.html', 1200)
    assert tab.evaluate('document.querySelector(".key .first")') is None
    assert 'TC+ <&>' in tab.evaluate('document.querySelector(".key").innerText')


def test_marks_stand_on_their_tissue(tab, pages, slide):
    """A region's number lies on foreground as the browser lays it out."""
    tab.open(pages / 'full.html', 1200)
    marks = tab.evaluate("""[...document.querySelectorAll('.region')].map(mark => {
        const box = mark.getBoundingClientRect();
        const img = mark.parentElement.querySelector('img').getBoundingClientRect();
        return [(box.x + box.width / 2 - img.x) / img.width,
                (box.y + box.height / 2 - img.y) / img.height];
    })""")
    assert len(marks) == 3
    for x, y in marks:
        height, width = slide.foreground.shape
        assert slide.foreground[int(y * height), int(x * width)]


def test_it_is_drawn_on_the_screen_and_on_paper(tab, pages):
    tab.open(pages / 'full.html', 390)
    picture = np.asarray(Image.open(io.BytesIO(tab.screenshot())).convert('RGB')).astype(int)
    assert picture.shape[1] == 390
    cancer = (picture[..., 1] - picture[..., 0] > 60) & (picture[..., 1] - picture[..., 2] > 20)
    assert cancer.sum() > 5000
    assert (picture == 255).all(axis=-1).mean() > 0.2
    pdf = tab.pdf()
    assert pdf.startswith(b'%PDF')
    assert 2 <= pdf.count(b'/Type /Page\n') <= 5
