"""Sweeps read, and the runs that they name."""

import pytest
from conftest import ROOT

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
        ('', 'defines no function get_sweep; want a file of configs/'),
        ("def get_sweep(): return {'configs': ()}", 'get_sweep wants to give configs, axes, rep'),
    ],
)
def test_files_that_are_no_sweep(text, told, tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(text)
    with pytest.raises(ValueError, match=told) as error:
        search.read_sweep(str(file))
    assert str(error.value).startswith(f'{file}: ')
