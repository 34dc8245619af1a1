"""Evaluations say what they come from, and one never takes the place of another."""

import csv
import errno
import json
import logging
import os
import shutil

import jax
import numpy as np
import pytest
import tiny
from conftest import make_release
from drawn_slides import darkness
from fake_runs import make_run, small_config

from ocelot_jax.data import sources
from ocelot_jax.evaluation import evaluator, pictures, tuning
from ocelot_jax.inference import engines
from ocelot_jax.inference.engine import Maps
from ocelot_jax.io import disk
from ocelot_jax.io.errors import InputError, OutputError
from ocelot_jax.models import factory
from ocelot_jax.reporting import comparing
from ocelot_jax.reporting.collect import collect
from ocelot_jax.runs import configuration, files, provenance


def make(path, source, value=0.0, **changes):
    config = small_config(data__source=str(source), data__max_cells=16, **changes)
    empty = factory.empty_variables(factory.create_model(config))
    run = make_run(path, config, variables=jax.tree.map(lambda leaf: leaf + value, empty))
    data = {s: sources.identify(config.data, s) for s in provenance.TRAINED_ON}
    provenance.write_data(run, data)
    return run


@pytest.fixture
def source(tmp_path):
    return make_release(tmp_path / 'pairs', {'train': 1, 'val': 3, 'test': 2})


@pytest.fixture
def run(tmp_path, source, monkeypatch):
    """A run whose network finds what is dark, whatever its weights are."""
    monkeypatch.setattr(factory, 'create_model', tiny.create_model)
    monkeypatch.setattr(engines, 'of_runs', lambda runs, engine='xla': darkness)
    monkeypatch.setattr(pictures, 'write', lambda results, path, config: path.touch())
    # test_tuning.py is about the grid
    for lengths in ('SIGMAS', 'DISTANCES'):
        monkeypatch.setattr(tuning, lengths, (1.5,))
    return make(tmp_path / 'runs/a', source)


def evaluated(run):
    return sorted(path.name for path in (run / 'evaluation').iterdir())


def score(run, split='validation'):
    return files.read_scores(run / 'evaluation' / split / 'scores.json')['population']['mF1']


def test_an_evaluation_names_its_data_runs_and_settings(run, source, caplog):
    evaluator.evaluate_run([str(run)], 'val', test_time_augmentation=True)
    held = json.loads((run / 'evaluation/validation-tta/evaluation.json').read_text())
    own = provenance.load_data(run)['validation']
    assert held['data'] == {'name': 'pairs', 'split': 'validation', 'digest': own.digest}
    assert (held['runs'][0]['name'], held['runs'][0]['step']) == ('a', 1)
    settings = held['settings']
    assert (settings['engine'], settings['test_time_augmentation']) == ('xla', True)
    assert settings['detection'] == configuration.load_config(run).detection.to_dict()
    [doubt] = caplog.messages
    assert doubt.startswith('a: the cell patches have 0.2 um/px, but the run was trained at 0.5')


def test_the_network_before_training_has_a_row_of_its_own(run, monkeypatch):
    asked = []

    def create(engine, model, members, test_time_augmentation):
        asked.extend(members)
        blind = lambda batch: Maps(np.eye(3, dtype=np.float32)[0] + 0 * darkness(batch).cell, None)
        return blind

    monkeypatch.setattr(engines, 'create', create)
    report = evaluator.evaluate_run([run], 'val', untrained=True)
    rows = files.read_scores(run / 'evaluation/validation/scores.json')
    assert rows == report.table
    assert rows['untrained']['pairs'] == rows['population']['pairs'] == 3
    assert rows['untrained']['mF1'] == 0 < rows['population']['mF1']
    # weights as they are drawn, where this run's are zeros
    [drawn] = asked
    assert any(leaf.any() for leaf in jax.tree.leaves(drawn['params']))
    evaluator.evaluate_run([run], 'val')
    assert 'untrained' not in files.read_scores(run / 'evaluation/validation/scores.json')


def test_pairs_may_have_more_cells_than_the_run_was_trained_on(run, source, tmp_path):
    dense = shutil.copytree(source, tmp_path / 'dense')
    rows = [f'{x},{y},1' for x in range(5) for y in range(5)]
    (dense / 'annotations/val/cell/002.csv').write_text('\n'.join(rows))
    written = evaluator.evaluate_run([run], 'val', str(dense)).written
    with written.pairs.open() as file:
        assert max(int(row['GT/BC']) for row in csv.DictReader(file)) == 25


@pytest.mark.parametrize('weight', [0.0, 1.0])
def test_tissue_that_was_not_learned_is_not_scored(run, source, tmp_path, weight):
    workdir = make(tmp_path / f'runs/{weight}', source, tissue_loss_weight=weight)
    table = evaluator.evaluate_run([workdir], 'val').table
    assert ('mIoU' in table['population']) == bool(weight)


