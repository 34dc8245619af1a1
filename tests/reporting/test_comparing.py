"""Runs compared on the same pairs."""

import re
import shutil

import fake_reports
import numpy as np
import pytest
from conftest import make_release

from ocelot_jax.reporting import comparing
from ocelot_jax.reporting.collect import collect


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('compared')
    source = make_release(folder / 'pairs', {'validation': 12})
    other = make_release(folder / 'others', {'train': 1, 'validation': 12}, seed=1)
    for name, of, quality, seed in (
        ('good0', source, 0.9, 0),
        ('good1', source, 0.88, 1),
        ('bad', source, 0.3, 0),
        ('other', other, 0.9, 0),
    ):
        config = fake_reports.make_config('cell_only', of, seed)
        config.optimizer.learning_rate = quality * 1e-3
        fake_reports.write_run(folder / name, config, quality=quality)
    config = fake_reports.make_config('cell_only', source, data__cell_classes=('LC', 'XX'))
    fake_reports.write_run(folder / 'classes', config)
    return folder


def test_scores_differences_and_intervals(root):
    found = comparing.compare_runs([root / 'good0'], [root / 'bad'], 'val', resamples=500)
    scores = {run.path.name: run.scores['validation']['population'] for run in collect(root).runs}
    out = found.render()
    assert '12 pairs of 12 slides of validation; 500 draws' in out
    for name in ('mF1', 'F1/BC', 'F1/TC'):
        good, bad = scores['good0'][name], scores['bad'][name]
        held = found.differences[name]
        assert held.value == pytest.approx(good - bad)
        [line] = [line for line in out.splitlines() if line.startswith(name)]
        numbers = [float(n) for n in re.findall(r'[-+]?\d\.\d+', line)]
        wanted = [good, bad, held.value, held.low, held.high]
        assert numbers[:5] == pytest.approx(wanted, abs=6e-4)
    assert found.differences['mF1'].is_clear


def test_repeats_are_pooled(root):
    """The score of averaged counts is that of all repeats' cells together."""
    repeats = [root / 'good0', root / 'good1']
    found = comparing.compare_runs(repeats, [root / 'bad'], 'validation', resamples=100)
    total = sum(
        np.array(run.pairs('validation').counts.sum(axis=0), float)
        for run in collect(root).runs
        if run.path in repeats
    )
    tp, fp, gt = total
    f1 = 2 * tp / (tp + fp + gt)
    [bad] = [r.scores['validation']['population']['mF1'] for r in collect(root).runs
             if r.path.name == 'bad']  # fmt: skip
    assert found.differences['mF1'].value == pytest.approx(f1.mean() - bad, abs=1e-6)


def test_a_run_beside_itself(root):
    found = comparing.compare_runs([root / 'bad'], [root / 'bad'], 'val', resamples=50)
    held = found.differences['mF1']
    assert (held.value, held.p) == (0, 1)


@pytest.mark.parametrize(
    ('other', 'told'),
    [
        ('other', r'other/evaluation/validation/pairs\.csv: has no pair 001, which .*good0/'),
        ('classes', r'classes: finds LC, XX, but .*good0 finds BC, TC; want runs of one data'),
        ('nowhere', r'nowhere/config\.json: not there'),
        ('bare', r'bare/evaluation/validation/pairs\.csv: not there; evaluate the run first'),
    ],
)
def test_runs_that_cannot_be_compared(root, other, told):
    shutil.copytree(root / 'bad', root / 'bare', dirs_exist_ok=True)
    shutil.rmtree(root / 'bare' / 'evaluation')
    with pytest.raises((ValueError, FileNotFoundError), match=told) as error:
        comparing.compare_runs([root / 'good0'], [root / other], 'val')
    assert '\n' not in str(error.value)
