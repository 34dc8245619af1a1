"""Files of configurations and sweeps, by name: `configs/cell_only.py`, `configs/crc.py:unet`."""

import importlib.resources
import inspect
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_collections

from ocelot_jax.io.errors import InputError, MissingFileError

_FOLDER = 'configs'
# kinds of files, by the function that they define
_KINDS = {
    'get_config': 'a configuration, a file of configs/ for --config',
    'get_sweep': 'a sweep, a file of configs/sweeps/ for --sweep',
}


def locate(name: str) -> str:
    """Finds a file where it is, or in the installed package.

    Args:
        name: a path, maybe with a colon and an argument. One below `configs/` that the working
            directory lacks is searched in `ocelot_jax.configs`.

    Returns:
        The path of a file that exists, with the colon and the argument.

    Raises:
        MissingFileError: there is none.
    """
    file, colon, argument = name.partition(':')
    path = Path(file)
    if not path.is_file():
        folder, *parts = path.parts or ('',)
        installed = importlib.resources.files('ocelot_jax.configs').joinpath(*parts)
        if folder != _FOLDER or not installed.is_file():
            raise MissingFileError(f'{file}: is not there; want a file of {_FOLDER}/')
        path = Path(str(installed))
    return f'{path}{colon}{argument}'


def read_config(name: str) -> ml_collections.ConfigDict:
    """Reads a configuration by its name, see `locate`.

    Raises:
        MissingFileError: there is no such file.
        InputError: it has no function `get_config`, or the argument is wrong.
    """
    return call(name, 'get_config')


def check_whole(config: ml_collections.ConfigDict, label: str) -> None:
    """Refuses a configuration that lacks fields which `configs/default.py` has.

    Raises:
        InputError: it does; named by `label`.
    """
    missing = list(_missing(config, read_config('configs/default.py'), 'config'))
    if missing:
        raise InputError(f'{label}: lacks {", ".join(missing)}; want what the trainer wrote')


def _missing(held: Any, wanted: Any, name: str) -> Iterator[str]:
    if isinstance(wanted, ml_collections.ConfigDict):
        for key, value in wanted.items():
            if isinstance(held, ml_collections.ConfigDict) and key in held:
                yield from _missing(held[key], value, f'{name}.{key}')
            else:
                yield f'{name}.{key}'


def call(name: str, function: str) -> Any:
    """Calls a function of a file, see `locate`, with what follows the colon of its name.

    Raises:
        MissingFileError: there is no such file.
        InputError: it has no such function or raises an error, or the argument is wrong.
    """
    file, _, argument = locate(name).partition(':')
    try:
        defined = runpy.run_path(file)
    except Exception as error:  # it is the user's program
        raise _raised(name, error) from error
    if function not in defined:
        others = [other for other in _KINDS if other in defined]
        found = f' but {others[0]}, so it is {_KINDS[others[0]]}' if others else ''
        raise InputError(f'{name}: defines no function {function}{found}; want {_KINDS[function]}')
    wanted = defined[function]
    arguments = [argument] if argument else []
    try:
        inspect.signature(wanted).bind(*arguments)
    except TypeError as error:
        told = f'takes no argument {argument!r}' if argument else 'wants an argument'
        raise InputError(f'{name}: {function} {told} behind a colon') from error
    try:
        return wanted(*arguments)
    except InputError as error:  # an argument is the name of another configuration
        raise InputError(f'{name}: {error}') from error
    except Exception as error:
        raise _raised(name, error) from error


def _raised(name: str, error: Exception) -> InputError:
    line = ' '.join(f'{type(error).__name__}: {error}'.split())
    return InputError(f'{name}: raises {line}; --verbose tells where')
