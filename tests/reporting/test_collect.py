"""Directories of runs to repeats and experiments."""

import csv
import json
import shutil
from pathlib import Path

import fake_reports
import numpy as np
import pytest
from conftest import make_release

from ocelot_jax.data.sources import Identity
from ocelot_jax.reporting.collect import collect
from ocelot_jax.runs import configuration, provenance


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    pairs = {'train': 4, 'validation': 3, 'test': 3}
    return make_release(tmp_path_factory.mktemp('data') / 'pairs', pairs)


@pytest.fixture
def add(tmp_path, source):
    """Writes a run of a configuration below the directory."""

    def write(where, name='cell_only', seed=0, quality=0.7, splits=('validation',), **changes):
        config = fake_reports.make_config(name, source, seed, **changes)
        path = tmp_path / where
        return fake_reports.write_run(path, config, quality=quality, splits=splits, records=False)

    return write


def set_score(path, value, split='validation'):
    file = path / 'evaluation' / split / 'scores.json'
    table = json.loads(file.read_text())
    table['population']['mF1'] = value
    file.write_text(json.dumps(table))


def test_repeats_are_those_that_differ_in_the_seed_alone(tmp_path, add):
    for seed in (2, 0, 1):
        set_score(add(f'a/deep/seed{seed}', seed=seed), 0.5 + 0.1 * seed)
    add('b', optimizer__learning_rate=1e-4)
    add('c', 'pred_inter2')
    found = collect(tmp_path)
    assert sorted(len(group.runs) for group in found.groups) == [1, 1, 3]
    assert sorted(found.experiments('pairs')) == ['Cell-only', 'Pred-to-inter-2']
    repeats = found.chosen['pairs', 'Cell-only']
    assert [run.config.seed for run in repeats.runs] == [0, 1, 2]
    assert repeats.validation == pytest.approx(0.6)
    assert found.estimate('pairs', 'Cell-only', 'validation').mean == pytest.approx(0.6)
    assert found.estimate('pairs', 'Cell-only', 'test') is None
    assert found.estimate('pairs', 'Pred-to-input', 'validation') is None
    assert not found.left_out


def test_runs_of_other_training_pairs_are_no_repeats(tmp_path, add):
    for seed, trained in enumerate(('one', 'one', 'corrected', None)):
        path = add(f'seed{seed}', seed=seed)
        data = {'train': Identity('pairs', 'train', trained)} if trained else {}
        provenance.write_data(path, data)
    found = collect(tmp_path)
    assert [run.config.seed for run in found.runs] == [0, 1, 3]
    [(path, why)] = found.left_out.items()
    assert path == tmp_path / 'seed2'
    assert why == f'trained on other pairs or annotations than {tmp_path / "seed0"}'


def test_repeats_come_before_a_single_better_run(tmp_path, add):
    for seed in (0, 1):
        set_score(add(f'repeated/{seed}', seed=seed, optimizer__learning_rate=1e-4), 0.6)
    set_score(add('sweep/best', optimizer__learning_rate=1e-3), 0.9)
    assert len(collect(tmp_path).chosen['pairs', 'Cell-only'].runs) == 2


def test_of_equally_many_the_best_on_validation_is_chosen_whatever_the_test_says(tmp_path, add):
    both = ('validation', 'test')
    for rate, on_validation, on_test in ((1e-4, 0.6, 0.9), (2e-4, 0.7, 0.1), (3e-4, 0.65, 0.5)):
        path = add(f'{rate}', splits=both, optimizer__learning_rate=rate)
        set_score(path, on_validation)
        set_score(path, on_test, 'test')
    found = collect(tmp_path)
    assert found.estimate('pairs', 'Cell-only', 'test').mean == 0.1


