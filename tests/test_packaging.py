"""What is installed."""

import configparser

from conftest import ROOT


def test_every_folder_of_code_is_installed():
    settings = configparser.ConfigParser()
    settings.read(ROOT / 'setup.cfg')
    installed = settings['options']['packages'].split()
    # two of them stand at the top level, and are installed inside the package
    places = {'ocelot_jax': 'ocelot_jax', 'ocelot_jax.configs': 'configs'}
    places['ocelot_jax.datasets'] = 'datasets'
    wanted = {
        '.'.join([package, *file.parent.relative_to(ROOT / folder).parts])
        for package, folder in places.items()
        for file in (ROOT / folder).rglob('__init__.py')
    }
    assert sorted(installed) == sorted(wanted)
