"""The contracts of `make lint` on who may import whom catch what they should."""

import pathlib

import pytest
from conftest import ROOT
from importlinter import configuration
from importlinter.application import use_cases

COPY = 'copied_house'
configuration.configure()


@pytest.fixture
def lint(tmp_path, monkeypatch, capsys):
    """Checks a copy of the package under another name, with a line added to one of its files."""
    for file in (ROOT / 'ocelot_jax').rglob('*.py'):
        written = tmp_path / COPY / file.relative_to(ROOT / 'ocelot_jax')
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(file.read_text().replace('ocelot_jax', COPY))
    contracts = tmp_path / 'contracts.cfg'
    contracts.write_text((ROOT / 'setup.cfg').read_text().replace('ocelot_jax', COPY))
    monkeypatch.syspath_prepend(tmp_path)

    def check(module, line):
        path = pathlib.Path(tmp_path, *module.split('.')).with_suffix('.py')
        path.write_text(f'{path.read_text()}\n{line}\n')
        # the command's function would close the handlers of other tests' logging
        passed = use_cases.lint_imports(config_filename=str(contracts), cache_dir=None)
        return passed, capsys.readouterr().out

    return check


@pytest.mark.parametrize(
    ('module', 'line', 'told'),
    [
        ('training.loop', 'from NAME import main', 'NAME.training -> NAME.main'),
        ('data.batches', 'import NAME.evaluate', 'NAME.data -> NAME.evaluate'),
        ('data.batches', 'from NAME.models import factory', 'NAME.data -> NAME.models'),
        ('sweep', 'from NAME import report', 'NAME.sweep -> NAME.report'),
        ('models.resnet', 'from absl import flags', 'NAME.models -> absl'),
        ('data.targets', 'import pathlib', 'NAME.data.targets -> pathlib'),
    ],
)
def test_an_import_against_the_rules_is_told(lint, module, line, told):
    passed, text = lint(f'{COPY}.{module}', line.replace('NAME', COPY))
    assert not passed
    source, target = told.replace('NAME', COPY).split(' -> ')
    assert f'{source} is not allowed to import {target}' in text
