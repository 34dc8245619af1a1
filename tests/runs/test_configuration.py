"""The JSON files of a run: written, read back, and refused where they are damaged."""

import functools
import json
import math
import operator
import re

import pytest
from ocelot_jax.configs import default

from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import configuration


def config(**changes):
    made = default.get_config()
    made.update_from_flattened_dict({k.replace('__', '.'): v for k, v in changes.items()})
    return made


def files(folder):
    return [path.name for path in folder.iterdir()]


def test_writes_plain_json_and_nothing_else(tmp_path):
    configuration.write_config(tmp_path, config())
    held = json.loads((tmp_path / 'config.json').read_text())
    assert held['data']['cell_classes'] == ['BC', 'TC']
    assert held == json.loads(config().to_json())
    assert files(tmp_path) == ['config.json']


def test_the_same_configuration_goes_on(tmp_path):
    configuration.write_config(tmp_path, config())
    configuration.check_config(tmp_path, config())
    with pytest.raises(ValueError):
        configuration.check_config(tmp_path, config(seed=1))


@pytest.mark.parametrize(
    ('changes', 'wanted'),
    [
        ({'seed': 1}, 'config.seed is 0 there and 1 here'),
        (
            {'optimizer__learning_rate': 2e-3},
            'config.optimizer.learning_rate is 0.001 there and 0.002 here',
        ),
        (
            {'data__cell_classes': ('TC',)},
            "config.data.cell_classes is ['BC', 'TC'] there and ['TC'] here",
        ),
    ],
)
def test_another_configuration_is_refused(tmp_path, changes, wanted):
    configuration.write_config(tmp_path, config())
    before = (tmp_path / 'config.json').read_bytes()
    with pytest.raises(ValueError) as error:
        configuration.check_config(tmp_path, config(**changes))
    message = str(error.value)
    assert message.startswith(f'{tmp_path / "config.json"}: ')
    assert wanted in message
    assert message.count(' there and ') == 1
    assert '\n' not in message
    assert (tmp_path / 'config.json').read_bytes() == before


def test_all_differences_are_named(tmp_path):
    configuration.write_config(tmp_path, config())
    with pytest.raises(ValueError, match='seed is 0 there') as error:
        configuration.check_config(tmp_path, config(seed=1, data__source='tiger'))
    assert "config.data.source is 'ocelot' there and 'tiger' here" in str(error.value)


def test_a_field_that_only_one_has_is_named(tmp_path):
    (tmp_path / 'config.json').write_text('{"seed": 0, "old": 5}')
    with pytest.raises(ValueError) as error:
        configuration.check_config(tmp_path, config())
    assert 'config.old is 5 there and None here' in str(error.value)
    assert 'config.optimizer is None there' in str(error.value)


# fields that there were not always
YOUNGER = (
    *('variant', 'loss', 'optimizer.name', 'data.folds', 'data.fold', 'target.profile'),
    *('told_tissue', 'model.context_noise'),
    *('model.tissue_encoder_name', 'model.vit', 'model.convnext'),
    *('model.pretrained_mean', 'model.pretrained_std', 'optimizer.encoder_lr_multiplier'),
    *('model.tied_encoders', 'detection.temperature'),
    *('augment.stain_probability', 'augment.stain', 'augment.scale_probability', 'augment.scale'),
)


def older():
    """The first configurations, where a field meant several runs."""
    held = json.loads(config().to_json()) | {'seeds': 1}
    for name in YOUNGER:
        *sections, field = name.split('.')
        del functools.reduce(operator.getitem, sections, held)[field]
    return held


def test_a_run_from_before_some_fields_goes_on(tmp_path):
    (tmp_path / 'config.json').write_text(json.dumps(older()))
    configuration.check_config(tmp_path, config())
    loaded = configuration.load_config(tmp_path)
    assert json.loads(loaded.to_json()) == json.loads(config().to_json())


