"""Names of files, which tables, JSON and pages hold in UTF-8."""

import os

from ocelot_jax.io.errors import InputError

AnyPath = str | os.PathLike[str]


def shown(path: AnyPath) -> str:
    r"""Gives a path for people; bytes that are not UTF-8, in which names may be, as `\xff`."""
    return os.fsencode(path).decode('utf-8', 'backslashreplace')


def check(path: AnyPath) -> None:
    """Refuses what could not be written into a file.

    Raises:
        InputError: a name in the path is not UTF-8.
    """
    if os.fspath(path) != shown(path):
        raise InputError(
            f'{shown(path)}: has a name that is not UTF-8, as results want it; rename it'
        )
