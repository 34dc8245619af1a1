"""Wrong commands and wrong data end with one line, before anything is written."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from ocelot_jax.evaluation import evaluator
from ocelot_jax.inference import loop


def run(*arguments, module='main'):
    done = subprocess.run(
        [sys.executable, '-m', f'ocelot_jax.{module}', *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith('error:')]
    return done.returncode, lines


def test_unknown_field_on_the_command_line(tmp_path):
    code, [line] = run(
        '--config=configs/cell_only.py',
        '--config.optimizer.lr=3',
        f'--workdir={tmp_path / "run"}',
    )
    assert code == 1
    assert line == ('error: --config.optimizer.lr=3: there is no such field in the configuration')
    assert not (tmp_path / 'run').exists()


def test_unknown_field_in_a_file(tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(
        'from ocelot_jax.configs import default\n'
        'def get_config():\n'
        '    config = default.get_config()\n'
        '    config.optimizer.rate = 1.0\n'
        '    return config\n'
    )
    code, [line] = run(f'--config={file}', f'--workdir={tmp_path / "run"}')
    assert code == 1
    assert "'rate'" in line or '"rate"' in line


def test_missing_file_of_a_configuration():
    assert run('--config=configs/nope.py') == (
        1,
        ['error: --config: configs/nope.py is not there; want a file of configs/'],
    )


@pytest.mark.parametrize(
    ('override', 'message'),
    [
        (
            'model.seam=head',
            "config.model.seam: 'head'; want one of input, encoder, aspp, decoder",
        ),
        ('data.batch_size=7', 'config.data.batch_size: 7 is more than the 2 pairs'),
    ],
)
def test_bad_values_leave_nothing_behind(release_folder, tmp_path, override, message):
    workdir = tmp_path / 'run'
    code, [line] = run(
        '--config=configs/cell_only.py',
        f'--config.data.source={release_folder}',
        '--config.data.batch_size=2',
        f'--config.{override}',
        f'--workdir={workdir}',
    )
    assert code == 1
    assert message in line
    assert not workdir.exists()


def test_bad_data_is_named_before_training(release_folder, tmp_path):
    bad = next((release_folder / 'images/train/tissue').iterdir())
    bad.write_bytes(bad.read_bytes()[:200])
    workdir = tmp_path / 'run'
    code, [line] = run(
        '--config=configs/cell_only.py',
        f'--config.data.source={release_folder}',
        f'--workdir={workdir}',
    )
    assert code == 1
    assert str(bad.relative_to(release_folder)) in line
    assert not workdir.exists()


def test_evaluating_no_run(tmp_path):
    code, [line] = run(f'--workdir={tmp_path}', module='evaluate')
    assert code == 1
    assert f'{tmp_path}/config.json: not there' in line


def test_table_pools_counts_over_the_pairs_of_each_row():
    """Organ rows are scores of pooled counts, not means of scores."""
    config = evaluator.ml_collections.ConfigDict(
        {'data': {'cell_classes': ('BC', 'TC'), 'tissue_classes': ('BG', 'CA')}}
    )
    # true positives, false positives, true cells; by class
    counts = np.array(
        [[[8, 0], [2, 0], [10, 5]], [[0, 3], [0, 3], [0, 4]], [[1, 1], [1, 1], [2, 2]]]
    )
    confusion = np.array([[[6, 2], [1, 1]], [[0, 0], [0, 0]], [[4, 0], [0, 6]]])
    table = evaluator.tabulate(
        loop.Evaluation(counts, confusion), np.array(['kidney', 'bladder', 'kidney']), config
    )
    assert list(table) == ['population', 'bladder', 'kidney']
    assert [row['pairs'] for row in table.values()] == [3, 1, 2]
    precision, recall = 9 / 12, 9 / 12
    assert table['kidney']['F1/BC'] == pytest.approx(2 * precision * recall / (precision + recall))
    assert table['bladder']['F1/TC'] == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert table['kidney']['IoU/CA'] == pytest.approx(7 / 10)
    assert 'mIoU' not in table['bladder']
    rendered = evaluator.render(table).splitlines()
    assert len({len(line) for line in rendered}) == 1
    assert rendered[0].split()[:2] == ['pairs', 'mF1']
    assert rendered[2].split()[0] == 'bladder'
