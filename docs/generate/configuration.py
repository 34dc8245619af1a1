"""The page of every field of a configuration, from the source of `configs/default.py`."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

_INTRO = """\
# Configuration

A run is trained by a file of `configs/`. Each begins with `configs/default.py`, whose fields are
below with their defaults, and changes some of them. On the command line a field is set as in

    python -m ocelot_jax.main --config=configs/pred_inter2.py --config.optimizer.learning_rate=5e-4

and a tuple in quotes, as in `--config.data.cell_classes="('BC','TC')"`. A field that is not there
is an error. A run keeps what it was trained with in `config.json`.

"""


@dataclasses.dataclass(frozen=True)
class Field:
    """A field: its name within its group, its default as it is written, its type, its words."""

    name: str
    default: str
    type: str
    words: str


@dataclasses.dataclass(frozen=True)
class Group:
    """Fields that belong together; `name` is `''` for those at the top, else as `model.vit`."""

    name: str
    words: str
    fields: tuple[Field, ...]


def make(root: Path) -> str:
    """The page's Markdown, of the project's folder."""
    groups = read_groups((root / 'configs/default.py').read_text())
    files = _table('configs', root) + '\n' + _table('configs/sweeps', root)
    return _INTRO + '\n'.join(map(_render, groups)) + f'\n## Files of configs\n\n{files}'


def read_groups(source: str) -> list[Group]:
    """Reads the fields from the source of a module like `configs/default.py`.

    `get_config` holds a dictionary of constants and of calls of functions that return one. The
    comment above a field is its words, the docstring of a function its group's.
    """
    functions = {n.name: n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)}
    top = next(n for n in ast.walk(functions['get_config']) if isinstance(n, ast.Dict))

    def walk(name: str, words: str, node: ast.Dict) -> Iterator[Group]:
        items = [(key, value) for key, value in zip(node.keys, node.values, strict=True)]
        fields = (_read_field(source, *item) for item in items if not _is_group(item[1]))
        yield Group(name, words, tuple(fields))
        for key, value in items:
            if _is_group(value):
                function = functions[value.func.id]
                words = ast.get_docstring(function)
                path = f'{name}.{key.value}'.removeprefix('.')
                yield from walk(path, words, function.body[-1].value)

    return list(walk('', '', top))


def _is_group(value: ast.expr) -> bool:
    return isinstance(value, ast.Call)


def _read_field(source: str, key: ast.Constant, value: ast.expr) -> Field:
    lines = source.splitlines()
    begin = key.lineno - 1
    while lines[begin - 1].strip().startswith('#'):
        begin -= 1
    words = ' '.join(line.strip().lstrip('# ') for line in lines[begin : key.lineno - 1])
    default = ast.get_source_segment(source, value)
    return Field(key.value, default, _name_type(ast.literal_eval(value)), words)


def _name_type(value: object) -> str:
    if isinstance(value, tuple):
        return f'tuple of {_name_type(value[0])}'
    return type(value).__name__


def _render(group: Group) -> str:
    title = f'## {group.name}\n\n{group.words}\n\n' if group.name else ''
    return title + '\n'.join(_render_field(group.name, field) for field in group.fields)


def _render_field(group: str, field: Field) -> str:
    path = f'{group}.{field.name}'.removeprefix('.')
    return f'(config.{path})=\n\n`{path}` {field.type}, `{field.default}`\n: {field.words}\n'


def _table(folder: str, root: Path) -> str:
    """What each configuration of a folder is for, by its docstring's first line."""
    rows = [f'| file of {folder}/ | what it trains |\n|---|---|\n']
    for path in sorted((root / folder).glob('[!_]*.py')):
        summary = ast.get_docstring(ast.parse(path.read_text())).partition('\n')[0]
        rows.append(f'| `{path.name}` | {summary} |\n')
    return ''.join(rows)
