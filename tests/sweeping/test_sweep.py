"""Sweeps: what they train, in which order, and what happens when they are disturbed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import narrow
import pytest
from conftest import ROOT, make_release

from ocelot_jax.data import sources
from ocelot_jax.evaluation import evaluator, tuning
from ocelot_jax.io import locks
from ocelot_jax.sweeping import sweep
from ocelot_jax.training import loop
from ocelot_jax.training.loop import NonFiniteLossError

AXES = {'optimizer.learning_rate': (1e-4, 1e-3), 'model.cell_dropout': (0.1, 0.5)}
CELL_ONLY, UNET = 'configs/cell_only.py', 'configs/crc.py:unet'
SWEEPS = sorted(path.stem for path in (ROOT / 'configs/sweeps').glob('*.py'))


@pytest.fixture
def trained(monkeypatch):
    """Trains nothing: lists what would be; scores are high with much dropout and a low rate."""
    done = []

    def train_and_evaluate(config, workdir):
        if config.optimizer.learning_rate > 1:
            raise NonFiniteLossError('step 3: loss nan')
        done.append(workdir)
        score = config.model.cell_dropout - 10 * config.optimizer.learning_rate
        (workdir / 'score').write_text(str(score))

    def evaluate_run(workdirs, split):
        [workdir] = workdirs
        folder = workdir / 'evaluation' / split
        folder.mkdir(parents=True)
        table = {'population': {'mF1': float((workdir / 'score').read_text())}}
        (folder / 'scores.json').write_text(json.dumps(table))

    monkeypatch.setattr(loop, 'train_and_evaluate', train_and_evaluate)
    monkeypatch.setattr(tuning, 'tune_run', lambda workdir: (workdir / 'tuned').touch())
    monkeypatch.setattr(evaluator, 'evaluate_run', evaluate_run)
    monkeypatch.setattr(sources, 'splits', lambda data: ('train', 'validation', 'test'))
    return done


def names(done, workdir):
    return [str(path.relative_to(workdir)) for path in done]


def test_every_combination_then_the_best_again(trained, tmp_path):
    sweep.run_sweep(sweep.Sweep((CELL_ONLY,), AXES, repeats=3), tmp_path)
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


def test_detection_is_tuned_where_that_is_wanted(trained, tmp_path):
    sweep.run_sweep(sweep.Sweep((CELL_ONLY,), {}, tune_detection=False), tmp_path)
    assert trained
    assert not (trained[0] / 'tuned').exists()


def test_each_configuration_by_itself(trained, tmp_path):
    sweep.run_sweep(sweep.Sweep((CELL_ONLY, UNET), {}, 2), tmp_path, {'num_epochs': 7, 'seed': 4})
    assert names(trained, tmp_path) == [
        *('cell_only/seed4', 'crc_unet/seed4'),
        *('cell_only/seed5', 'crc_unet/seed5'),
    ]


def test_values_reach_the_configuration():
    [point] = sweep.search_points(UNET, {'seed': (3,)}, {'num_epochs': 7})
    assert (point.config.model.architecture, point.config.num_epochs) == ('unet', 7)
    second = list(sweep.repeat_points(point, 2))[1]
    assert second.config.seed == 4
    second.config.seed = 3
    assert second.config == point.config


def test_a_point_is_one_run():
    with pytest.raises(ValueError, match=r"seeds is 3; want 1, a sweep's `repeats` says how many"):
        list(sweep.search_points(CELL_ONLY, {}, {'seeds': 3}))


def test_what_is_done_is_left_alone(trained, tmp_path):
    some = sweep.Sweep((CELL_ONLY,), AXES, 2)
    sweep.run_sweep(some, tmp_path)
    before = list(trained)
    sweep.run_sweep(some, tmp_path)
    assert trained == before


def test_shards_share_all_and_the_last_of_them_repeats(trained, tmp_path, capsys):
    some = sweep.Sweep((CELL_ONLY,), AXES, 3)
    sweep.run_sweep(some, tmp_path, shard=(0, 2))
    assert len(trained) == 2
    assert f'{CELL_ONLY}: 2 of 4 combinations are done' in capsys.readouterr().out
    sweep.run_sweep(some, tmp_path, shard=(1, 2))
    sweep.run_sweep(some, tmp_path, shard=(0, 2))
    assert len(trained) == len(set(trained)) == 6


def test_a_run_of_another_process_is_left_to_it(trained, tmp_path, capsys):
    with locks.claimed(tmp_path / 'cell_only/seed0') as mine:
        assert mine
        sweep.run_sweep(sweep.Sweep((CELL_ONLY, UNET), {}), tmp_path)
    assert names(trained, tmp_path) == ['crc_unet/seed0']
    assert "1 runs are another process's: cell_only/seed0" in capsys.readouterr().out


def test_a_run_that_diverges_does_not_stop_the_others(trained, tmp_path):
    some = sweep.Sweep((CELL_ONLY,), {'optimizer.learning_rate': (2.0, 1e-3)}, 2)
    with pytest.raises(ValueError, match=r'1 runs failed: .*learning_rate=2\.0/seed0'):
        sweep.run_sweep(some, tmp_path)
    assert [path.name for path in trained] == ['seed0', 'seed1']
    failed = tmp_path / 'cell_only/optimizer.learning_rate=2.0/seed0/failure.txt'
    assert failed.read_text() == 'step 3: loss nan\n'


def test_where_all_runs_diverge_none_is_repeated(trained, tmp_path):
    some = sweep.Sweep((CELL_ONLY,), {'optimizer.learning_rate': (2.0, 3.0)}, 2)
    with pytest.raises(ValueError, match='2 runs failed'):
        sweep.run_sweep(some, tmp_path)
    assert not trained
    assert len(list(tmp_path.rglob('failure.txt'))) == 2


@pytest.mark.parametrize('name', SWEEPS)
def test_sweeps_of_the_project_are_sound(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    some = sweep.read_sweep(f'configs/sweeps/{name}.py')
    points = [p for config in some.configs for p in sweep.search_points(config, some.axes, {})]
    assert len({point.name for point in points}) == len(points)
    assert len({point.config.to_json() for point in points}) == len(points)


def run(*arguments):
    return subprocess.Popen(
        [sys.executable, '-m', 'ocelot_jax.sweep', *arguments],
        cwd=ROOT,
        env=os.environ | {'XLA_FLAGS': narrow.XLA_FLAGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_wrong_field_ends_with_one_line(tmp_path):
    file, override = 'configs/sweeps/crc.py', '--override=lr=1'
    process = run(f'--workdir={tmp_path / "sweep"}', f'--sweep={file}', override)
    out, _ = process.communicate()
    [line] = [line for line in out.splitlines() if line.startswith('error:')]
    assert process.returncode == 1
    assert 'configs/crc.py:cell_only: ' in line
    assert not (tmp_path / 'sweep').exists()


def test_wrong_values_of_flags_are_named():
    with pytest.raises(FileNotFoundError, match=r'none\.py: is not there; want a file'):
        sweep.read_sweep('configs/sweeps/none.py')
    for text in ('4/4', '1', '-1/4', 'a/b'):
        with pytest.raises(ValueError, match=f"--shard: '{text}'; want i/n"):
            sweep.parse_shard(text)
    with pytest.raises(ValueError, match="--override: 'seed'; want field=value"):
        sweep.parse_override('seed')


def test_overrides_are_literals_or_strings():
    texts = ('seed=3', "data.cell_classes=('A', 'B')", 'data.source=a=b.zip')
    assert dict(map(sweep.parse_override, texts)) == {
        **{'seed': 3, 'data.cell_classes': ('A', 'B'), 'data.source': 'a=b.zip'},
    }


def rows(path):
    if not path.exists():
        return []
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_a_killed_sweep_loses_no_finished_epoch(tmp_path):
    folder = make_release(tmp_path / 'pairs', {'train': 4, 'val': 2}, 32)
    file = tmp_path / 'sweep.py'
    file.write_text(
        'def get_sweep():\n'
        "    return {'configs': ('tests/narrow.py:cell_only',), 'axes': {'seed': (0, 1)}}\n"
    )
    overrides = {
        **{'data.source': folder, 'data.batch_size': 2, 'data.max_cells': 16},
        **{'num_epochs': 3, 'detection.max_cells': 64},
    }
    arguments = [f'--sweep={file}', f'--workdir={tmp_path / "sweep"}']
    arguments += [f'--override={name}={value}' for name, value in overrides.items()]
    first, second = (tmp_path / f'sweep/narrow_cell_only/seed={i}/seed{i}' for i in (0, 1))
    process = run(*arguments)
    try:
        while len(rows(second / 'metrics.csv')) < 2:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before, finished = rows(second / 'metrics.csv'), (first / 'metrics.csv').stat().st_mtime_ns
    process = run(*arguments)
    out, _ = process.communicate()
    assert process.returncode == 0, out
    assert 'seed=0/seed0' not in out
    assert (first / 'metrics.csv').stat().st_mtime_ns == finished
    after = rows(second / 'metrics.csv')
    assert len(after) == 3
    assert after[: len(before) - 1] == before[:-1]
    assert (second / 'evaluation/validation/scores.json').exists()
