"""Values of flags that are more than one number or word."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ocelot_jax.data.patches import Patches
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.prediction import given_mpp

_TABLES = ('.csv', '.tsv', '.txt')


def parse_path(text: str | None) -> Path | None:
    """Parses the flag of a file or folder that need not be given."""
    return Path(text) if text else None


def parse_existing(flag: str, text: str) -> Path:
    """Reads the path that a flag or argument has; a MissingFileError where nothing is there."""
    if not Path(text).exists():
        raise MissingFileError(f'{flag}: {text}: no such file or directory')
    return Path(text)


def parse_runs(paths: Sequence[str], flag: str = '--workdir') -> list[Path]:
    """Reads directories of runs, whose configurations are read to see that they are there.

    Raises:
        MissingFileError: a directory holds no run.
        InputError: its configuration is damaged, or none is named.
    """
    from ocelot_jax.runs import configuration  # --help need not load it

    if not paths or '' in paths:
        raise InputError(f'{flag}: is empty; want the directory of a run')
    runs = [Path(path) for path in paths]
    for run in runs:
        configuration.load_config(run)
    return runs


def parse_split(text: str | None) -> str | None:
    """Gives the name of a split as it is; an InputError where it is none."""
    if text is not None:
        from ocelot_jax.data.release import split_name  # --help need not load it

        split_name(text)
    return text


def parse_numbers(flag: str, text: str | None, names: str) -> tuple[float, ...] | None:
    """Reads numbers between commas, as many as `names`; None where the flag is not set.

    Raises:
        InputError: it is not as many numbers.
    """
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(','))
    except ValueError:
        numbers = ()
    if len(numbers) != len(names.split(',')):
        raise InputError(f'--{flag}: {text!r}; want {names} as numbers')
    return numbers


def parse_patches(text: str | None) -> Patches | None:
    """Reads the value of `--patches`, 'SIDE,UM,SIDE,UM': pixels and um/px, cell then tissue.

    Raises:
        InputError: it is something else, or `Patches.check` refuses it.
    """
    numbers = parse_numbers('patches', text, 'SIDE,UM,SIDE,UM')
    if numbers is None:
        return None
    cell_size, cell_mpp, tissue_size, tissue_mpp = numbers
    if not (cell_size.is_integer() and tissue_size.is_integer()):
        raise InputError(f'--patches: {text!r}; want whole numbers of pixels')
    patches = Patches(int(cell_size), cell_mpp, int(tissue_size), tissue_mpp)
    patches.check()
    return patches


def parse_mpp(text: str | None) -> float | Path | None:
    """Reads um/px, or the name of a CSV file of them; None where the flag is not set.

    Raises:
        InputError: it is neither, or not above 0.
    """
    if text is None:
        return None
    if Path(text).suffix.lower() in _TABLES:
        return Path(text)
    return given_mpp.parse(text, '--mpp')


def parse_shard(text: str) -> tuple[int, int]:
    """Reads 'i/n'; an InputError where it is none, or i is not below n."""
    index, _, count = text.partition('/')
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InputError(f'--shard: {text!r}; want i/n with i from 0 to n - 1, as in 0/4')
    return int(index), int(count)


def parse_override(text: str) -> tuple[str, Any]:
    """Reads 'field=value', where the value is a Python literal or else a string."""
    name, equals, value = text.partition('=')
    if not equals:
        raise InputError(f'--override: {text!r}; want field=value, as in data.source=PATH')
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value
