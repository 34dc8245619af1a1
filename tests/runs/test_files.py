"""What runs leave, read; and what is wrong told by file and field."""

import csv

import fake_reports
import numpy as np
import pytest
from conftest import make_release

from ocelot_jax.runs import files
from ocelot_jax.runs.directory import EvaluationDirectory

CLASSES = ('BC', 'TC')


@pytest.fixture(scope='module')
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    source = make_release(folder / 'pairs', {'validation': 5})
    config = fake_reports.make_config('pred_inter2', source)
    return fake_reports.write_run(folder / 'run', config, tissue=True) / 'evaluation/validation'


def change(path, folder, row, column, value):
    """A copy with one field changed; row 0 is the header, None all of the file."""
    rows = list(csv.reader(path.read_text().splitlines()))
    rows[row][rows[0].index(column)] = value
    copy = folder / path.name
    with copy.open('w', newline='') as file:
        csv.writer(file).writerows(rows)
    return copy


def test_pairs_and_cells_agree(evaluation):
    """The counts of a pair are those of its cells."""
    pairs = files.read_pairs(evaluation / 'pairs.csv', CLASSES)
    cells = files.read_cells(evaluation / 'cells.csv', CLASSES)
    assert len(pairs.ids) == 5
    for pair_id, counts in zip(pairs.ids, pairs.counts, strict=True):
        here = cells.pair_ids == pair_id
        for label in (1, 2):
            found = here & (cells.found == label)
            assert counts[0, label - 1] == (found & cells.matched).sum()
            assert counts[1, label - 1] == (found & ~cells.matched).sum()
            assert counts[2, label - 1] == (here & (cells.true == label)).sum()
    assert np.isfinite(cells.points).all()
    assert (cells.scores[cells.found > 0] <= 1).all()


def test_classes_are_those_of_the_configuration(evaluation, tmp_path):
    """Columns go by name, in whatever order they stand."""
    usual = files.read_pairs(evaluation / 'pairs.csv', CLASSES)
    swapped = files.read_pairs(evaluation / 'pairs.csv', CLASSES[::-1])
    assert (usual.counts == swapped.counts[..., ::-1]).all()
    assert usual.counts[:, 2].sum() > 0


@pytest.mark.parametrize(
    ('name', 'row', 'column', 'value', 'told'),
    [
        ('pairs.csv', 2, 'FP/TC', '-1', "line 3: FP/TC is '-1'; want a whole number from 0 on"),
        ('pairs.csv', 2, 'GT/BC', '1.5', "line 3: GT/BC is '1.5'"),
        ('pairs.csv', 0, 'TP/TC', 'TP/XX', "has no column 'TP/TC'; found pair_id,slide"),
        ('pairs.csv', 2, 'pair_id', '003', 'pair_id 003 is there twice'),
        ('cells.csv', 1, 'score', '1.2', "line 2: score is '1.2'; want a number in 0..1"),
        ('cells.csv', 1, 'score', '', 'line 2 has one of class and score; want both or neither'),
        ('cells.csv', 1, 'class', 'XX', "line 2: class is 'XX'; want BC, TC or nothing"),
        ('cells.csv', 3, 'matched', '2', "line 4: matched is '2'; want 0 or 1"),
        ('cells.csv', 1, 'true', '0', "line 2: true is '0'; want BC, TC or nothing"),
        ('cells.csv', 1, 'x', 'left', "line 2: x is 'left'; want a number"),
    ],
)
def test_bad_fields_are_told_in_one_line(evaluation, tmp_path, name, row, column, value, told):
    path = change(evaluation / name, tmp_path, row, column, value)
    read = {'pairs.csv': files.read_pairs, 'cells.csv': files.read_cells}[name]
    with pytest.raises(ValueError) as error:
        read(path, CLASSES)
    assert str(error.value).startswith(f'{path}: ')
    assert told in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('text', 'told'), [('', 'is no CSV with a header'), ('epoch,mF1\n1\n', 'line 2 has 1 fields')]
)
def test_files_that_are_cut_off(tmp_path, text, told):
    path = tmp_path / 'metrics.csv'
    path.write_text(text)
    with pytest.raises(ValueError, match=told):
        files.read_metrics(path)


def test_tissue_is_of_the_pairs(evaluation, tmp_path):
    tissue = files.read_tissue(evaluation / 'tissue.npz', 5)
    assert tissue.shape == (5, 64, 64)
    with pytest.raises(ValueError, match=r'tissue.npz: tissue is uint8 \[5, 64, 64\]; want uint8'):
        files.read_tissue(evaluation / 'tissue.npz', 4)
    np.savez(tmp_path / 'tissue.npz', other=tissue)
    with pytest.raises(ValueError, match='holds no array `tissue`'):
        files.read_tissue(tmp_path / 'tissue.npz', 5)


@pytest.mark.parametrize('text', ['{}', '[]', '{"population": {"mF1": null}}', '{'])
def test_scores_without_a_score(tmp_path, text):
    path = tmp_path / 'scores.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'scores\.json: .*evaluate the run again'):
        files.read_scores(path)


def test_tables_are_written_as_they_were_read(evaluation, tmp_path):
    """Byte by byte, whatever the classes' names."""
    written = EvaluationDirectory(tmp_path)
    files.write_pairs(written.pairs, files.read_pairs(evaluation / 'pairs.csv', CLASSES), CLASSES)
    files.write_cells(written.cells, files.read_cells(evaluation / 'cells.csv', CLASSES), CLASSES)
    files.write_scores(written, files.read_scores(evaluation / 'scores.json'))
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (evaluation / path.name).read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_an_epoch_replaces_those_that_came_after_it(tmp_path):
    path = tmp_path / 'metrics.csv'
    for epoch, score in ((1, 0.1), (2, 0.2), (3, 0.3), (2, 1 / 3)):
        files.write_epoch(path, epoch, 10 * epoch, {'mF1': score})
    assert path.read_text() == 'epoch,step,mF1\n1,10,0.1\n2,20,0.333333\n'
