"""What the site shows is there: fields have words, commands have their flags, some of them run."""

import ast
import configparser
import contextlib
import importlib
import pkgutil
import re
import runpy
import sys
from pathlib import Path

import absl.app
import numpy as np
import pytest
from absl import flags
from conftest import ROOT, make_release
from drawn_slides import draw_slide, spread_cells, write_pyramid
from generate import commands as command_page
from generate import configuration, copies, shown
from markdown_it import MarkdownIt

from ocelot_jax.runs.directory import (
    CELLS_COLUMNS,
    METRICS_COLUMNS,
    PAIRS_COLUMNS,
    STEP_SECONDS,
    TUNING_COLUMNS,
    EvaluationDirectory,
    RunDirectory,
)

DOCS = ROOT / 'docs'
MADE = ('api', 'commands', 'configuration')  # of the source code
# ml_collections reads files of configurations by it
pytestmark = pytest.mark.filterwarnings('ignore:the load_module:DeprecationWarning')
TESTED = list(shown.read_tested(DOCS))
# where a page has a word in capitals, but a command wants a number or a file that is there
STAND_INS = {r'=N\b': '=2', r':MODEL\b': ':cell_only', r'configs/NAME\.py': 'configs/demo.py'}
# a network of one layer, one epoch without augmentation, few settings
TINY = """
import runpy
import quick_default
import tiny
from ocelot_jax.evaluation import tuning
from ocelot_jax.models import factory
tuning.SIGMAS = tuning.DISTANCES = (1.0,)
factory.create_model = tiny.create_model
runpy.run_module({!r}, run_name='__main__', alter_sys=True)
"""


def read_pages():
    """The texts of all pages with commands, and the README's."""
    written = [ROOT / 'README.md', *DOCS.glob('*.md'), *DOCS.glob('[!_]*/*.md')]
    made = copies.make(ROOT) | {
        'reference/commands.md': command_page.make(ROOT),
        'reference/configuration.md': configuration.make(ROOT),
    }
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in written}
    return texts | {f'docs/{path}': text for path, text in made.items() if path.endswith('.md')}


SHOWN = {
    command: page
    for page, text in read_pages().items()
    for command in shown.find_in_page(text)
    if shown.read_words(command)[0] in ('make', 'pip', 'python')
}


def read_fields():
    groups = configuration.read_groups((ROOT / 'configs/default.py').read_text())
    assert [group.name for group in groups[1:] if not group.words] == []
    return {f'{g.name}.{field.name}'.lstrip('.'): field for g in groups for field in g.fields}