def test_several_seeds_are_no_run(tmp_path):
    (tmp_path / 'config.json').write_text(json.dumps(older() | {'seeds': 3}))
    with pytest.raises(InputError, match=r'config\.json: config\.seeds is 3; want 1'):
        configuration.load_config(tmp_path)


def test_loads_what_was_written(tmp_path):
    configuration.write_config(tmp_path, config(seed=3))
    loaded = configuration.load_config(tmp_path)
    assert loaded.seed == 3
    assert loaded.optimizer.learning_rate == 1e-3
    assert list(loaded.data.cell_classes) == ['BC', 'TC']
    configuration.check_config(tmp_path, loaded)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / 'config.json').write_text('{"seed": 0,')
    with pytest.raises(ValueError, match=r'config\.json: is no JSON'):
        configuration.load_config(tmp_path)


@pytest.mark.parametrize('name', ['empty', 'missing'])
def test_no_run_to_load(tmp_path, name):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='is no run; --workdir') as error:
        configuration.load_config(tmp_path / name)
    assert str(tmp_path / name / 'config.json') in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('text', ['{"sigma_um": 1}', '[1]', '{"sigma_um": "x"}', ''])
def test_detection_settings_that_are_none(tmp_path, text):
    (tmp_path / 'detection.json').write_text(text)
    with pytest.raises(ValueError, match=r'detection\.json: .*tune the run again'):
        configuration.load_detection(tmp_path / 'detection.json')


def test_settings_that_do_not_tell_what_they_were_tuned_for(tmp_path):
    file = tmp_path / 'detection.json'
    chosen = {'sigma_um': 0.5, 'min_distance_um': 1.5, 'threshold': 0.3}
    configuration.write_detection(file, chosen)
    assert configuration.load_tuned_weights(file) is None
    configuration.write_detection(file, chosen | {'origin': {'runs': [{'name': 'a'}]}})
    with pytest.raises(InputError, match=r"detection\.json: does not tell its runs \('weights'\)"):
        configuration.load_tuned_weights(file)
    configuration.write_detection(file, chosen | {'origin': {'runs': [{'weights': 'ab'}]}})
    assert configuration.load_tuned_weights(file) == ['ab']
    assert configuration.load_detection(file) == chosen | {'temperature': 1.0}


@pytest.mark.parametrize(
    ('field', 'value', 'wanted'),
    [
        ('data.batch_size', 0, 'more than 0'),
        ('num_epochs', 0, 'more than 0'),
        ('optimizer.learning_rate', -1.0, 'more than 0'),
        ('optimizer.learning_rate', math.nan, 'more than 0'),
        ('optimizer.warmup_epochs', -0.5, '0 or more'),
        ('model.cell_dropout', 1.0, 'from 0 to below 1'),
        ('augment.flip_probability', 1.5, 'from 0 to 1'),
    ],
)
def test_values_that_no_field_can_take(field, value, wanted):
    config = default.get_config()
    configuration.check_values(config)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=re.escape(f'config.{field}: {value!r}; want {wanted}')):
        configuration.check_values(config)


@pytest.mark.parametrize(
    'content',
    [
        b'{"cell_size": 64, "tissue_size": 64, "tissue_mpp": 2.0}',
        b'{"cell_size": 64, "cell_mpp": NaN, "tissue_size": 64, "tissue_mpp": 2.0}',
        b'{"cell_size": 64, "cell_mpp": "0.5", "tissue_size": 64, "tissue_mpp": 2.0}',
        b'[64, 0.5, 64, 2.0]',
        b'{"cell_size": 64\xff}',
    ],
)
def test_damaged_patches_are_one_line(content, tmp_path):
    (tmp_path / 'patches.json').write_bytes(content)
    with pytest.raises(InputError, match=r'patches\.json: .*; want') as error:
        configuration.load_patches(tmp_path)
    assert '\n' not in str(error.value)
