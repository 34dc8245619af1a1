"""The report's page, as a browser shows it; what needs no browser is asked of its text."""

import dataclasses
import io
import re
import shutil
from collections import Counter

import fake_reports
import numpy as np
import pytest
from conftest import make_release
from outline import Outline
from PIL import Image

from ocelot_jax.reporting import collect, gallery, parts, report, sections

FULL = {
    'cell_only': 0.5,
    'pred_input': 0.6,
    'pred_inter2': 0.75,
    'pred_output': 0.45,
    'leaking': 0.9,
    'ablation_feature_sharing_label': 0.55,
}
NAME = '<b>pairs & "co"'


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    """Runs with all their files; one run with none; and runs whose data and files are spoilt."""
    folder = tmp_path_factory.mktemp('reports')
    source = make_release(folder / NAME, {'validation': 8, 'test': 8})
    both = ('validation', 'test')
    for name, quality in FULL.items():
        for seed in range(2 if quality > 0.7 else 1):
            config = fake_reports.make_config(name, source, seed)
            fake_reports.write_run(
                folder / 'full' / name / str(seed),
                config,
                quality=quality,
                splits=both,
                tissue='pred' in name,
            )
    config = fake_reports.make_config('pred_inter2', source, variant='<i>Big', data__batch_size=9)
    fake_reports.write_run(folder / 'full/lever', config, quality=0.7, splits=both, tissue=True)
    config = fake_reports.make_config('mfovce', source)
    fake_reports.write_run(folder / 'bare' / 'run', config, records=False)
    (folder / 'bare/run/metrics.csv').unlink()
    for name in ('cell_only', 'pred_inter2'):
        config = fake_reports.make_config(name, source)
        fake_reports.write_run(folder / 'spoilt' / name, config)
    run = folder / 'spoilt/cell_only'
    (run / 'metrics.csv').write_text('epoch,mF1\n1,high\n')
    (run / 'tuning.csv').write_text('threshold,mF1\n')
    cells = run / 'evaluation/validation/cells.csv'
    cells.write_text(cells.read_text().replace(',BC,', ',XX,'))
    pairs = folder / 'spoilt/pred_inter2/evaluation/validation/pairs.csv'
    pairs.write_text(pairs.read_text().replace('001,', '777,'))
    for kind in ('full', 'bare', 'spoilt'):
        report.write_report(folder / kind)
    return folder


def page(roots, kind):
    return roots / kind / 'report' / 'index.html'


@pytest.fixture(scope='module')
def outlines(roots):
    kinds = ('full', 'bare', 'spoilt')
    return {kind: Outline(page(roots, kind).read_text('utf-8')) for kind in kinds}


