"""Tables of runs made by hand, read back from each of their forms."""

import csv
import io
import json
import re

import fake_reports
import numpy as np
import pytest
from scipy import stats

from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting import paper_scores, table_files, tables
from ocelot_jax.reporting.collect import collect
from ocelot_jax.runs import configuration

# by configuration the validation and test mF1 of each seed
OCELOT = {
    'cell_only': [(0.60, 0.50), (0.62, 0.54), (0.64, 0.52)],
    'pred_input': [(0.70, 0.66)],
    'pred_inter2': [(0.71, 0.65), (0.73, 0.69)],
    'leaking': [(0.90, 0.80)],
    'ablation_feature_sharing_label': [(0.61, 0.51)],
    'unet': [(0.55, 0.45)],
}
OWN = {'cell_only': [(0.40, None)], 'pred_inter2': [(0.45, None), (0.47, None)]}
OTHER_NAME = 'my_pairs & 100%'


def write_run(path, name, source, seed, by_split):
    """A run's configuration and scores alone."""
    config = fake_reports.make_config(name, source, seed)
    for split, value in by_split.items():
        folder = path / 'evaluation' / split
        folder.mkdir(parents=True)
        rows = {'population': {'pairs': 4, 'mF1': value, 'mIoU': value / 2}}
        rows |= {'kidney': {'pairs': 3, 'mF1': value + 0.01}}
        rows |= {'head-and-neck': {'pairs': 1, 'mF1': value - 0.01}}
        (folder / 'scores.json').write_text(json.dumps(rows))
    configuration.write_config(path, config)


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp('runs')
    for source, held in {'ocelot': OCELOT, f'/data/{OTHER_NAME}.zip': OWN}.items():
        for name, repeats in held.items():
            for seed, values in enumerate(repeats):
                by_split = dict(zip(('validation', 'test'), values, strict=True))
                by_split = {split: value for split, value in by_split.items() if value}
                path = root / source.strip('/').replace('/', '-') / name / str(seed)
                write_run(path, name, source, seed, by_split)
    return collect(root)


@pytest.fixture(scope='module')
def filled(found):
    return {table.name: table for table in tables.make_tables(found)}


def expected(values):
    """A mean and its interval by SciPy, as the paper prints them."""
    values = 100 * np.array(values)
    if len(values) == 1:
        return f'{values[0]:.2f}'
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f'{values.mean():.2f}±{half:.2f}'


def read_markdown(table):
    """Rows of texts, without marks."""
    lines = [line for line in table_files.to_markdown(table).splitlines() if line[:1] == '|']
    plain = lambda text: re.sub(r'\*|</?u>', '', text).strip().replace(r'\|', '|')
    rows = [[plain(cell) for cell in line[1:-1].split(' | ')] for line in lines]
    assert len({len(row) for row in rows}) == 1
    return rows


def test_table_5_holds_means_and_intervals(filled):
    head, _, *body = read_markdown(filled['5'])
    assert head[:5] == [
        'Method',
        'OCELOT Val',
        'OCELOT Test',
        *(f'{OTHER_NAME} {s}' for s in ('Val', 'Test')),
    ]
    rows = {row[0]: row[1:5] for row in body if row[0] != 'paper'}
    cell_only = [expected(values) for values in zip(*OCELOT['cell_only'], strict=True)]
    assert rows['Cell-only'] == [*cell_only, '40.00', '-']
    assert rows['Pred-to-input'] == ['70.00', '66.00', '-', '-']
    assert rows['Pred-to-inter-2'][2] == expected([0.45, 0.47])
    assert rows['Feature-sharing'] == ['-', '-', '-', '-']


def test_below_each_row_stands_the_papers(filled):
    _, _, *body = read_markdown(filled['5'])
    names = [row[0] for row in body]
    row = body[names.index('Pred-to-inter-2') + 1]
    assert row == ['paper', '72.68±1.58', '71.23±0.96', '', '',
                   '65.43±1.14', '54.75±2.25', '79.87±0.78', '73.14±1.53']  # fmt: skip


