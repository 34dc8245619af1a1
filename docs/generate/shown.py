"""Commands that pages show, and which of them tests run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

_PROGRAMS = ('dask', 'docker', 'git', 'make', 'pip', 'python', 'srun', 'tensorboard', 'uv')
_FOLDED = re.compile(r'\s*\\\n\s*')
_VARIABLE = re.compile(r'[A-Z_]+=')


class Shape(NamedTuple):
    """What a command is but for its values: the words up to the first flag, and the flags."""

    program: str
    flags: frozenset[str]


def find_in_page(markdown: str) -> list[str]:
    """The commands in a page's blocks of code, one a line, without prompts."""
    found = []
    for token in MarkdownIt('commonmark').parse(markdown):
        if token.type == 'fence' and token.info.startswith('{'):
            found += find_in_page(token.content)
        elif token.type in ('fence', 'code_block') and 'python' not in token.info:
            found += find_in_block(token.content)
    return found


def find_in_block(text: str) -> list[str]:
    """The commands among the lines of a block of code."""
    lines = (line.removeprefix('$ ') for line in _FOLDED.sub(' ', text).splitlines())
    return [line for line in lines if _begins_with_program(line)]


def _begins_with_program(line: str) -> bool:
    words = line.split()
    while words and _VARIABLE.match(words[0]):
        words.pop(0)
    return len(words) > 1 and words[0] in _PROGRAMS


def read_words(command: str) -> list[str]:
    """A command's words as a shell has them, without variables that are set before it."""
    words = shlex.split(command, comments=True)
    first = next(i for i, word in enumerate(words) if not _VARIABLE.match(word))
    return words[first:]


def read_shape(command: str) -> Shape:
    """A command's program, `python -m ocelot_jax.main` or `make demo`, and its flags."""
    words = read_words(command)
    program = ' '.join(words[: 3 if words[:2] == ['python', '-m'] else 2])
    return Shape(program, frozenset(w.partition('=')[0] for w in words[2:] if w[:2] == '--'))


def read_tested(docs: Path) -> Iterator[tuple[str, str]]:
    """The commands of `tested_commands.txt`, each with the file of its test, '' by default."""
    for line in (docs / 'tested_commands.txt').read_text().splitlines():
        if line and not line.startswith('#'):
            command, _, test = line.partition('  # ')
            yield command.rstrip(), test