def test_it_is_whole_in_itself(outlines):
    outline = outlines['full']
    sources = [attributes['src'] for _, attributes in outline.tags if 'src' in attributes]
    # patches gained and lost, of two models each, and the two best and the two worst ones
    compared = [word for word in outline.words if re.match(r'Pair \w+: \d+ mistakes', word)]
    assert compared
    kinds = Counter(re.match(r'data:(image/[\w+]+);base64,', source)[1] for source in sources)
    charts = 1 + 2 + 3 + 1 + 2 + 1 + 3 + 3
    assert kinds == {'image/jpeg': 2 * len(compared) + 4, 'image/svg+xml': charts}
    links = [attributes['href'] for tag, attributes in outline.tags if tag == 'a']
    ids = [attributes['id'] for _, attributes in outline.tags if 'id' in attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    assert not {'script', 'link'} & {tag for tag, _ in outline.tags}


def test_names_are_words_and_not_markup(outlines):
    assert NAME in outlines['full'].words
    assert '<i>Big' in outlines['full'].words
    assert 'b' not in {tag for tag, _ in outlines['full'].tags}


def test_what_is_missing_is_a_line(outlines):
    text = outlines['bare'].text
    assert 'Without metrics.csv: MFoVCE-Net.' in text
    assert 'Without tuning.csv and detection.json: MFoVCE-Net.' in text
    assert 'Without evaluation/validation/cells.csv: MFoVCE-Net.' in text
    assert 'There are not runs of both.' in text
    assert 'An order takes two models of Tables 5 and C.1' in text
    assert 'pairs.csv is not there.' in text


def test_what_is_wrong_is_a_line_with_file_and_field(outlines):
    text = outlines['spoilt'].text
    assert re.search(r"cell_only/metrics\.csv: line 2: mF1 is 'high'; want a number", text)
    assert re.search(r"cell_only/tuning\.csv: has no column 'sigma_um'", text)
    assert re.search(r"validation/cells\.csv: line \d+: class is 'XX'; want BC, TC", text)
    assert 'Pred-to-inter-2 is not compared: ' in text
    assert 'Not drawn: ' in text


def test_what_is_left_out_is_not_drawn(roots, tmp_path, monkeypatch):
    """The evaluation of one seed does not count, and of another the cells are not there."""
    drawn = []
    compute = parts.calibration.precision_recall
    monkeypatch.setattr(
        parts.calibration, 'precision_recall', lambda *of: drawn.append(of) or compute(*of)
    )
    for seed in range(3):
        config = fake_reports.make_config('cell_only', roots / NAME, seed)
        fake_reports.write_run(tmp_path / f'{seed}', config)
    held = collect.collect(tmp_path).experiments(NAME)
    [alone] = held.values()
    others = dataclasses.replace(alone.runs[1], evaluated={})
    (tmp_path / '2/evaluation/validation/cells.csv').unlink()
    mixed = dataclasses.replace(alone, runs=(alone.runs[0], others, alone.runs[2]))
    parts.describe_cells({'Cell-only': mixed}, 'validation')
    counts = alone.runs[0].pairs('validation').counts.sum(axis=0)
    assert len(drawn) == counts.shape[1]
    for label, (scores, matched, true) in enumerate(drawn):
        tp, fp, cells = counts[:, label]
        assert (len(scores), matched.sum(), true) == (tp + fp, tp, cells)


def test_data_that_are_gone_are_told(roots, tmp_path):
    shutil.copytree(roots / 'full/cell_only', tmp_path / 'cell_only')
    config = tmp_path / 'cell_only/0/config.json'
    config.write_text(config.read_text().replace(str(roots), '/nowhere'))
    text = Outline(report.write_report(tmp_path).read_text('utf-8')).text
    assert re.search(r'Not drawn: /nowhere/.*', text)


def test_patches_are_those_with_the_most_and_the_fewest_mistakes(roots):
    found = collect.collect(roots / 'full').experiments(NAME)
    first, second = (found[name].runs[0] for name in ('Cell-only', 'Pred-to-inter-2'))
    examples = gallery.compare(first, second, 'test', gallery.Sources())
    mistakes = []
    for run in (first, second):
        counts = run.pairs('test').counts.sum(axis=-1)
        mistakes.append(counts[:, 1] + counts[:, 2] - counts[:, 0])
    fewer = mistakes[0] - mistakes[1]
    ids = list(first.pairs('test').ids)
    told = [re.match(r'Pair (\w+): (\d+) mistakes (\w+)', e.title).groups() for e in examples]
    for pair_id, count, word in told:
        assert fewer[ids.index(pair_id)] == (int(count) if word == 'fewer' else -int(count))
    assert int(told[0][1]) == fewer.max()
    for example in examples:
        for picture in example.pictures:
            assert re.search(r'\d+ matched, \d+ missed, \d+ false', picture.title)


def test_data_that_runs_share_are_read_once(roots, monkeypatch):
    opened = []
    open_source = gallery.open_source
    monkeypatch.setattr(gallery, 'open_source', lambda *a: opened.append(a) or open_source(*a))
    held = collect.collect(roots / 'full').experiments(NAME)
    patches = sections._patches(held, 'test')
    assert all(part.examples for part in patches)
    assert len(patches) == 2
    assert len(opened) == 1


@pytest.mark.parametrize('width', [1200, 390])
@pytest.mark.parametrize('kind', ['full', 'bare', 'spoilt'])
def test_it_fits_and_asks_for_nothing(tab, roots, kind, width):
    path = page(roots, kind)
    tab.open(path, width)
    assert tab.requested() == [path.resolve().as_uri()]
    assert tab.evaluate('document.documentElement.scrollWidth') <= width
    assert not [event for event in tab.events if event.get('method') == 'Log.entryAdded']
    pictures = tab.evaluate(
        '[...document.images].map(i => {const box = i.getBoundingClientRect();'
        'return [i.naturalWidth, box.left, box.right, box.height]})'
    )
    assert pictures
    for natural, left, right, height in pictures:
        assert natural > 0  # the browser could read it
        assert 0 <= left < right <= width
        assert height > 40


def test_tables_hold_the_numbers(tab, roots):
    tab.open(page(roots, 'full'), 1200)
    rows = tab.evaluate("""[...document.querySelectorAll('[aria-label="Table 5"] tbody tr')].map(
        r => [...r.cells].map(c => c.innerText.trim().split('\\n')))""")
    found = collect.collect(roots / 'full')
    row = next(row for row in rows if row[0][0] == 'Pred-to-inter-2')
    score = found.estimate(NAME, 'Pred-to-inter-2', 'test')
    assert row[2][0] == f'{100 * score.mean:.2f}±{100 * score.half_width:.2f}'
    assert row[4] == ['-', '71.23±0.96']


def test_levers_stand_beside_the_runs_without(tab, roots):
    tab.open(page(roots, 'full'), 390)
    [[name, *numbers]] = tab.evaluate("""[...document.querySelectorAll(
        '[aria-label="Levers"] tbody tr:not(.chosen)')].map(
        r => [...r.cells].map(c => c.innerText.trim().split('\\n')[0]))""")
    found = collect.collect(roots / 'full')
    variant = next(group for group in found.groups if group.variant)
    assert (name, numbers[-1]) == ('<i>Big', '1')
    assert numbers[-4] == f'{100 * variant.estimate("test").mean:.2f}'
    without = found.estimate(NAME, 'Pred-to-inter-2', 'test').mean
    gain = 100 * (variant.estimate('test').mean - without)
    assert float(numbers[1].replace('−', '-')) == pytest.approx(gain, abs=1)


def brightness(tab):
    picture = Image.open(io.BytesIO(tab.screenshot())).convert('L')
    return np.median(np.asarray(picture))


def test_it_follows_the_theme_and_prints_light(tab, roots):
    for theme, wanted in (('light', 255), ('dark', 25)):
        features = [{'name': 'prefers-color-scheme', 'value': theme}]
        tab.call('Emulation.setEmulatedMedia', features=features)
        tab.open(page(roots, 'full'), 390)
        assert brightness(tab) == pytest.approx(wanted, abs=6)
    color = 'getComputedStyle(document.body).backgroundColor'
    tab.call('Emulation.setEmulatedMedia', media='print', features=features)
    assert tab.evaluate(color) == 'rgb(255, 255, 255)'
    pdf = tab.pdf()
    assert pdf.startswith(b'%PDF')
    assert 4 <= pdf.count(b'/Type /Page\n') <= 16
    tab.call('Emulation.setEmulatedMedia', media='', features=[])