def test_other_data_never_take_the_place_of_the_run_s_own(run, source, tmp_path):
    evaluator.evaluate_run([run], 'val')
    own = score(run)
    other = make_release(tmp_path / 'rel 5', {'train': 1, 'val': 3, 'test': 2}, seed=5)
    evaluator.evaluate_run([run], 'val', str(other))
    evaluator.evaluate_run([run], 'test', str(other))  # the run kept nothing of its test pairs
    digests = [
        sources.identify(small_config(data__source=str(other)).data, split).digest[:8]
        for split in ('test', 'val')
    ]
    apart = [f'test-on-rel-5-{digests[0]}', f'validation-on-rel-5-{digests[1]}']
    assert evaluated(run) == sorted([*apart, 'validation'])
    assert score(run) == own != score(run, apart[1])
    [found] = collect(run.parent).runs
    assert found.validation == own
    # nor do annotations that were corrected since
    (source / 'annotations/val/cell/002.csv').write_text('1,1,1\n')
    evaluator.evaluate_run([run], 'val')
    assert len(evaluated(run)) == 4
    assert score(run) == own


def test_the_same_data_elsewhere_are_the_run_s_own(run, source, tmp_path):
    archive = shutil.make_archive(tmp_path / 'zipped', 'zip', source)
    evaluator.evaluate_run([run], 'val', archive)
    assert evaluated(run) == ['validation']


@pytest.fixture
def dealt(tmp_path):
    return make_release(tmp_path / 'dealt', {'train': 3, 'val': 2, 'test': 1})


def test_a_run_is_not_scored_on_what_another_of_them_was_trained_on(run, dealt, tmp_path):
    folds = [make(tmp_path / f'folds/{k}', dealt, data__folds=3, data__fold=k) for k in (0, 1)]
    for source in (None, str(shutil.copytree(dealt, tmp_path / 'elsewhere'))):
        with pytest.raises(InputError, match=r'folds/1: does not fit .*folds/0 .* trained on'):
            evaluator.evaluate_run(folds, 'test', source)
    # nobody learned from these
    other = make_release(tmp_path / 'other', {'train': 1, 'test': 2}, seed=7)
    evaluator.evaluate_run(folds, 'test', str(other))


def test_other_data_are_not_dealt_to_the_folds_of_a_run(run, dealt, tmp_path, caplog):
    fold = make(tmp_path / 'folds/0', dealt, data__folds=3)
    other = make_release(tmp_path / 'other', {'train': 1, 'test': 2}, seed=7)
    report = evaluator.evaluate_run([fold], 'test', str(other))
    assert report.table['population']['pairs'] == 2
    assert 'one of 3 folds' in caplog.text
    caplog.clear()
    moved = shutil.copytree(dealt, tmp_path / 'elsewhere')
    own, again = (evaluator.evaluate_run([fold], 'validation', s) for s in (None, str(moved)))
    assert own.table == again.table
    assert own.written == again.written
    assert 'one of 3 folds' not in caplog.text


def test_another_output_holds_the_evaluation_of_one_run(run, source, tmp_path):
    other = make(tmp_path / 'runs/b', source, 1.0)
    for _ in range(2):
        evaluator.evaluate_run([run], 'val', output=tmp_path / 'out')
    held = (tmp_path / 'out/validation/evaluation.json').read_bytes()
    with pytest.raises(InputError, match='out/validation: holds an evaluation of other weights'):
        evaluator.evaluate_run([other], 'val', output=tmp_path / 'out')
    assert (tmp_path / 'out/validation/evaluation.json').read_bytes() == held


def test_ensembles_keep_apart(run, source, tmp_path):
    others = [make(tmp_path / f'runs/{name}', source, 1.0 + n) for n, name in enumerate('bc')]
    for other in others:
        evaluator.evaluate_run([run, other], 'val')
    evaluator.evaluate_run([run, others[0]], 'val')
    assert len(evaluated(run)) == 2
    assert all(name.startswith('validation-ensemble-') for name in evaluated(run))


def test_scores_of_a_run_that_was_trained_again_do_not_count(run, source, tmp_path, caplog):
    other = make(tmp_path / 'runs/b', source, 1.0, seed=1)
    for each in (run, other):
        evaluator.evaluate_run([each], 'val')
    moved = run.rename(tmp_path / 'runs/renamed')
    assert len(collect(tmp_path / 'runs').runs) == 2
    comparing.compare_runs([moved], [other], 'val', resamples=10)
    shutil.rmtree(other / 'checkpoints')
    shutil.copytree(moved / 'checkpoints', other / 'checkpoints')
    found = collect(tmp_path / 'runs')
    assert [held.path for held in found.runs] == [moved]
    assert (
        'of other weights than those of the best epoch'
        in (found.left_out[other / 'evaluation/validation'])
    )
    assert 'left out: scores of step 1' in caplog.text
    with pytest.raises(InputError, match='of other weights than') as error:
        comparing.compare_runs([moved], [other], 'val', resamples=10)
    assert '\n' not in str(error.value)


