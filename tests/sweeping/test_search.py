"""Sweeps read, and the runs that they name."""

import pytest
from conftest import ROOT

from ocelot_jax.io.errors import InputError
from ocelot_jax.sweeping import search
from ocelot_jax.sweeping.search import Sweep

CELL_ONLY, UNET = 'configs/cell_only.py', 'configs/crc.py:unet'
SWEEPS = sorted(
    path.stem for path in (ROOT / 'configs/sweeps').glob('*.py') if path.stem != '__init__'
)


def test_values_reach_the_configuration():
    some = Sweep((UNET,), {'seed': (3,)}, overrides={'num_epochs': 6, 'data.folds': 4})
    [point] = search.search_points(UNET, some, {'num_epochs': 7})
    assert (point.config.model.architecture, point.config.num_epochs) == ('unet', 7)
    assert point.config.data.folds == 4
    second = list(search.repeat_points(point, 2))[1]
    assert second.config.seed == 4
    second.config.seed = 3
    assert second.config == point.config


@pytest.mark.parametrize('name', SWEEPS)
def test_sweeps_of_the_project_are_sound(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    some = search.read_sweep(f'configs/sweeps/{name}.py')
    points = [p for config in some.configs for p in search.search_points(config, some, {})]
    assert len({point.name for point in points}) == len(points)
    assert len({point.config.to_json() for point in points}) == len(points)


def test_variants_of_a_fold_and_seed_come_together_under_short_names():
    variants = {
        'Bold colors!': {'augment.hue': 0.2, 'augment.color_probability': 0.9},
        'Paper dropout': {'model.cell_dropout': 0.1},
    }
    axes = {'seed': (0, 1), 'data.fold': (0, 1)}
    some = Sweep((UNET,), axes, overrides={'data.folds': 3}, variants=variants)
    points = list(search.search_points(UNET, some, {'augment.hue': 0.0}))
    folders = ('', 'bold-colors/', 'paper-dropout/')
    assert [point.name for point in points] == [
        f'crc_unet/{folder}fold{fold}/seed{seed}'
        for seed in (0, 1)
        for fold in (0, 1)
        for folder in folders
    ]
    plain, bold = (point.config for point in points[:2])
    assert (plain.variant, bold.variant) == ('', 'Bold colors!')
    assert (plain.augment.hue, bold.augment.hue) == (0.0, 0.2)
    # a change that is none has no runs
    unchanged = search.search_points(UNET, some, {'model.cell_dropout': 0.1})
    assert {point.config.variant for point in unchanged} == {'', 'Bold colors!'}


def test_what_is_an_axis_is_not_overridden():
    some = Sweep((UNET,), {'seed': (0, 1)})
    with pytest.raises(InputError, match=r'seed: is an axis of the sweep, of .0, 1., and overrid'):
        list(search.search_points(UNET, some, {'seed': 7}))


def test_some_levers_are_chosen_by_name(monkeypatch):
    monkeypatch.chdir(ROOT)
    some = search.read_sweep('configs/sweeps/levers.py:crc,Batches of 4')
    assert (list(some.variants), some.configs) == (
        ['Batches of 4'],
        ('configs/crc.py:pred_inter2',),
    )
    with pytest.raises(InputError, match=r"levers\.py:crc,Batch: 'Batch' is none of The paper"):
        search.read_sweep('configs/sweeps/levers.py:crc,Batch')


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('', 'defines no function get_sweep; want a sweep, a file of configs/sweeps/ for --sweep'),
        (
            'def get_config(): pass',
            'defines no function get_sweep but get_config, so it is a conf',
        ),
        ('def get_sweep(: pass', 'raises SyntaxError: .*; --verbose tells where'),
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
                ("'overrides': [1]", r'overrides of get_sweep is \[1\]; want a dict of values'),
                ("'variants': {'a': {}}", r"variants of get_sweep is {'a': {}}; want a dict of d"),
                (
                    "'variants': {'A b': {'seed': 1}, 'a-B': {'seed': 2}}",
                    "variants of get_sweep holds 'A b', whose directory would be 'a-b'; want nam",
                ),
                (
                    "'variants': {'Seed0': {'seed': 1}}",
                    "'Seed0', whose directory would be 'seed0'",
                ),
                ("'variants': {'..': {'seed': 1}}", "'..', whose directory would be ''"),
                (
                    "'variants': {'a': {'seed': 1}}, 'axes': {'seed': (0, 1)}",
                    "changes seed in 'a', which is an axis, too; want one of both",
                ),
                (
                    "'axes': {'data.fold': (0, 1)}, 'repeats': 2",
                    'repeats of get_sweep is 2 beside variants, or an axis seed or data.fold; w',
                ),
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
