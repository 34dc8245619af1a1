"""What a run was trained on: kept, and other data refused."""

import dataclasses

import pytest
from fake_runs import make_run, small_config

from ocelot_jax.data.sources import Identity
from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import configuration, provenance

DATA = {
    split: Identity('pairs', split, f'{n}' * 64) for n, split in enumerate(provenance.TRAINED_ON)
}


def other(split, **changes):
    return DATA | {split: dataclasses.replace(DATA[split], **changes)}


@pytest.fixture
def run(tmp_path):
    made = make_run(tmp_path / 'run', small_config(data__source='/data/pairs'))
    provenance.write_data(made, DATA)
    return made


def test_the_same_data_go_on_wherever_they_lie(run):
    config = small_config(data__source='/elsewhere/renamed.zip')
    provenance.check_run(run, config, other('train', name='renamed'))
    with pytest.raises(InputError, match=r'config\.num_epochs is \d+ there and 77 here'):
        provenance.check_run(run, small_config(num_epochs=77), DATA)
    assert provenance.load_data(run) == DATA


@pytest.mark.parametrize('split', provenance.TRAINED_ON)
def test_other_data_are_refused(run, split):
    found = other(split, digest='f' * 64)
    told = rf'trained_on\.json: holds a run of other data: {split} is pairs .* there and'
    with pytest.raises(InputError, match=told) as error:
        provenance.check_run(run, configuration.load_config(run), found)
    assert '\n' not in str(error.value)
    with pytest.raises(InputError, match=r'config\.data\.source is'):
        provenance.check_run(run, small_config(data__source='/data/others'), found)


def test_a_run_without_a_record_goes_on_with_a_warning(run, caplog):
    (run / 'trained_on.json').unlink()
    provenance.check_run(run, configuration.load_config(run), DATA)
    assert 'trained_on.json: not there' in caplog.text
    with pytest.raises(InputError, match=r'config\.data\.source is'):
        provenance.check_run(run, small_config(data__source='/data/others'), DATA)


@pytest.mark.parametrize('text', ['{', '[]', '{"train": {"name": "pairs"}}', '{"train": 1}'])
def test_a_damaged_record(run, text):
    (run / 'trained_on.json').write_text(text)
    with pytest.raises(InputError, match=r'trained_on\.json: tells no data'):
        provenance.load_data(run)
