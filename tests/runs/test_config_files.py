"""Configurations by name, from a checkout or from the installed package."""

import pytest
from conftest import ROOT

from ocelot_jax.runs import config_files

SOME = ('configs/cell_only.py', 'configs/crc.py:unet', 'configs/sweeps/table5.py:tiger')


@pytest.mark.parametrize('name', SOME)
def test_a_file_of_the_working_directory_goes_first(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert config_files.locate(name) == name


@pytest.mark.parametrize('name', SOME)
def test_the_installed_package_has_them_too(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = config_files.locate(name)
    assert found.endswith(name)
    file, _, argument = found.partition(':')
    assert (ROOT / name.partition(':')[0]).samefile(file)
    assert argument == name.partition(':')[2]


def test_the_argument_reaches_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_files.read_config('configs/crc.py:unet').model.architecture == 'unet'


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('configs/none.py', r'configs/none\.py: is not there; want a file of configs/'),
        ('cell_only.py', r'^cell_only\.py: is not there'),
        ('', r'^: is not there'),
        ('configs/sweeps/table5.py', 'table5.py: defines no function get_config'),
        ('configs/cell_only.py:unet', "get_config takes no argument 'unet' behind a colon"),
        ('configs/crc.py:nope', r"^configs/crc\.py:nope: 'nope' is no model of configs/"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(name, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=told) as error:
        config_files.read_config(name)
    assert '\n' not in str(error.value)
