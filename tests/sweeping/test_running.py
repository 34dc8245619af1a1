"""Sweeps run: in which order, and what a failed or interrupted run leaves."""

from types import SimpleNamespace

import pytest
from distributed import LocalCluster

from ocelot_jax.cluster.pool import Workers
from ocelot_jax.data import sources
from ocelot_jax.data.sources import Identity
from ocelot_jax.evaluation import evaluator, tuning
from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import configuration, files, provenance
from ocelot_jax.runs.directory import RunDirectory
from ocelot_jax.sweeping import running
from ocelot_jax.sweeping.search import Sweep
from ocelot_jax.training import loop
from ocelot_jax.training.loop import NonFiniteLossError

AXES = {'optimizer.learning_rate': (1e-4, 1e-3), 'model.cell_dropout': (0.1, 0.5)}
CELL_ONLY, UNET = 'configs/cell_only.py', 'configs/crc.py:unet'


@pytest.fixture
def trained(monkeypatch):
    """Trains nothing: lists what would be; scores are high with much dropout and a low rate."""
    done = []

    def train_and_evaluate(config, workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        goes_on = (workdir / 'score').exists()
        if goes_on:
            provenance.check_run(workdir, config, provenance.identify_data(config))
        configuration.write_config(workdir, config)
        provenance.write_data(workdir, provenance.identify_data(config))
        if config.optimizer.learning_rate > 1:
            raise NonFiniteLossError('step 3: loss nan')
        done.append(workdir)
        score = config.model.cell_dropout - 10 * config.optimizer.learning_rate
        (workdir / 'score').write_text(str(score))
        files.write_epoch(RunDirectory(workdir).metrics, config.num_epochs, 1, {'mF1': score})

    def evaluate_run(workdirs, split):
        [workdir] = workdirs
        written = RunDirectory(workdir).evaluation(split)
        written.path.mkdir(parents=True, exist_ok=True)
        score = float((workdir / 'score').read_text())
        files.write_scores(written, {'population': {'mF1': score}})
        return SimpleNamespace(render=lambda: f'{split} {score:.2f}')

    def tune_run(workdir):
        (workdir / 'tuned').touch()
        return SimpleNamespace(render=lambda: 'tuned')

    identify = lambda data, split: Identity(data.source, split, data.source)
    monkeypatch.setattr(provenance, 'identify', identify)
    monkeypatch.setattr(loop, 'train_and_evaluate', train_and_evaluate)
    monkeypatch.setattr(tuning, 'tune_run', tune_run)
    monkeypatch.setattr(evaluator, 'evaluate_run', evaluate_run)
    monkeypatch.setattr(sources, 'splits', lambda data: ('train', 'validation', 'test'))
    return done


def names(done, workdir):
    return [str(path.relative_to(workdir)) for path in done]


def test_every_combination_then_the_best_again(trained, tmp_path):
    running.run_sweep(Sweep((CELL_ONLY,), AXES, repeats=3), tmp_path)
    folders = [
        f'cell_only/optimizer.learning_rate={rate}/model.cell_dropout={dropout}'
        for rate in (0.0001, 0.001)
        for dropout in (0.1, 0.5)
    ]
    wanted = [f'{folder}/seed0' for folder in folders]
    wanted += [f'{folders[1]}/seed{seed}' for seed in (1, 2)]
    assert names(trained, tmp_path) == wanted
    assert (tmp_path / wanted[-1] / 'evaluation/test/scores.json').exists()
    assert (tmp_path / wanted[-1] / 'tuned').exists()


def test_detection_is_tuned_where_that_is_wanted(trained, tmp_path, capsys):
    lines = []
    running.run_sweep(
        Sweep((CELL_ONLY,), {}, tune_detection=False), tmp_path, {}, (0, 1), lines.append
    )
    assert not (trained[0] / 'tuned').exists()
    assert lines == ['test 0.09', 'validation 0.09']
    assert capsys.readouterr().out == '1 of 1: cell_only/seed0\n'


def test_a_cluster_s_workers_share_the_runs(trained, tmp_path):
    options = {'processes': False, 'protocol': 'tcp://', 'dashboard_address': '127.0.0.1:0'}
    lines, start_worker = [], lambda workdir: (workdir / 'started').touch()
    with LocalCluster(n_workers=2, threads_per_worker=1, host='127.0.0.1', **options) as cluster:
        workers = Workers(scheduler=cluster.scheduler_address)
        some = Sweep((CELL_ONLY,), AXES, repeats=2)
        running.run_sweep(some, tmp_path, {}, (0, 1), lines.append, workers, start_worker)
    assert len(trained) == len(set(trained)) == 5
    # the best of all of them again, whoever trained it
    best = 'cell_only/optimizer.learning_rate=0.0001/model.cell_dropout=0.5'
    assert names(trained, tmp_path)[-1] == f'{best}/seed1'
    assert 'workers' in lines[0]
    assert (tmp_path / 'started').exists()
    assert sum('validation 0.50' in line for line in lines) == 2


def test_each_configuration_by_itself(trained, tmp_path):
    running.run_sweep(Sweep((CELL_ONLY, UNET), {}, 2), tmp_path, {'num_epochs': 7, 'seed': 4})
    assert names(trained, tmp_path) == [
        *('cell_only/seed4', 'crc_unet/seed4'),
        *('cell_only/seed5', 'crc_unet/seed5'),
    ]


def test_what_is_done_is_left_alone(trained, tmp_path):
    some = Sweep((CELL_ONLY,), AXES, 2)
    running.run_sweep(some, tmp_path)
    before = list(trained)
    running.run_sweep(some, tmp_path)
    assert trained == before


@pytest.mark.parametrize('fault', ['half trained', 'earlier weights'])
def test_what_was_evaluated_too_early_is_not_done(trained, tmp_path, monkeypatch, fault):
    some = Sweep((CELL_ONLY,), {}, 1)
    running.run_sweep(some, tmp_path)
    run = RunDirectory(trained[0])
    if fault == 'half trained':
        run.metrics.unlink()
        files.write_epoch(run.metrics, 1, 1, {'mF1': 0.5})
    else:
        monkeypatch.setattr(provenance, 'doubt', lambda run, evaluation: 'of other weights')
    running.run_sweep(some, tmp_path)
    assert trained == [run.path] * 2


def test_runs_of_other_data_or_settings_are_not_done(trained, tmp_path, monkeypatch):
    some = Sweep((CELL_ONLY,), {'optimizer.learning_rate': (2.0, 1e-3)})
    with pytest.raises(InputError, match=r'1 runs failed: .*=2\.0'):
        running.run_sweep(some, tmp_path)
    lines = []
    with pytest.raises(InputError, match=r'2 runs failed: .*=2\.0/seed0, .*=0\.001/seed0; '):
        running.run_sweep(some, tmp_path, {'num_epochs': 7}, report=lines.append)
    assert 'holds a run of another configuration: config.num_epochs' in ' '.join(lines)
    corrected = lambda data, split: Identity(data.source, split, 'corrected')
    monkeypatch.setattr(provenance, 'identify', corrected)
    with pytest.raises(InputError, match=r'2 runs failed: .*=2\.0/seed0, .*=0\.001/seed0; '):
        running.run_sweep(some, tmp_path, report=lines.append)
    assert 'holds a run of other data: train is' in ' '.join(lines)


def test_a_run_that_diverged_with_other_settings_is_tried_again(trained, tmp_path):
    some = Sweep((CELL_ONLY,), {})
    with pytest.raises(InputError):
        running.run_sweep(some, tmp_path, {'optimizer.learning_rate': 2.0})
    running.run_sweep(some, tmp_path, {'optimizer.learning_rate': 1e-3})
    assert names(trained, tmp_path) == ['cell_only/seed0']
    assert not list(tmp_path.rglob('failure.txt'))


def test_shards_share_all_and_the_last_of_them_repeats(trained, tmp_path):
    some, lines = Sweep((CELL_ONLY,), AXES, 3), []
    running.run_sweep(some, tmp_path, shard=(0, 2), report=lines.append)
    assert len(trained) == 2
    assert lines[-1] == f'{CELL_ONLY}: 2 of 4 combinations are done, so none is chosen'
    running.run_sweep(some, tmp_path, shard=(1, 2))
    running.run_sweep(some, tmp_path, shard=(0, 2))
    assert len(trained) == len(set(trained)) == 6


def test_a_run_that_diverges_does_not_stop_the_others(trained, tmp_path):
    some = Sweep((CELL_ONLY,), {'optimizer.learning_rate': (2.0, 1e-3)}, 2)
    with pytest.raises(ValueError, match=r'1 runs failed: .*learning_rate=2\.0/seed0'):
        running.run_sweep(some, tmp_path)
    assert [path.name for path in trained] == ['seed0', 'seed1']
    failed = tmp_path / 'cell_only/optimizer.learning_rate=2.0/seed0/failure.txt'
    assert failed.read_text() == 'step 3: loss nan\n'


def test_a_run_that_breaks_is_tried_again(trained, tmp_path, monkeypatch, caplog):
    some, train, lines = Sweep((UNET, CELL_ONLY), {}, 2), loop.train_and_evaluate, []

    def broken(config, workdir):
        if 'crc_unet' in str(workdir):
            raise ValueError('a\nbug')
        train(config, workdir)

    with monkeypatch.context() as patch:
        patch.setattr(loop, 'train_and_evaluate', broken)
        with pytest.raises(InputError, match='1 runs failed: crc_unet/seed0; the same command'):
            running.run_sweep(some, tmp_path, report=lines.append)
    assert names(trained, tmp_path) == ['cell_only/seed0', 'cell_only/seed1']
    assert lines[0] == 'crc_unet/seed0: ValueError: a bug'
    assert f'{UNET}: 0 of 1 combinations are done, so none is chosen' in lines
    assert 'in broken' in caplog.text
    running.run_sweep(some, tmp_path)
    assert names(trained, tmp_path)[2:] == ['crc_unet/seed0', 'crc_unet/seed1']


def test_where_all_runs_diverge_none_is_repeated(trained, tmp_path):
    some = Sweep((CELL_ONLY,), {'optimizer.learning_rate': (2.0, 3.0)}, 2)
    with pytest.raises(ValueError, match='2 runs failed'):
        running.run_sweep(some, tmp_path)
    assert not trained
    assert len(list(tmp_path.rglob('failure.txt'))) == 2


def test_an_interrupted_sweep_goes_on_with_the_run_it_was_at(trained, tmp_path, monkeypatch):
    some, train, lines = Sweep((CELL_ONLY,), {'seed': (0, 1, 2)}), loop.train_and_evaluate, []

    def interrupted(config, workdir):
        if config.seed == 1:
            raise KeyboardInterrupt
        train(config, workdir)

    with monkeypatch.context() as patch:
        patch.setattr(loop, 'train_and_evaluate', interrupted)
        with pytest.raises(KeyboardInterrupt):
            running.run_sweep(some, tmp_path)
    assert names(trained, tmp_path) == ['cell_only/seed0']
    running.run_sweep(some, tmp_path, report=lines.append)
    assert names(trained, tmp_path) == [f'cell_only/seed{seed}' for seed in (0, 1, 2)]
    assert not [line for line in lines if 'chosen' in line]


def test_two_configurations_of_one_name_are_told(trained, tmp_path):
    mine = tmp_path / 'mine/crc.py'
    mine.parent.mkdir()
    mine.write_text('from ocelot_jax.configs import crc\nget_config = crc.get_config\n')
    some = Sweep((UNET, f'{mine}:unet'), {})
    with pytest.raises(InputError, match=r'mine/crc\.py:unet: its run crc_unet/seed0 has the dir'):
        running.run_sweep(some, tmp_path / 'sweep')
    assert trained == []


def test_a_wrong_field_is_told_before_anything_is_written(tmp_path):
    some = Sweep((UNET,), {})
    with pytest.raises(ValueError, match=r'^configs/crc\.py:unet: .*lr') as error:
        running.run_sweep(some, tmp_path / 'sweep', {'lr': 1})
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'sweep').exists()
