"""What is installed."""

import configparser

from conftest import ROOT

# two packages stand at the top level, and are installed inside the third
PLACES = {
    'ocelot_jax': 'ocelot_jax',
    'ocelot_jax.configs': 'configs',
    'ocelot_jax.datasets': 'datasets',
}


def test_the_container_is_built_from_every_folder_of_code():
    lines = (ROOT / 'docker/Dockerfile').read_text().splitlines()
    for folder in PLACES.values():
        assert f'COPY {folder} /opt/source/{folder}' in lines


def test_every_folder_of_code_is_installed():
    settings = configparser.ConfigParser()
    settings.read(ROOT / 'setup.cfg')
    installed = settings['options']['packages'].split()
    wanted = {
        '.'.join([package, *file.parent.relative_to(ROOT / folder).parts])
        for package, folder in PLACES.items()
        for file in (ROOT / folder).rglob('__init__.py')
    }
    assert sorted(installed) == sorted(wanted)