def test_the_best_two_are_marked_and_leaking_is_not(filled):
    by_name = {row.labels[0]: row.cells for row in filled['5'].rows}
    ranks = {name: [cell.rank for cell in cells[:3]] for name, cells in by_name.items()}
    assert ranks['Pred-to-inter-2'] == [1, 1, 1]
    assert ranks['Pred-to-input'] == [2, 2, 0]
    assert ranks['Cell-only'] == [0, 0, 2]
    assert ranks['Tissue-label leaking'] == [0, 0, 0]
    # as the paper has them
    paper = {name: [cell.paper_rank for cell in cells[:2]] for name, cells in by_name.items()}
    assert paper['Pred-to-input'] == [1, 0]
    assert paper['Pred-to-inter-1'] == [2, 2]
    assert paper['Pred-to-inter-2'] == [0, 1]
    text = table_files.to_markdown(filled['5'])
    assert '**71.23±0.96**' in text
    assert '<u>70.54±2.20</u>' in text


def test_table_6_has_organs_of_the_test_split(filled):
    table = filled['6']
    head, _, *body = read_markdown(table)
    assert head[1:4] == ['OCELOT Test population', 'OCELOT Test kidney', 'OCELOT Test endometrium']
    assert head[7] == 'OCELOT Test head-neck'
    # a data set without a test split tells of validation
    assert head[8:] == [
        f'{OTHER_NAME} Val {name}' for name in ('population', 'head-neck', 'kidney')
    ]
    row = next(row for row in body if row[0] == 'Pred-to-input')
    assert row[1:4] == ['66.00', '67.00', '-']
    assert row[7] == '65.00'
    assert 'Pairs of OCELOT Test: population 4, kidney 3, head-and-neck 1.' in table.notes


def test_tables_7_c1_and_d1_are_of_their_experiments(filled):
    head, _, *body = read_markdown(filled['7'])
    assert head[2:6] == ['OCELOT Pred-to-inter-2 Val', 'OCELOT Pred-to-inter-2 Test',
                         'OCELOT Feature-sharing Val', 'OCELOT Feature-sharing Test']  # fmt: skip
    rows = {tuple(row[:2]): row[2:6] for row in body if row[0] != 'paper'}
    assert rows['✓', '-'] == ['-', '-', '61.00', '51.00']
    assert rows['✓', '✓'][2:] == ['-', '-']
    assert rows['-', '-'][:2] == rows['-', '-'][2:]
    _, _, *body = read_markdown(filled['C.1'])
    rows = {tuple(row[:2]): row[2:4] for row in body if row[0] != 'paper'}
    assert rows['Cell-only', 'U-Net'] == ['55.00', '45.00']
    assert rows['Cell-only†', 'MFoVCE-Net'] == ['-', '-']
    _, _, *body = read_markdown(filled['D.1'])
    rows = {tuple(row[:2]): row[2:6] for row in body if row[0] != 'paper'}
    assert rows['✓', '-'] == ['61.00', '51.00', '30.50', '25.50']
    assert rows['-', '-'][2:] == ['N/A', 'N/A']


def test_csv_holds_every_number_and_the_papers(filled):
    table = filled['5']
    rows = list(csv.DictReader(io.StringIO(table_files.to_csv(table))))
    assert len(rows) == len(table.rows) * len(table.heads)
    found = {(r['experiment'], r['data'], r['split']): r for r in rows}
    row = found['Cell-only', 'OCELOT', 'test']
    assert float(row['mean']) == pytest.approx(52)
    half = stats.t.ppf(0.975, 2) * stats.sem([50, 54, 52])
    assert float(row['half_width']) == pytest.approx(half, abs=1e-4)
    assert row['repeats'] == '3'
    assert (row['paper_mean'], row['paper_half_width']) == ('64.4400', '1.8200')
    row = found['Pred-to-input', OTHER_NAME, 'test']
    assert [row[n] for n in ('mean', 'half_width', 'repeats', 'paper_mean')] == [''] * 4
    assert found['Pred-to-input', 'OCELOT', 'validation']['half_width'] == ''


