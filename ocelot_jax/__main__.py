"""Lists the commands: `python -m ocelot_jax`."""

import ast
from pathlib import Path

from ocelot_jax.io import text_table


def list_commands() -> list[tuple[str, str]]:
    """The commands and what each does: the modules beside this one, by their docstrings."""
    commands = []
    for path in sorted(Path(__file__).parent.glob('*.py')):
        if not path.stem.startswith('__'):
            text = ast.get_docstring(ast.parse(path.read_text())) or ''
            summary = text.partition('\n')[0]
            commands.append((f'python -m ocelot_jax.{path.stem}', summary.partition(':')[0]))
    return commands


if __name__ == '__main__':
    print(text_table.align(list_commands(), left=2))
    print('\nEach explains its flags with --help.')
