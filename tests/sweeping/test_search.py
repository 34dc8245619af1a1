"""Sweeps read, and the runs that they name."""

import pytest
from conftest import ROOT

from ocelot_jax.io.errors import InputError
from ocelot_jax.sweeping import search

CELL_ONLY, UNET = 'configs/cell_only.py', 'configs/crc.py:unet'
SWEEPS = sorted(
    path.stem for path in (ROOT / 'configs/sweeps').glob('*.py') if path.stem != '__init__'
)


def test_values_reach_the_configuration():
    [point] = search.search_points(UNET, {'seed': (3,)}, {'num_epochs': 7})
    assert (point.config.model.architecture, point.config.num_epochs) == ('unet', 7)
    second = list(search.repeat_points(point, 2))[1]
    assert second.config.seed == 4
    second.config.seed = 3
    assert second.config == point.config


@pytest.mark.parametrize('name', SWEEPS)
def test_sweeps_of_the_project_are_sound(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    some = search.read_sweep(f'configs/sweeps/{name}.py')
    points = [p for config in some.configs for p in search.search_points(config, some.axes, {})]
    assert len({point.name for point in points}) == len(points)
    assert len({point.config.to_json() for point in points}) == len(points)


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('', 'defines no function get_sweep; want a sweep, a file of configs/sweeps/ for --sweep'),
        (
            'def get_config(): pass',
            'defines no function get_sweep but get_config, so it is a conf',
        ),
        ('def get_sweep(: pass', 'raises SyntaxError: .*; --verbosity=1 tells where'),
        ('import nowhere_at_all', 'raises ModuleNotFoundError: '),
        ('def get_sweep(): return 1 / 0', 'raises ZeroDivisionError: division by zero; --verb'),
        ('def get_sweep(): pass', 'get_sweep gives a NoneType; want a dict of configs, axes, rep'),
        ('def get_sweep(): return [1]', 'get_sweep gives a list; want a dict of configs'),
        ("def get_sweep(): return {'config': ()}", 'get_sweep gives config; want configs, axes'),
        ("def get_sweep(): return {'axes': {}}", 'configs of get_sweep is None; want a tuple of'),
        *(
            (f"def get_sweep(): return {{'configs': ('a',), 'axes': {{}}}} | {{{change}}}", told)
            for change, told in [
                (
                    "'configs': 'configs/crc.py'",
                    r"configs of get_sweep is 'configs/crc\.py'; want",
                ),
                ("'configs': ()", r'configs of get_sweep is \(\); want a tuple of files'),
                ("'axes': None", 'axes of get_sweep is None; want a dict of tuples'),
                ("'axes': {'seed': 3}", "axes of get_sweep is {'seed': 3}; want a dict of tupl"),
                ("'axes': {'seed': ()}", "axes of get_sweep is {'seed': ..}; want a dict of tupl"),
                ("'repeats': 0", 'repeats of get_sweep is 0; want a whole number from 1 on'),
                ("'repeats': True", 'repeats of get_sweep is True; want a whole number'),
                ("'tune_detection': 'no'", "tune_detection of get_sweep is 'no'; want True or F"),
            ]
        ),
    ],
)
def test_files_that_are_no_sweep(text, told, tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(text)
    with pytest.raises(InputError, match=told) as error:
        search.read_sweep(str(file))
    assert str(error.value).startswith(f'{file}: ')
    assert '\n' not in str(error.value)
