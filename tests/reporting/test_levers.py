"""Levers: the runs of variants beside those of none."""

import csv
import io
import re

import fake_reports
import numpy as np
import pytest
from conftest import make_release

from ocelot_jax.metrics import bootstrap
from ocelot_jax.reporting import lever_files, levers, paired
from ocelot_jax.reporting.collect import collect
from ocelot_jax.reporting.paired import Scored
from ocelot_jax.runs.files import read_pairs

# how good the runs of each are, and what they change
HELD = {
    '': (0.4, {}),
    'Gaussian target': (0.8, {'target__profile': 'gaussian'}),
    'Batches of 4': (0.41, {'data__batch_size': 4}),
}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Two seeds of three folds; of the small batches there is one run."""
    folder = tmp_path_factory.mktemp('levers')
    source = make_release(folder / 'pairs', {'train': 8, 'validation': 7})
    for name, (quality, changes) in HELD.items():
        for fold, seed in [(f, s) for f in range(3) for s in (0, 1)]:
            if name == 'Batches of 4' and (fold, seed) != (1, 0):
                continue
            config = fake_reports.make_config(
                'pred_inter2', source, seed, variant=name, data__folds=3, data__fold=fold,
                **changes,
            )  # fmt: skip
            path = folder / 'runs' / (name or 'without') / f'fold{fold}/seed{seed}'
            fake_reports.write_run(path, config, quality=quality, splits=('test',))
    # it is no base: it differs in more
    config = fake_reports.make_config('cell_only', source, data__folds=3)
    fake_reports.write_run(folder / 'runs/cell_only', config, splits=('test',))
    return folder / 'runs'


@pytest.fixture(scope='module')
def held(root):
    [found] = levers.find_levers(collect(root))
    return found


def pooled(folder):
    """mF1 of all cells of the runs below a folder."""
    files = folder.glob('**/test/pairs.csv')
    tp, fp, gt = sum(read_pairs(file, ('BC', 'TC')).counts.sum(axis=0) for file in files)
    return np.mean(2 * tp / (tp + fp + gt))


def test_gains_are_those_of_all_cells_on_the_folds_that_both_have(root, held):
    assert (held.title, held.split) == ('pairs, 3-fold cross-validation', 'test')
    by_name = {lever.name: lever for lever in held.levers}
    assert list(by_name) == ['Gaussian target', 'Batches of 4']
    good, few = by_name.values()
    gain = pooled(root / 'Gaussian target') - pooled(root / 'without')
    assert good.compared.differences[0].value == pytest.approx(gain)
    assert (good.verdict, good.changes) == ('gains', {'target.profile': 'gaussian'})
    assert (good.runs, good.seeds, good.compared.pairs) == (6, 2, 15)
    gain = pooled(root / 'Batches of 4') - pooled(root / 'without/fold1')
    assert few.compared.differences[0].value == pytest.approx(gain)
    assert (few.compared.folds, few.score) == ((1,), None)
    assert held.notes == [
        'Batches of 4 has no runs of fold 0, 2: compared on the others.',
        'One seed alone: Batches of 4. The intervals tell nothing of its other seeds.',
    ]
    assert 0 < good.calibration < 0.5
    # of six epochs, each slower than the one before
    assert good.seconds == pytest.approx(0.25 * 3.5)


def test_the_resolution_is_the_base_against_itself_with_other_seeds(held):
    found = held.base.compared.differences[0]
    assert (found.value, found.low < 0 < found.high) == (0, True)
    assert held.resolution == pytest.approx((found.high - found.low) / 2)


def test_a_model_beside_itself_varies_by_its_seeds_alone():
    counts = np.random.default_rng(0).integers(20, 60, (3, 40, 3, 2))
    slides = np.arange(40).astype(str)
    [found] = paired.compare([{0: Scored(slides, counts)}], [(0, 0)], resamples=4000)
    scores = [bootstrap.scores(seed.sum(axis=0))[0] for seed in counts]
    # the difference of two means of three seeds, and what patches add to that
    spread = 1.96 * np.sqrt(2 * np.var(scores, ddof=1) / 3)
    width = (found.differences[0].high - found.differences[0].low) / 2
    assert 0.7 * spread < width < 2 * spread
    [alone] = paired.compare([{0: Scored(slides, counts[:1])}], [(0, 0)], resamples=50)
    assert (alone.differences[0].low, alone.differences[0].high) == (0, 0)


def test_levers_are_written_as_csv_and_markdown(held):
    rows = list(csv.DictReader(io.StringIO(lever_files.to_csv([held]))))
    assert [(row['lever'], row['score']) for row in rows[:4]] == [
        *[('', name) for name in ('mF1', 'F1/BC', 'F1/TC')],
        ('Gaussian target', 'mF1'),
    ]
    assert float(rows[0]['resolution']) == pytest.approx(100 * held.resolution, abs=1e-4)
    row = rows[3]
    gain = float(row['with']) - float(row['without'])
    assert float(row['difference']) == pytest.approx(gain, abs=2e-4)
    assert (row['changes'], row['verdict']) == ('target.profile=gaussian', 'gains')
    text = lever_files.to_markdown([held, held])
    assert text.count('- Gaussian target: target.profile=gaussian\n') == 1
    lines = [line for line in text.splitlines() if line.startswith('|')]
    assert len({len(re.findall(r'(?<!\\)\|', line)) for line in lines}) == 1
    line, _ = (line for line in lines if line.startswith('| Gaussian target'))
    found = held.levers[0].compared.differences[0]
    assert f'| {100 * found.value:+.1f} | {100 * found.low:+.1f} to ' in line
    assert f'±{100 * held.resolution:.1f} percentage points with 2 seeds on either side' in text


def test_a_change_of_another_model_is_noted(tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2})
    for name, variant in (('cell_only', ''), ('pred_inter2', 'Gaussian target')):
        config = fake_reports.make_config(name, source, variant=variant)
        fake_reports.write_run(tmp_path / 'runs' / name, config)
    [held] = levers.find_levers(collect(tmp_path / 'runs'))
    assert held.experiment == 'Cell-only'
    assert held.notes[-1].startswith('Gaussian target is of Pred-to-inter-2: there are no runs')


def test_files_of_levers_go_with_the_levers(held, tmp_path):
    written = lever_files.write([held], tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert lever_files.write([], tmp_path) == []
    assert not list(tmp_path.iterdir())


def test_without_records_nothing_is_compared(tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2})
    for name, changes in {'': {}, 'Few epochs': {'num_epochs': 2}}.items():
        config = fake_reports.make_config('cell_only', source, variant=name, **changes)
        fake_reports.write_run(tmp_path / (name or 'without'), config, records=not name)
    (tmp_path / 'Few epochs/metrics.csv').unlink()
    [held] = levers.find_levers(collect(tmp_path))
    [lever] = held.levers
    assert lever.verdict == 'not compared'
    assert (lever.calibration, lever.seconds, held.resolution) == (None, None, None)
    assert held.notes[0].startswith('Few epochs is not compared: ')
    assert '| not compared |' in lever_files.to_markdown([held])
