"""Wrong commands and wrong data end with one line, before anything is written."""

import pytest
from conftest import ROOT


@pytest.fixture
def run(commands):
    """Runs a command; gives its status and the lines of errors."""

    def run(*arguments, module='main'):
        done = commands.run(f'ocelot_jax.{module}', *arguments, cwd=ROOT)
        return done.returncode, done.errors

    return run


def test_unknown_field_on_the_command_line(run, tmp_path):
    code, [line] = run(
        '--config=configs/cell_only.py',
        '--config.optimizer.lr=3',
        f'--workdir={tmp_path / "run"}',
    )
    assert code == 1
    assert line == ('error: --config.optimizer.lr=3: there is no such field in the configuration')
    assert not (tmp_path / 'run').exists()


def test_unknown_field_in_a_file(run, tmp_path):
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


def test_unknown_model_of_a_data_set(run, tmp_path):
    code, [line] = run('--config=configs/tiger.py:unett', f'--workdir={tmp_path / "run"}')
    assert code == 1
    assert line.startswith("error: --config: 'unett' is no model of configs/")


def test_missing_file_of_a_configuration(run):
    assert run('--config=configs/nope.py') == (
        1,
        ['error: --config: configs/nope.py: is not there; want a file of configs/'],
    )


def test_a_sweep_is_no_configuration(run):
    told = '--config: defines no function get_config; want a configuration, as configs/ has'
    assert run('--config=configs/sweeps/table5.py', '--workdir=x') == (1, [f'error: {told}'])


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
def test_bad_values_leave_nothing_behind(run, release_folder, tmp_path, override, message):
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


def test_bad_data_is_named_before_training(run, release_folder, tmp_path):
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


def test_evaluating_no_run(run, tmp_path):
    code, [line] = run(f'--workdir={tmp_path}', module='evaluate')
    assert code == 1
    assert f'{tmp_path}/config.json: not there' in line
