"""The notebooks run from top to bottom, and show what they say they show."""

import ast
import base64
import configparser
import csv
import importlib.util
import io
import itertools
import json
import os
import re
import runpy
import site
import subprocess
import sys
from pathlib import Path

import drawn_slides
import fake_reports
import narrow
import nbformat
import numpy as np
import pytest
import qupath_exports
from conftest import ROOT, make_release
from matplotlib.colors import to_rgb
from PIL import Image
from skimage import feature, filters

from ocelot_jax.slides.slide import Slide
from ocelot_jax.sweeping import search
from ocelot_jax.sweeping.search import Sweep
from ocelot_jax.viz import palette

FOLDER = ROOT / 'notebooks'
QUICKSTART, QUPATH, TABLES = 'quickstart', 'from_qupath', 'reproduce_tables'
PICTURES = {QUICKSTART: 4, QUPATH: 2, TABLES: 1}
MODELS = {'cell_only': 'Cell-only', 'leaking': 'Tissue-label leaking'}
SEEDS = (0, 1)
COMPARED = ('leaking', 'cell_only')
KINDS = ('TP', 'FP', 'GT')
# one layer a branch, for they compile within seconds
QUICK = 'import narrow, tiny; tiny.get_config()'
MOST_LINES, MOST_BYTES = 25, 1_000_000
OF_A_MACHINE = re.compile(r'/(tmp|home|work|root|Users|usr|opt)/|site-packages|https?://(?!arxiv)')


def read(name):
    return nbformat.read(FOLDER / f'{name}.ipynb', as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == 'code']


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def printed(notebook):
    """What the cells print."""
    return ''.join(output.text for output in outputs(notebook) if output.output_type == 'stream')


def shown(notebook, kind):
    """What the cells show of a MIME type."""
    data = [output.get('data', {}) for output in outputs(notebook)]
    return [held[kind] for held in data if kind in held]


def pictures(notebook):
    encoded = map(base64.b64decode, shown(notebook, 'image/png'))
    return [np.asarray(Image.open(io.BytesIO(data)).convert('RGB')) for data in encoded]