def test_data_count_as_the_same_wherever_they_lie(tmp_path, add, source):
    add('here', seed=0)
    moved = add('there', seed=1)
    config = json.loads((moved / 'config.json').read_text())
    config['data']['source'] = '/elsewhere/pairs'
    (moved / 'config.json').write_text(json.dumps(config))
    assert [len(group.runs) for group in collect(tmp_path).groups] == [2]


def test_what_does_not_count_is_told(tmp_path, add):
    first = add('a')
    again = add('b')
    other = add('c', seed=1, data__cell_classes=('X', 'Y'))
    shutil.rmtree(add('d', seed=2) / 'evaluation')
    found = collect(tmp_path)
    assert len(found.runs) == 1
    assert found.left_out == {
        again: f'the same settings and seed as {first}',
        other: f'other cell classes than {first}',
        tmp_path / 'd': 'no evaluation',
    }


def test_ensembles_and_other_engines_are_no_evaluations(tmp_path, add):
    path = add('a')
    (path / 'evaluation/validation').rename(path / 'evaluation/validation-tta')
    with pytest.raises(FileNotFoundError, match=r'no run with evaluation/validation .*1 without'):
        collect(tmp_path)


def test_links_are_followed_once(tmp_path, add):
    path = add('real/run')
    (tmp_path / 'view').mkdir()
    (tmp_path / 'view/run').symlink_to(path)
    (tmp_path / 'view/back').symlink_to(tmp_path / 'view')
    assert [run.path for run in collect(tmp_path / 'view').runs] == [tmp_path / 'view/run']
    assert len(collect(path).runs) == 1


def test_validation_is_the_best_epoch_where_only_test_was_evaluated(tmp_path, add):
    path = add('a', splits=('test',))
    text = 'epoch,step,mF1,mIoU\n1,8,0.3,0.6\n2,16,0.5,0.4\n3,24,0.4,0.7\n'
    (path / 'metrics.csv').write_text(text)
    found = collect(tmp_path)
    assert found.estimate('pairs', 'Cell-only', 'validation').mean == 0.5
    assert found.estimate('pairs', 'Cell-only', 'validation', 'population', 'mIoU').mean == 0.4
    (path / 'metrics.csv').unlink()
    assert np.isnan(collect(tmp_path).runs[0].validation)


def test_validation_at_settings_from_before_tuning_does_not_count(tmp_path, add):
    path = add('a', splits=('test',))
    tuned = {'sigma_um': 0.5, 'min_distance_um': 2.0, 'threshold': 0.7}
    configuration.write_detection(path / 'detection.json', tuned)
    found = collect(tmp_path)
    assert np.isnan(found.runs[0].validation)
    assert 'other detection settings' in found.left_out[path / 'metrics.csv']


def test_scores_within_another_distance_are_of_other_data(tmp_path, add):
    add('a')
    add('b', seed=1, match_distance_um=9.0)
    assert collect(tmp_path).data_sets == ['pairs', 'pairs, matched within 9 um']


def test_folders_that_may_not_be_read_are_left_out(tmp_path, add, monkeypatch, caplog):
    add('a')
    (tmp_path / 'lost+found').mkdir()
    iterate = Path.iterdir

    def iterdir(path):
        if path.name == 'lost+found':
            raise PermissionError(path)
        return iterate(path)

    monkeypatch.setattr(Path, 'iterdir', iterdir)
    assert len(collect(tmp_path).runs) == 1
    assert 'lost+found: may not be read' in caplog.text


@pytest.fixture
def folded(tmp_path, source):
    """Two seeds of three folds."""
    for seed in (0, 1):
        for fold in range(3):
            config = fake_reports.make_config(
                'pred_inter2', source, seed, data__folds=3, data__fold=fold
            )
            path = tmp_path / f'folds/{seed}/{fold}'
            both = ('validation', 'test')
            fake_reports.write_run(path, config, quality=0.7, splits=both, tissue=True)
    return tmp_path / 'folds'


