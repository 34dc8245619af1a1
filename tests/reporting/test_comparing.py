"""Runs compared on the same pairs."""

import dataclasses
import itertools
import json
import re
import shutil
from pathlib import Path

import fake_reports
import numpy as np
import pytest
from conftest import make_release

from ocelot_jax.io.errors import InputError
from ocelot_jax.reporting import comparing, paired
from ocelot_jax.reporting.collect import collect
from ocelot_jax.runs.files import PairRecords, read_pairs

CLASSES = ('BC', 'TC')


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
        config.optimizer.learning_rate = 1e-3 if quality > 0.5 else 1e-4
        fake_reports.write_run(folder / name, config, quality=quality)
    config = fake_reports.make_config('cell_only', source, data__cell_classes=('LC', 'XX'))
    fake_reports.write_run(folder / 'classes', config)
    return folder


def test_scores_differences_and_intervals(root):
    found = comparing.compare_runs([root / 'good0'], [root / 'bad'], 'val', resamples=500)
    scores = {run.path.name: run.scores['validation']['population'] for run in collect(root).runs}
    out = found.render()
    assert '12 pairs of 12 slides of validation; 500 draws' in out
    assert 'One seed alone: A; B. The intervals tell nothing of its other seeds.' in out
    for name in ('mF1', 'F1/BC', 'F1/TC'):
        good, bad = scores['good0'][name], scores['bad'][name]
        held = found.differences[name]
        assert held.value == pytest.approx(good - bad)
        [line] = [line for line in out.splitlines() if line.startswith(name)]
        numbers = [float(n) for n in re.findall(r'[-+]?\d\.\d+', line)]
        wanted = [good, bad, held.value, held.low, held.high]
        assert numbers[:5] == pytest.approx(wanted, abs=6e-4)
    assert found.differences['mF1'].is_clear


def test_a_copy_is_no_repeat(root, tmp_path):
    copy = shutil.copytree(root / 'good0', tmp_path / 'copy')
    with pytest.raises(InputError, match=r'copy: has the seed 0, as .*good0 has; want repeats'):
        comparing.compare_runs([root / 'good0', copy], [root / 'bad'], 'val')


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


@pytest.fixture(scope='module')
def folded(tmp_path_factory):
    """Runs of three folds and two seeds of a better and a worse configuration; one is missing."""
    folder = tmp_path_factory.mktemp('folded')
    source = make_release(folder / 'pairs', {'train': 7, 'validation': 5})
    for name, quality in {'cell_only': 0.5, 'pred_inter2': 0.7}.items():
        for fold, seed in itertools.product(range(3), range(2)):
            if (name, fold) != ('cell_only', 1):
                config = fake_reports.make_config(
                    name, source, seed, data__folds=3, data__fold=fold
                )
                path = folder / name / f'{fold}-{seed}'
                fake_reports.write_run(path, config, quality=quality, splits=('test',))
    return folder


def test_folds_are_compared_together_where_both_sides_have_them(folded):
    good, bad = (sorted((folded / name).iterdir()) for name in ('pred_inter2', 'cell_only'))
    found = comparing.compare_runs(good, bad, 'test', resamples=200)
    assert 'A: ' in found.compared
    assert 'in 2 of 3 folds; 200 draws of slides, of pairs in them and of seeds' in found.compared
    assert 'B has no runs of fold 1: compared on the others.' in found.compared
    assert 'seed alone' not in found.compared
    # the runs of fold 1 do not count
    totals = [0, 0]
    for side, runs in enumerate((good, bad)):
        for run in (run for run in runs if not run.name.startswith('1-')):
            totals[side] += read_pairs(run / 'evaluation/test/pairs.csv', CLASSES).counts.sum(0)
    f1 = [2 * tp / (tp + fp + gt) for tp, fp, gt in totals]
    assert found.scores[:, 0] == pytest.approx([each.mean() for each in f1])
    with pytest.raises(InputError, match=r'is of other folds than .*want the same fold'):
        comparing.compare_runs(good[2:4], bad, 'test')


def test_runs_of_other_numbers_of_folds_are_not_compared(folded, tmp_path):
    run = tmp_path / 'run'
    shutil.copytree(folded / 'cell_only/0-0', run)
    text = (run / 'config.json').read_text()
    (run / 'config.json').write_text(text.replace('"folds": 3', '"folds": 0'))
    told = 'run: is of 0 folds, but .*0-0 is of 3 folds; want the same of all'
    with pytest.raises(InputError, match=told):
        comparing.compare_runs([folded / 'cell_only/0-0'], [run], 'test')


@pytest.mark.parametrize(
    ('field', 'value', 'told'),
    [
        ('match_distance_um', 9.0, 'run: is scored within 9 um, but .*0-0 is scored within 3 um'),
        ('loss', 'focal', "run: is no repeat of .*0-1: config.loss is 'focal' there and 'dice'"),
    ],
)
def test_runs_that_are_no_repeats_are_not_compared(folded, tmp_path, field, value, told):
    first, second = folded / 'cell_only/0-0', folded / 'cell_only/0-1'
    run = shutil.copytree(folded / 'cell_only/2-0', tmp_path / 'run')
    config = json.loads((run / 'config.json').read_text())
    config[field] = value
    (run / 'config.json').write_text(json.dumps(config))
    with pytest.raises(InputError, match=told):
        comparing.compare_runs([first], [second, run], 'test')


def test_a_run_beside_itself(root):
    found = comparing.compare_runs([root / 'bad'], [root / 'bad'], 'val', resamples=50)
    held = found.differences['mF1']
    assert (held.value, held.p) == (0, 1)


@pytest.mark.parametrize(
    ('other', 'told'),
    [
        ('other', r'other/evaluation/validation/pairs\.csv: has no pair 001, which .*good0/'),
        ('classes', r'classes: finds LC, XX, but .*good0 finds BC, TC; want the same of all'),
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


def make_pairs(ids='abcd', seed=0):
    rng = np.random.default_rng(seed)
    names = np.array(list(ids))
    counts = rng.integers(0, 9, (len(names), 3, 2))
    counts[:, 2] = [[ord(name), 2] for name in names]  # a pair's own
    slides = np.array([f'slide {name in "ab"}' for name in names])
    return PairRecords(names, slides, slides, counts)


def test_counts_are_put_in_the_order_of_the_first():
    first, second = make_pairs('cabd'), make_pairs('dbca', seed=1)
    counts, slides = paired.same_pairs([(Path('a'), first), (Path('b'), second)])
    assert (counts[0] == first.counts).all()
    assert slides.tolist() == first.slides.tolist()
    for place, name in enumerate('cabd'):
        assert (counts[1, place] == second.counts['dbca'.index(name)]).all()


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda p: make_pairs('abce'), 'b: has no pair d, which a has; want runs of one data set'),
        (lambda p: make_pairs('abc'), 'b: has no pair d, which a has'),
        (lambda p: make_pairs('abcde'), 'a: has no pair e, which b has'),
        (
            lambda p: dataclasses.replace(p, slides=p.slides[::-1]),
            'b: pair a has another slide or other true cells than in a',
        ),
        (
            lambda p: dataclasses.replace(p, counts=p.counts + 1),
            'b: pair a has another slide or other true cells than in a',
        ),
        (
            lambda p: dataclasses.replace(p, counts=p.counts[..., :1]),
            'b: has 1 cell classes, a has 2',
        ),
    ],
)
def test_other_pairs_are_told(change, told):
    first = make_pairs()
    with pytest.raises(ValueError) as error:
        paired.same_pairs([(Path('a'), first), (Path('b'), change(first))])
    assert str(error.value).startswith(told)