def parameters(notebook):
    [cell] = [cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', ())]
    return cell


def row_of(markdown, label):
    """A table's cells behind a label, without what marks the best."""
    [line] = [line for line in markdown.splitlines() if line.startswith(f'| {label} |')]
    return [re.sub(r'\*\*|</?u>', '', cell).strip() for cell in line.split('|')[2:-1]]


def mean_score(runs, split):
    scores = [json.loads((run / f'evaluation/{split}/scores.json').read_text()) for run in runs]
    return 100 * np.mean([score['population']['mF1'] for score in scores])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Where the pairs lie, and the runs come to lie."""
    path = tmp_path_factory.mktemp('notebooks')
    make_release(path / 'pairs', {'train': 3, 'val': 1, 'test': 3}, size=32)
    return path


def run(name, folder, first=QUICK, **values):
    """Runs a notebook from its folder, as Jupyter does, with other values of its parameters."""
    notebook = read(name)
    cell = parameters(notebook)
    values = {
        'SOURCE': str(folder / 'pairs'),
        'ENCODER': narrow.ENCODER,
        'NUM_EPOCHS': 1,
        'BATCH_SIZE': 2,
    } | values
    assert {node.targets[0].id for node in ast.parse(cell.source).body} == set(values)
    lines = [f'{name} = {value!r}' for name, value in values.items()]
    cell.source = '\n'.join([first, *lines])
    env = os.environ | {
        'IPYTHONDIR': str(folder / 'ipython'),
        'PYTHONPATH': str(ROOT / 'tests'),
    }
    runpy.run_path(str(FOLDER / 'run.py'))['execute'](notebook, FOLDER, env)
    return notebook


@pytest.fixture(scope='module')
def quickstart(folder):
    workdir = str(folder / 'runs/quickstart')
    return run(QUICKSTART, folder, LOOK_AT=2, WORKDIR=workdir)


@pytest.fixture(scope='module')
def reproduce_tables(folder):
    """The sweep finds all but one of its runs done, because a training takes long."""
    workdir = folder / 'runs/tables'
    values = {'data.source': str(folder / 'pairs'), 'data.batch_size': 2}
    values |= {'num_epochs': 1, 'model.encoder_name': narrow.ENCODER}
    for model in MODELS:
        config = f'{ROOT}/configs/demo.py:{model}'
        [first] = search.search_points(config, Sweep((config,), {}), values)
        for point in list(search.repeat_points(first, len(SEEDS)))[model == 'cell_only' :]:
            path, splits = workdir / point.name, ('validation', 'test')
            fake_reports.write_run(path, point.config, splits=splits)
    return run(
        TABLES,
        folder,
        MODELS=tuple(MODELS),
        REPEATS=len(SEEDS),
        COMPARED=COMPARED,
        WORKDIR=str(workdir),
    )


@pytest.fixture(scope='module')
def from_qupath(folder):
    """On a real slide where there is one, else on drawn ones."""
    values = {'NUM_SLIDES': 3, 'SLIDE_SIZE': 256, 'PATCHES': '32,0.5,32,2'}
    real = ROOT.parent / 'shared/data/slides/cmu-1-small-region.svs'
    if real.exists():
        annotate(real, folder / 'slides')
    return run(
        QUPATH,
        folder,
        SOURCE=str(folder / 'slides'),
        WORKDIR=str(folder / 'runs/qupath'),
        CELL_CLASSES='Other=BC,Tumor=TC',
        TISSUE_CLASSES='Stroma=BG,Tumor=CA',
        **values,
    )


def annotate(slide, folder):
    """Annotates pieces of a slide: dark places are cells, those on the left are of a tumor."""
    folder.mkdir()
    side, rim = 192, 16
    with Slide(slide) as opened:
        for number in range(3):
            image = opened.read(300 + 500 * number, 900, side, side, opened.mpp)
            name = f'slide-{number + 1}'
            drawn_slides.write_pyramid(folder / f'{name}.tif', image, opened.mpp)
            dark = -filters.gaussian(image.mean(-1), 3)
            cells = feature.peak_local_max(dark, min_distance=8, exclude_border=rim)[:, ::-1] + 0.5
            features = [
                qupath_exports.rectangle(rim, rim, side - 2 * rim, side - 2 * rim),
                qupath_exports.rectangle(0, 0, side / 2, side, 'Tumor'),
                qupath_exports.rectangle(side / 2, 0, side / 2, side, 'Stroma'),
            ]
            for place in cells:
                kind = 'Tumor' if place[0] < side / 2 else 'Other'
                features.append(qupath_exports.point_detection(place, kind))
            qupath_exports.write(folder / f'{name}.geojson', features)


@pytest.mark.parametrize('name', [QUICKSTART, QUPATH, TABLES])
def test_pictures_are_shown(name, request):
    drawn = pictures(request.getfixturevalue(name))
    assert len(drawn) == PICTURES[name]
    for picture in drawn:
        assert min(picture.shape[:2]) > 200
        # more than axes around nothing
        assert np.ptp(picture.astype(int), axis=-1).max() > 60


def test_marks_keep_their_colors(quickstart):
    for notebook in (quickstart, read(QUICKSTART)):
        pair, _, _, judged = pictures(notebook)
        for picture, label in itertools.product((pair, judged), (1, 2)):
            wanted = np.multiply(to_rgb(palette.cell_color(label)), 255)
            assert np.abs(picture - wanted).max(axis=-1).min() < 40


def test_the_score_shown_is_the_runs_own(quickstart, folder):
    file = folder / 'runs/quickstart/evaluation/test/scores.json'
    wanted = json.loads(file.read_text())['population']
    lines = printed(quickstart).splitlines()
    [header] = [line for line in lines if line.split()[:2] == ['pairs', 'mF1']]
    [row] = [line for line in lines if line.startswith('population ')]
    found = dict(zip(header.split(), map(float, row.split()[1:]), strict=True))
    assert found == pytest.approx(wanted, abs=5e-4)
    assert 0 < found['mIoU'] < 1


def test_the_cells_shown_are_those_of_the_evaluation(quickstart, folder):
    file = folder / 'runs/quickstart/evaluation/test/predictions.json'
    points = json.loads(file.read_text())['points']
    wanted = sum(point['name'] == 'image_2' for point in points)
    assert f'{wanted} cells found, 6 are there' in printed(quickstart)


def test_a_correction_keeps_the_cells_that_were_found(from_qupath, folder):
    text = printed(from_qupath)
    [(count, kept)] = re.findall(r'(\d+) cells in pairs, (\d+) of them with the ids', text)
    assert int(count) == int(kept) > 0
    [off] = re.findall(r'places differ by (\S+) px at most', text)
    assert float(off) <= 0.005
    [name] = (folder / 'runs/qupath/found').iterdir()
    numbers = json.loads((name / 'summary.json').read_text())
    assert f'tumor purity {numbers["tumor_purity"]}, of {sum(numbers["cells"].values())}' in text


def test_the_table_holds_the_models_asked_for(reproduce_tables, folder):
    [table] = shown(reproduce_tables, 'text/markdown')
    for model, label in MODELS.items():
        runs = [folder / f'runs/tables/demo_{model}/seed{seed}' for seed in SEEDS]
        for column, split in enumerate(('validation', 'test')):
            mean, interval = map(float, row_of(table, label)[column].split('±'))
            assert mean == pytest.approx(mean_score(runs, split), abs=5e-3)
            assert interval >= 0
    assert row_of(table, 'Pred-to-inter-2')[:2] == ['-', '-']
    assert (folder / 'runs/tables/report/index.html').exists()


def pooled_score(runs, split):
    """Mean F1 of all cells of all runs."""
    rows = []
    for run in runs:
        with (run / f'evaluation/{split}/pairs.csv').open(newline='') as file:
            rows += csv.DictReader(file)
    scores = []
    for name in ('BC', 'TC'):
        total = {kind: sum(int(row[f'{kind}/{name}']) for row in rows) for kind in KINDS}
        scores.append(2 * total['TP'] / sum(total.values()))
    return np.mean(scores)


def test_the_comparison_has_its_interval(reproduce_tables, folder):
    [told] = re.findall(
        r'leaking less cell_only: mF1 (\S+) \((\S+) to (\S+)\)', printed(reproduce_tables)
    )
    value, low, high = map(float, told)
    first, second = ([folder / f'runs/tables/demo_{m}/seed{s}' for s in SEEDS] for m in COMPARED)
    assert value == pytest.approx(
        pooled_score(first, 'test') - pooled_score(second, 'test'), abs=5e-4
    )
    assert low <= value <= high
    assert low < high


@pytest.mark.parametrize('name', [QUICKSTART, QUPATH, TABLES])
def test_committed_outputs_are_of_one_run_and_of_no_machine(name):
    notebook = read(name)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {(output.output_type, output.get('name')) for output in outputs(notebook)}
    assert kinds <= {('stream', 'stdout'), ('display_data', None), ('execute_result', None)}
    texts = [printed(notebook), *shown(notebook, 'text/plain'), *shown(notebook, 'text/markdown')]
    assert not OF_A_MACHINE.search('\n'.join(texts))
    assert len(pictures(notebook)) == PICTURES[name]
    assert (FOLDER / f'{name}.ipynb').stat().st_size < MOST_BYTES


@pytest.mark.parametrize('name', [QUICKSTART, QUPATH, TABLES])
def test_cells_are_short_and_parameters_stand_before_them(name):
    cells = code_cells(read(name))
    assert all(len(cell.source.splitlines()) <= MOST_LINES for cell in cells)
    assert cells[1] == parameters(read(name))


@pytest.mark.parametrize('name', [QUICKSTART, QUPATH, TABLES])
@pytest.mark.parametrize('missing', [['ocelot_jax'], ['ocelot_jax', 'tensorflow']])
def test_where_the_package_is_missing_it_is_added(name, missing, monkeypatch, tmp_path):
    """And nothing is replaced: `test_packaging.py` holds Colab's versions against `setup.cfg`."""
    install = code_cells(read(name))[0].source
    assert "REPOSITORY = ''" in install
    commands, found = [], importlib.util.find_spec('ocelot_jax')

    def run(command, **options):
        commands.append(command)
        (tmp_path / 'ocelot').mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, 0, stdout=b'jax==0.7.2\n')

    def find(name):
        return None if name in missing and len(commands) < 3 else found

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, 'run', run)
    monkeypatch.setattr(site, 'addsitedir', lambda folder: None)
    monkeypatch.setattr(importlib.util, 'find_spec', find)
    with pytest.raises(SystemExit, match='set REPOSITORY to its address'):
        exec(install, {})
    assert not commands
    exec(install.replace("REPOSITORY = ''", "REPOSITORY = 'https://example.org/it'"), {})
    clone, held, pip = commands
    assert clone == ['git', 'clone', '--depth=1', 'https://example.org/it', 'ocelot']
    assert held == [sys.executable, '-m', 'pip', 'list', '--format=freeze']
    assert pip[:6] == [*held[:3], 'install', '--quiet', '-c']
    assert (tmp_path / pip[6]).read_text() == 'jax==0.7.2\n'
    extras = configparser.ConfigParser()
    extras.read(ROOT / 'setup.cfg')
    [[asked]] = [re.findall(r'^\./ocelot\[(.*)\]$', text) for text in pip if '[' in text]
    assert set(asked.split(',')) <= set(extras['options.extras_require'])
    assert ('tensorflow-cpu' in pip) == ('tensorflow' in missing)
    assert Path.cwd() == ROOT
