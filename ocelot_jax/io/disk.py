"""The folder that a command writes to: it can be written, and what if its disk is full."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ocelot_jax.io.errors import OutputError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def make_folder(folder: Path) -> None:
    """Makes the folder where it is missing, and checks that files can be written there.

    Raises:
        OutputError: it cannot be made or written, or the disk is full.
    """
    try:
        with full_as_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b'.')
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f'{folder}: cannot be written ({os.strerror(error.errno)}); choose another --output'
        ) from None


@contextlib.contextmanager
def full_as_error(folder: Path) -> Iterator[None]:
    """Raises an `OutputError` that names the folder where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise OutputError(
            f'{folder}: the disk is full ({error.strerror}); what is complete is kept, and '
            'the same command goes on there'
        ) from error