def flatten(values, prefix=''):
    for name, value in values.items():
        if hasattr(value, 'items'):
            yield from flatten(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value


def test_every_field_of_the_configuration_has_a_comment_and_its_default():
    fields = read_fields()
    assert [name for name, field in fields.items() if not field.words] == []
    config = runpy.run_path(str(ROOT / 'configs/default.py'))['get_config']()
    defaults = {name: ast.literal_eval(field.default) for name, field in fields.items()}
    assert defaults == dict(flatten(config))


def test_words_are_those_above_a_field_alone():
    source = [
        'def get_config():\n    return {',
        "# of all,\n# in um\n'seed': 1e-3,\n'rate': (1, 2),\n'group': make()}",
        'def make():\n    """Together."""\n    return {"a": ""}',
    ]
    top, group = configuration.read_groups('\n'.join(source))
    told = [(field.name, field.type, field.default, field.words) for field in top.fields]
    assert told == [
        ('seed', 'float', '1e-3', 'of all, in um'),
        ('rate', 'tuple of int', '(1, 2)', ''),
    ]
    assert (group.name, group.words, group.fields[0].type) == ('group', 'Together.', 'str')


def test_links_of_a_copy_lead_to_where_its_targets_are():
    text = '[a](../CONTRIBUTING.md#tests) [b](device.py) [c](https://x.y) [d](#here)'
    pages = {'benchmarks/README.md': 'project/b.md', 'CONTRIBUTING.md': 'project/c.md'}
    assert copies.relink(text, 'benchmarks/README.md', pages) == (
        '[a](c.md#tests) [b](../../benchmarks/device.py) [c](https://x.y) [d](#here)'
    )


@pytest.mark.parametrize('page', ['README.md', 'CONTRIBUTING.md'])
def test_links_that_sphinx_does_not_see_lead_somewhere(page):
    links = re.findall(r'\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)', (ROOT / page).read_text())
    made = {*copies.make(ROOT), *(f'reference/{name}.md' for name in MADE)}
    for file, heading in links:
        target = ROOT / (file or page)
        assert target.exists() or file.removeprefix('docs/') in made, file
        if heading:
            headings = re.findall(r'^#+ (.*)', target.read_text(), re.MULTILINE)
            slugs = [re.sub(r'[^\w -]', '', text.lower()).replace(' ', '-') for text in headings]
            assert heading in slugs, f'{file}#{heading}'


@pytest.mark.parametrize('kind', [RunDirectory, EvaluationDirectory])
def test_files_and_columns_of_a_run_are_on_their_page(kind):
    told = set(re.findall(r'`([^`]+)`', (DOCS / 'reference/runs.md').read_text()))
    named = [value for value in vars(kind).values() if isinstance(value, property)]
    paths = [value.fget(kind(Path('a/b/c'))) for value in named]
    files = {path.name for path in paths if isinstance(path, Path) and path.parent.name == 'c'}
    assert files - {'evaluation'} <= {name.rstrip('/') for name in told}
    columns = {*METRICS_COLUMNS, STEP_SECONDS, *TUNING_COLUMNS, *PAIRS_COLUMNS, *CELLS_COLUMNS}
    assert columns <= told


def test_commands_are_found_in_blocks_alone():
    page = (
        'Say `make x`:\n\n    make demo\n    what it prints\n\n'
        '```\n$ A=1 python -m b \\\n  --c=d\n```\n\n'
        '````{tab-set}\n```{tab-item} e\n\n    pip install f\n```\n````\n'
        '```python\npip = 1\n```\n'
    )
    found = shown.find_in_page(page)
    assert found == ['make demo', 'A=1 python -m b --c=d', 'pip install f']
    assert shown.read_shape(found[1]) == ('python -m b', {'--c'})


def test_python_of_the_pages_takes_what_there_is():
    taken = set()
    for text in read_pages().values():
        tokens = MarkdownIt('commonmark').parse(text)
        code = ''.join(token.content for token in tokens if token.type in ('fence', 'code_block'))
        taken |= set(re.findall(r'\bocelot_jax\.\w+', code))
        for module, names in re.findall(r'from (ocelot_jax[\w.]*) import ([\w, ]+)', code):
            taken |= {f'{module}.{name}' for name in names.split(', ')}
    assert {'ocelot_jax.load', 'ocelot_jax.open_pairs'} <= taken
    for name in taken:
        pkgutil.resolve_name(name)


def test_flags_and_fields_that_are_told_of_are_there():
    fields = read_fields()
    groups = {name.rpartition('.')[0] for name in fields}
    of_all = re.findall(r"DEFINE_\w+\('(\w+)'", (ROOT / 'ocelot_jax/cli/app.py').read_text())
    known = {'help', *of_all, *flags.FLAGS, *(f'config.{name}' for name in groups | fields.keys())}
    for name in command_page.find(ROOT):
        for flag in command_page.define(importlib.import_module(f'ocelot_jax.{name}')):
            known |= {flag.name, f'no{flag.name}'} if flag.boolean else {flag.name}
    for page, text in read_pages().items():
        for code in re.findall(r'`((?:python -m ocelot_jax\.\w+ .*)?--[^`]+)`', text):
            told = re.findall(r'(?:^| )--([\w.]*\w)', code)
            assert page.endswith('benchmarks.md') or set(told) <= known, f'{page}: {code}'


@pytest.fixture
def parse(monkeypatch, capsys):
    """Gives what a command of this package says of its flags; '' where they are right."""
    monkeypatch.setenv('GLIBC_TUNABLES', 'glibc.malloc.check=0')  # or it starts itself anew
    monkeypatch.setattr(absl.app, 'run', lambda main, flags_parser: flags_parser(sys.argv))
    known = set(flags.FLAGS)

    def parse(module, arguments):
        monkeypatch.setattr(sys, 'argv', [module, *arguments])
        monkeypatch.delitem(sys.modules, module, raising=False)
        with contextlib.suppress(SystemExit):
            runpy.run_module(module, run_name='__main__', alter_sys=True)
        for name in set(flags.FLAGS) - known:
            delattr(flags.FLAGS, name)
        return capsys.readouterr().err

    return parse


@pytest.mark.parametrize('command', SHOWN)
def test_commands_of_the_pages_have_the_flags_and_files_that_they_name(command, parse):
    where = f'{SHOWN[command]}: {command}'
    for pattern, stand_in in STAND_INS.items():
        command = re.sub(pattern, stand_in, command)
    program, *words = shown.read_words(command)
    for file in re.findall(r'(?:configs|constraints|benchmarks|notebooks)/[\w/.]+', command):
        assert (ROOT / file).exists(), where
    if program == 'make':
        targets = re.search(r'^\.PHONY: (.*)', (ROOT / 'Makefile').read_text(), re.MULTILINE)[1]
        assert words[0] in targets.split(), where
    elif program == 'pip':
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        extras = ','.join(re.findall(r'\.\[(.*?)\]', ' '.join(words)))
        assert set(extras.split(',')) <= {'', *setup['options.extras_require']}, where
    elif words[0] == '-m' and words[1].startswith('benchmarks'):
        source = (ROOT / f'{words[1].replace(".", "/")}.py').read_text()
        for flag in shown.read_shape(command).flags:
            assert f"'{flag}'" in source or f"'{flag[2:]}'" in source, where
    elif words[0] == '-m' and words[1].startswith('ocelot_jax.'):
        assert parse(words[1], words[2:]) == '', where


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['evaluate', '--workdir=a', '--engin=xla'], "Unknown command line flag 'engin'"),
        (['evaluate', '--workdir=a', '--engine=torch'], '--engine=torch: value should be one of'),
        (['main', '--config=configs/none.py'], 'configs/none.py: is not there'),
        (['main', '--config=configs/demo.py', '--config.data.x=1'], 'there is no such field'),
        (['report'], 'DIR is missing'),
    ],
)
def test_what_is_mistyped_on_a_page_is_found(parse, arguments, told):
    assert told in parse(f'ocelot_jax.{arguments[0]}', arguments[1:])


@pytest.mark.parametrize(('command', 'test'), [each for each in TESTED if each[1]])
def test_other_tests_run_what_they_are_said_to_run(command, test):
    source = (ROOT / test).read_text()
    program, names = shown.read_shape(command)
    assert f"commands.run('{program.removeprefix('python -m ')}'" in re.sub(r'\(\s+', '(', source)
    assert [name for name in names if f"'{name}=" not in source] == []


def test_commands_run(tmp_path, commands):
    make_release(tmp_path / 'pairs', {'train': 8, 'val': 2, 'test': 1})
    points, labels = spread_cells(65, 65, 12.0, np.random.default_rng(0))
    write_pyramid(tmp_path / 'slide.tif', draw_slide(130, 130, 0.5, points, labels), 0.5)
    for command in (command for command, test in TESTED if not test):
        _, _, module, *arguments = shown.read_words(command)
        done = commands.run(TINY.format(module), *arguments, cwd=tmp_path)
        assert (done.returncode, done.errors) == (0, []), (command, done)
        assert done.stdout, command
        assert ' 0 windows' not in done.stdout
    for file in ('runs/pred_inter2/evaluation/validation/scores.json', 'found/slide/page.html'):
        assert (tmp_path / file).exists()