def pooled_by_hand(paths):
    """mF1 of the cells of several runs together, and their numbers of pairs."""
    totals, pairs = {'BC': np.zeros(3), 'TC': np.zeros(3)}, []
    for path in paths:
        with (path / 'evaluation/test/pairs.csv').open() as file:
            rows = list(csv.DictReader(file))
        pairs.append(len(rows))
        for row in rows:
            for name, total in totals.items():
                total += [int(row[f'{kind}/{name}']) for kind in ('TP', 'FP', 'GT')]
    f1 = [2 * tp / (fp + tp + gt) for tp, fp, gt in totals.values()]
    return np.mean(f1), pairs


def test_all_folds_of_a_seed_are_one_evaluation_of_the_whole_set(folded, add):
    set_score(add('plain', 'pred_inter2', splits=('test',)), 0.5, 'test')
    found = collect(folded.parent)
    # beside the data set's own test split
    name = 'pairs, 3-fold cross-validation'
    assert found.data_sets == ['pairs', name]
    assert found.estimate('pairs', 'Pred-to-inter-2', 'test').mean == 0.5
    settings = found.chosen[name, 'Pred-to-inter-2']
    assert (len(settings.runs), settings.seeds, settings.gaps) == (6, [0, 1], [])
    wanted, numbers = zip(
        *(pooled_by_hand(sorted((folded / str(seed)).iterdir())) for seed in (0, 1)), strict=True
    )
    estimate = settings.estimate('test')
    assert (estimate.mean, estimate.count) == (pytest.approx(np.mean(wanted)), 2)
    # the tissue's scores by their pairs
    [first, _] = [
        [json.loads((folded / f'{seed}/{fold}/evaluation/test/scores.json').read_text())
         for fold in range(3)] for seed in (0, 1)
    ]  # fmt: skip
    tissue = np.average([table['population']['mIoU'] for table in first], weights=numbers[0])
    held = settings.scores['test'][0]
    assert held['population']['mIoU'] == pytest.approx(tissue)
    assert held['population']['pairs'] == 7
    assert sum(row['pairs'] for organ, row in held.items() if organ != 'population') == 7


def test_a_seed_without_all_folds_is_not_in_the_scores(folded):
    shutil.rmtree(folded / '1/2')
    shutil.rmtree(folded / '1/0')
    [settings] = collect(folded).groups
    assert settings.gaps == ['seed 1 has no run of fold 0, 2']
    assert settings.estimate('test').count == 1
    (folded / '0/1/evaluation/test/pairs.csv').unlink()
    found = collect(folded)
    assert found.groups[0].estimate('test') is None
    told = 'no pairs.csv, whose counts are put together over folds'
    assert found.left_out == {folded / '0/1/evaluation/test': told}


def test_a_variant_does_not_stand_for_its_experiment(tmp_path, add):
    set_score(add('plain'), 0.5)
    for seed in (0, 1):
        set_score(add(f'x/{seed}', seed=seed, variant='No blur', augment__blur_sigma=0.0), 0.9)
    found = collect(tmp_path)
    assert found.estimate('pairs', 'Cell-only', 'validation').mean == 0.5
    assert sorted(group.variant for group in found.groups) == ['', 'No blur']


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('{', r'config\.json: is no JSON'),
        ('{}', r'config\.json: is no configuration of ours'),
        ('{"seed": 0, "data": {"source": "x"}}', r'config\.json: is no configuration of ours'),
    ],
)
def test_configurations_of_others(tmp_path, add, text, told):
    (add('a') / 'config.json').write_text(text)
    with pytest.raises(ValueError, match=told):
        collect(tmp_path)


def test_an_unknown_context(tmp_path, add):
    path = add('a')
    text = (path / 'config.json').read_text()
    (path / 'config.json').write_text(text.replace('"none"', '"sound"'))
    with pytest.raises(ValueError, match=r"a/config\.json: config\.model\.context is 'sound'"):
        collect(tmp_path)