@pytest.mark.parametrize('name', ['5', '6', '7', 'C.1', 'D.1'])
def test_latex_is_well_formed(filled, name):
    text = table_files.to_latex(filled[name])
    table = filled[name]
    columns = re.search(r'\\begin\{tabular\}\{([lc]+)\}', text)[1]
    assert len(columns) == len(table.label_heads) + len(table.heads)
    for line in (line for line in text.splitlines() if line.endswith(r'\\')):
        spans = [int(n) for n in re.findall(r'\\multicolumn\{(\d+)\}', line)]
        unescaped = re.sub(r'\\&', '', line)
        assert unescaped.count('&') + 1 + sum(spans) - len(spans) == len(columns)
    bare = re.sub(r'\\[\\&%$#_{}]', '', text.split('\n', 1)[1])
    assert bare.count('{') == bare.count('}')
    assert not re.search(r'[%#~^†✓±]', bare)
    assert text.count(r'\begin{') == text.count(r'\end{') == 2
    rules = re.findall(r'\\cmidrule\(lr\)\{(\d+)-(\d+)\}', text)
    assert all(int(a) <= int(b) <= len(columns) for a, b in rules)


def test_latex_prints_names_as_they_are():
    assert table_files.escape('a_b & 50% of #1 {x} $y') == r'a\_b \& 50\% of \#1 \{x\} \$y'
    assert table_files.escape('~^\\') == (r'\textasciitilde{}\textasciicircum{}\textbackslash{}')


def test_latex_names_the_data_set(filled):
    assert r'my\_pairs \& 100\%' in table_files.to_latex(filled['5'])


def test_what_the_paper_lacks_is_a_row_of_its_own(tmp_path):
    config = fake_reports.make_config('leaking', 'ocelot')
    config.model.seam = 'aspp'
    configuration.write_config(tmp_path, config)
    (tmp_path / 'evaluation/test').mkdir(parents=True)
    table = {'population': {'pairs': 1, 'mF1': 0.5}}
    (tmp_path / 'evaluation/test/scores.json').write_text(json.dumps(table))
    last = tables.make_tables(collect(tmp_path))[0].rows[-1]
    assert last.labels == ('Tissue-label leaking at aspp',)
    assert last.cells[1].ours == Estimate(0.5, None, 1)
    assert last.cells[1].paper is None


def test_files_are_written_by_name(filled, tmp_path):
    paths = [path for table in filled.values() for path in table_files.write(table, tmp_path)]
    stems = ('table_5', 'table_6', 'table_7', 'table_c1', 'table_d1')
    assert {path.name for path in paths} == {s + e for s in stems for e in ('.md', '.csv', '.tex')}
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_repeats_are_told(filled):
    assert filled['5'].notes[0] == (
        'Repeats, one for each seed: OCELOT 1 (but Cell-only 3; Pred-to-inter-2 2), '
        f'{OTHER_NAME} 1 (but Pred-to-inter-2 2).'
    )


def test_repeats_are_told_by_split_where_these_differ(tmp_path):
    for seed, splits in enumerate((('validation', 'test'), ('validation',))):
        config = fake_reports.make_config('cell_only', 'ocelot', seed)
        run = tmp_path / str(seed)
        run.mkdir()
        configuration.write_config(run, config)
        for split in splits:
            (run / 'evaluation' / split).mkdir(parents=True)
            table = {'population': {'pairs': 1, 'mF1': 0.5}}
            (run / 'evaluation' / split / 'scores.json').write_text(json.dumps(table))
    [table, *_] = tables.make_tables(collect(tmp_path))
    assert table.notes[0] == 'Repeats, one for each seed: OCELOT, validation 2, OCELOT, test 1.'


def test_every_number_of_the_paper_stands_in_a_table(filled):
    shown = {
        c.key for table in filled.values() for row in table.rows for c in row.cells if c.paper
    }
    assert shown == set(paper_scores.SCORES)
