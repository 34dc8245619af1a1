"""Commands that tests elsewhere call as functions alone: what they write and print."""

import pytest
from conftest import ROOT, make_release
from fake_reports import make_config, write_run
from fake_runs import make_run, small_config

SWEEP = """
from ocelot_jax import sweep
from ocelot_jax.cli import app
from ocelot_jax.sweeping import running

def run_sweep(found, workdir, overrides, shard, report, workers, start_worker):
    report(f'{found.configs} {workdir} {sorted(overrides.items())} {shard} {workers.here}')

running.run_sweep = run_sweep
sweep.define_flags()
app.run(sweep.main)
"""


EVALUATE = """
import types
from ocelot_jax import evaluate
from ocelot_jax.cli import app
from ocelot_jax.evaluation import evaluator

shown = lambda *asked: types.SimpleNamespace(render=lambda: repr(tuple(map(str, asked[1:]))))
evaluator.evaluate_run = shown
evaluate.define_flags()
app.run(evaluate.main)
"""
EXPORT = """
import narrow
from ocelot_jax import export
from ocelot_jax.cli import app
export.define_flags()
app.run(export.main, positionals=['OUT'])
"""


def test_a_report_is_written_beside_the_runs(commands, tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2})
    for seed in (0, 1):
        config = make_config('cell_only', source, seed)
        write_run(tmp_path / f'runs/{seed}', config, records=False)
    done = commands.run('ocelot_jax.report', tmp_path / 'runs', cwd=ROOT)
    assert (done.returncode, done.errors) == (0, []), done.stderr
    folder = tmp_path / 'runs/report'
    assert done.stdout.splitlines()[-1] == str(folder / 'index.html')
    assert done.stdout.splitlines()[:-1] == [str(p) for p in sorted(folder.glob('table_*.md'))]
    assert 'Cell-only' in (folder / 'table_5.md').read_text()


def test_a_sweep_is_read_with_its_overrides_and_shard(commands, tmp_path):
    flags = ['--sweep=configs/sweeps/table5.py', f'--workdir={tmp_path}', '--shard=1/3']
    flags += ['--override=num_epochs=2', '--override=optimizer.learning_rate=3e-4']
    done = commands.run(SWEEP, *flags, cwd=ROOT)
    assert (done.returncode, done.errors) == (0, []), done.stderr
    [line] = done.stdout.splitlines()
    assert line.startswith("('configs/cell_only.py', ")
    overrides = "[('num_epochs', 2), ('optimizer.learning_rate', 0.0003)]"
    assert line.endswith(f' {tmp_path} {overrides} (1, 3) True')


@pytest.mark.parametrize('name', ['out.safetensors', 'out.h5'])
def test_a_run_is_exported_by_the_suffix(commands, tmp_path, name):
    workdir = make_run(tmp_path / 'run', small_config(model__context='none'))
    done = commands.run(EXPORT, f'--workdir={workdir}', tmp_path / name, cwd=ROOT)
    if name == 'out.h5':
        want = 'want a name that ends in .onnx or .safetensors'
        assert (done.returncode, done.errors) == (1, [f'error: {tmp_path / name}: {want}'])
    else:
        assert (done.returncode, done.errors) == (0, []), done.stderr
        assert done.stdout == f'{tmp_path / name}\n'
        # others of a lab may read it, as they may all else
        assert (tmp_path / name).stat().st_mode == (workdir / 'config.json').stat().st_mode
        done = commands.run(EXPORT, f'--workdir={workdir}', tmp_path / 'none' / name, cwd=ROOT)
        assert 'none is not there; make it first' in done.errors[0]
    assert (tmp_path / name).exists() == (name != 'out.h5')


def test_an_evaluation_is_asked_for_as_the_flags_say(commands, tmp_path):
    workdir = make_run(tmp_path / 'run', small_config(model__context='none'))
    flags = ['--split=val', '--source=PAIRS', '--untrained', '--engine=openvino']
    flags += ['--detection=d.json', f'--output={tmp_path}/out']
    done = commands.run(EVALUATE, f'--workdir={workdir}', *flags, cwd=tmp_path)
    assert (done.returncode, done.errors) == (0, []), done.stderr
    wanted = ('val', 'PAIRS', 'True', 'False', 'openvino', 'd.json', f'{tmp_path}/out')
    assert done.stdout == f'{wanted}\n'
