"""What is installed."""

import configparser
import re

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ocelot_jax

# two packages stand at the top level, and are installed inside the third
PLACES = {
    'ocelot_jax': 'ocelot_jax',
    'ocelot_jax.configs': 'configs',
    'ocelot_jax.datasets': 'datasets',
}
# What Colab has of it, or had when its list was last seen; the notebooks replace nothing there.
COLAB = {
    'absl-py': '1.4.0',
    'flax': '0.11.2',
    'grain': '0.2.15',
    'importlib-resources': '6.5.2',
    'jax': '0.7.2',
    'jaxlib': '0.7.2',
    'jinja2': '3.1.6',
    'matplotlib': '3.10.0',
    'numpy': '2.0.2',
    'optax': '0.2.7',
    'orbax-checkpoint': '0.11.33',
    'pillow': '11.3.0',
    'pyarrow': '18.1.0',
    'safetensors': '0.7.0',
    'scikit-image': '0.25.2',
    'scipy': '1.16.3',
    'tensorflow-datasets': '4.9.9',
    'tifffile': '2026.2.20',
    'tqdm': '4.67.3',
}
CONSTRAINTS = sorted((ROOT / 'constraints').glob('*.txt'))


def settings():
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / 'setup.cfg')
    return parsed


def requirements():
    """What all that the tests need asks for on Linux."""
    parsed = settings()
    extras = parsed['options.extras_require']
    texts = [parsed['options']['install_requires'], extras['dev']]
    [ours] = re.findall(r'ocelot_jax\[(.*)\]', extras['dev'])
    texts += [extras[extra] for extra in ours.split(',')]
    asked = [Requirement(line) for text in texts for line in text.split('\n') if line]
    linux = {'sys_platform': 'linux', 'platform_machine': 'x86_64'}
    return [
        each
        for each in asked
        if each.name != 'ocelot_jax' and (each.marker is None or each.marker.evaluate(linux))
    ]


def test_the_version_is_that_of_setup_cfg():
    version = settings()['metadata']['version']
    assert ocelot_jax.__version__ == version
    assert f'version: {version}' in (ROOT / 'CITATION.cff').read_text().splitlines()
    assert f'\n## [{version}] - ' in (ROOT / 'CHANGELOG.md').read_text()


def test_the_container_is_built_from_every_folder_of_code():
    text = (ROOT / 'docker/Dockerfile').read_text()
    for folder in PLACES.values():
        assert f'COPY {folder} /opt/source/{folder}' in text.splitlines()
    [version] = re.findall('^FROM python:(.*)-slim$', text, re.M)
    assert f'-c /opt/source/constraints/python{version}.txt' in text


def test_every_folder_of_code_is_installed_with_what_else_it_holds():
    parsed = settings()
    folders = {
        '.'.join([package, *file.parent.relative_to(ROOT / folder).parts]): file.parent
        for package, folder in PLACES.items()
        for file in (ROOT / folder).rglob('__init__.py')
    }
    assert sorted(parsed['options']['packages'].split()) == sorted(folders)
    files = {
        package: {file.name for file in folder.iterdir() if file.is_file()}
        for package, folder in folders.items()
    }
    others = {
        package: {name for name in names if not name.endswith('.py')}
        for package, names in files.items()
    }
    installed = parsed['options.package_data'].items()
    assert {package: set(names.split(', ')) for package, names in installed} == {
        package: names for package, names in others.items() if names
    }


def test_each_python_that_has_constraints_is_named():
    texts = {
        'classifiers': settings()['metadata']['classifiers'],
        'Makefile': re.findall(r'^VERSIONS := .*$', (ROOT / 'Makefile').read_text(), re.M)[0],
    }
    workflow = ROOT / '.github/workflows/checks.yml'
    if workflow.exists():  # the sdist leaves it out
        [texts['workflow']] = re.findall(r'^ *python: \[.*\]$', workflow.read_text(), re.M)
    for place, text in texts.items():
        versions = sorted(re.findall(r'\b3\.\d+\b', text))
        assert versions == [file.stem.removeprefix('python') for file in CONSTRAINTS], place


@pytest.mark.parametrize('file', CONSTRAINTS, ids=lambda file: file.stem)
def test_what_is_asked_for_is_pinned_to_a_version_that_it_allows(file):
    lines = [line for line in file.read_text().splitlines() if not line.startswith('#')]
    pinned = dict(line.split('==') for line in lines)
    for requirement in requirements():
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_colab_has_what_is_asked_for_new_enough():
    for requirement in requirements():
        held = COLAB.get(canonicalize_name(requirement.name))
        assert held is None or held in requirement.specifier, requirement
