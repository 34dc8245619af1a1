"""A run whose network is a stand-in that finds dark disks."""

import pytest
from drawn_slides import darkness
from fake_runs import make_run, small_config

from ocelot_jax.inference import engines
from ocelot_jax.runs import loading


@pytest.fixture(scope='package')
def run(tmp_path_factory):
    """A run on patches of 64 px at 0.5 and 2 um/px."""
    config = small_config(detection__backend='skimage')
    return make_run(tmp_path_factory.mktemp('runs') / 'run', config)


@pytest.fixture(scope='package')
def loaded(run):
    return loading.load_runs([run])


@pytest.fixture
def engine(monkeypatch, run, loaded):
    """What the network is replaced by; the run is read once."""
    load = loading.load_runs

    def load_runs(workdirs, test_time_augmentation=False, detection=None):
        if workdirs == [run] and not test_time_augmentation and detection is None:
            return loaded
        return load(workdirs, test_time_augmentation, detection=detection)

    monkeypatch.setattr(loading, 'load_runs', load_runs)
    monkeypatch.setattr(engines, 'of_runs', lambda runs, name: darkness)