def test_scores_from_before_the_data_were_corrected_do_not_count(run, source):
    evaluator.evaluate_run([run], 'val')
    (source / 'annotations/val/cell/002.csv').write_text('1,1,1\n')
    data = provenance.identify_data(configuration.load_config(run))
    provenance.write_data(run, data)  # as of a training on them, whose checkpoints are not here
    told = r'evaluation/validation: scores on pairs \(.*; the run was trained on pairs'
    with pytest.raises(InputError, match=told):
        comparing.compare_runs([run], [run], 'val', resamples=10)


def test_runs_on_other_data_of_the_same_name_are_not_compared(run, source, tmp_path):
    other = make_release(tmp_path / 'there/pairs', {'train': 1, 'val': 3, 'test': 2})
    image = other / 'images/val/cell/002.jpg'
    image.write_bytes((other / 'images/val/cell/003.jpg').read_bytes())  # the same true cells
    runs = [
        run,
        make(tmp_path / 'runs/b', source, seed=1),
        make(tmp_path / 'runs/c', other, seed=2),
    ]
    for each in runs:
        evaluator.evaluate_run([each], 'val')
    found = collect(tmp_path / 'runs')
    assert [held.path for held in found.runs] == runs[:2]
    assert 'other pairs or annotations' in found.left_out[runs[2] / 'evaluation/validation']
    with pytest.raises(InputError, match='want runs evaluated on the same data'):
        comparing.compare_runs(runs[:1], runs[2:], 'val', resamples=10)


def test_an_evaluation_without_a_record_is_taken_with_a_warning(run, caplog):
    evaluator.evaluate_run([run], 'val')
    (run / 'evaluation/validation/evaluation.json').unlink()
    with caplog.at_level(logging.WARNING):
        assert len(collect(run.parent).runs) == 1
    assert 'nothing tells the data and weights' in caplog.text


def test_scores_from_before_the_run_was_tuned_are_told(run, caplog):
    evaluator.evaluate_run([run], 'val')
    tuning.tune_run(run)
    assert len(collect(run.parent).runs) == 1
    assert 'scores at other detection settings' in caplog.text
    evaluator.evaluate_run([run], 'val')
    caplog.clear()
    collect(run.parent)
    assert not caplog.text


def test_a_run_that_cannot_be_written(run, monkeypatch):
    def refuse(dir):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(disk.tempfile, 'TemporaryFile', refuse)
    monkeypatch.setattr(engines, 'of_runs', lambda runs, engine='xla': pytest.fail('works first'))
    for work in (lambda: evaluator.evaluate_run([run], 'val'), lambda: tuning.tune_run(run)):
        with pytest.raises(OutputError, match=r'cannot be written .*; give --output'):
            work()


def test_another_output(run, tmp_path):
    tuned = tuning.tune_run(str(run), str(tmp_path / 'tuned'))
    assert not (run / 'detection.json').exists()
    assert tuned.file == tmp_path / 'tuned/detection.json'
    report = evaluator.evaluate_run([run], 'val', detection=tuned.file, output=tmp_path / 'out')
    [folder] = (tmp_path / 'out').iterdir()
    assert folder.name.startswith('validation-detection-')
    assert report.written.path == folder
    assert not (run / 'evaluation').exists()
    table = files.read_scores(folder / 'scores.json')
    assert table['population']['mF1'] == pytest.approx(tuned.score)


def test_tuned_settings_name_their_data_and_run_and_keep_their_place(run, source, tmp_path):
    tuned = tuning.tune_run(run, tmp_path / 'tuned')
    evaluator.evaluate_run([run], 'val')
    evaluation = json.loads((run / 'evaluation/validation/evaluation.json').read_text())
    held = json.loads(tuned.file.read_text())
    assert held['origin'] == {name: evaluation[name] for name in ('data', 'runs')}
    other = make(tmp_path / 'runs/b', source, 1.0)
    with pytest.raises(InputError, match=r'detection\.json: was tuned for other weights; want an'):
        tuning.tune_run(other, tmp_path / 'tuned')
    assert json.loads(tuned.file.read_text()) == held
    # once more is no other run, and what tells nothing may go
    tuning.tune_run(run, tmp_path / 'tuned')
    del held['origin']
    tuned.file.write_text(json.dumps(held))
    tuning.tune_run(other, tmp_path / 'tuned')
    assert json.loads(tuned.file.read_text())['origin']['runs'][0]['name'] == 'b'


def test_what_was_there_stays_until_its_successor_is_whole(run, monkeypatch):
    evaluator.evaluate_run([run], 'val')
    folder = run / 'evaluation/validation'
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(files, 'write_scores', fail)
    with pytest.raises(OSError, match='No space'):
        evaluator.evaluate_run([run], 'val')
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert evaluated(run) == ['validation']
