"""The page of every command's flags."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from absl import flags

_INTRO = """\
# Commands

`python -m ocelot_jax` lists them; each explains its flags with `--help`. Lists are written with
commas, a flag that is true or false as `--recursive` or `--norecursive`. Each
takes `--quiet`, which leaves out progress and warnings, and `--verbose`, which shows what the
libraries note and the traceback of an error in the input.

"""


def make(root: Path) -> str:
    """The page's Markdown, of the project's folder."""
    return _INTRO + '\n'.join(map(_render, find(root)))


def find(root: Path) -> list[str]:
    """The names of the commands."""
    return [path.stem for path in sorted((root / 'ocelot_jax').glob('[!_]*.py'))]


def _render(name: str) -> str:
    module = importlib.import_module(f'ocelot_jax.{name}')
    words = module.__doc__.strip()
    rows = ''.join(map(_render_flag, define(module)))
    return f'## {name}\n\n{words}\n\n| flag | default | what it is |\n|---|---|---|\n{rows}'


def define(module: object) -> Iterator[flags.Flag]:
    """The flags that a command defines, in its order, of which absl is told no more afterwards."""
    before = set(flags.FLAGS)
    module.define_flags()
    names = [name for name in flags.FLAGS if name not in before]
    order = list(flags.FLAGS.__dict__['__flags'])
    try:
        yield from (flags.FLAGS[name] for name in sorted(names, key=order.index))
    finally:
        for name in names:
            delattr(flags.FLAGS, name)


def _render_flag(flag: flags.Flag) -> str:
    required = any('must have a value' in validator.message for validator in flag.validators)
    default = 'required' if required else _code(flag.default_as_str)
    # absl writes choices before the words, and more behind them
    words = re.sub(r'^<.*?>: |;\s+repeat this option.*', '', flag.help, flags=re.DOTALL)
    if choices := getattr(flag.parser, 'enum_values', None):
        words += f' One of {", ".join(map(_code, choices))}.'
    if isinstance(flag, flags.MultiFlag):
        words += ' Can be repeated.'
    return f'| `--{flag.name}` | {default} | {words.replace("<", "&lt;")} |\n'


def _code(text: str | None) -> str:
    return '' if text in (None, '[]') else f'`{text.strip(chr(39))}`'
