"""The folder that a command writes to: it can be written, and what if its disk is full."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ocelot_jax.io.errors import MissingFileError, OutputError

_GOES_ON = 'what is complete is kept, and the same command goes on there when there is room'
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
            f'{folder}: cannot be written ({error.strerror}); give --output, or --workdir of a '
            'training, a folder that can'
        ) from None


def check_folder(file: Path) -> None:
    """Raises a MissingFileError unless the folder is there that a file is to be written to."""
    if not file.parent.is_dir():
        raise MissingFileError(f'{file}: the folder {file.parent} is not there; make it first')


def check_writable(folder: Path) -> None:
    """Checks that a folder can be made and written, and makes none.

    Raises:
        OutputError: as `make_folder`.
    """
    make_folder(nearest_folder(folder))


def nearest_folder(folder: Path) -> Path:
    """The folder where it is there, else the nearest above it that is."""
    whole = folder.absolute()
    return next(place for place in (whole, *whole.parents) if place.is_dir())


@contextlib.contextmanager
def full_as_error(folder: Path, advice: str = _GOES_ON) -> Iterator[None]:
    """Raises an `OutputError` that names the folder where the disk is full, with advice."""
    try:
        yield
    except Exception as error:
        reason = _disk_full(error)
        if reason is None:
            raise
        raise _full(folder, reason, advice) from error


def require_room(folder: Path, size: int) -> None:
    """Raises an `OutputError` where the folder's disk has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise _full(folder, f'{free / 1e6:.0f} MB are left, and {size / 1e6:.0f} are needed')


def _full(folder: Path, reason: str, advice: str = _GOES_ON) -> OutputError:
    return OutputError(f'{folder}: the disk is full ({reason}); {advice}')


def _disk_full(error: Exception) -> str | None:
    """What the system said of a full disk; None where that is not the error."""
    if isinstance(error, OSError):
        return error.strerror if error.errno in _DISK_FULL else None
    # TensorStore, below Orbax, raises errors of other kinds
    return next((told for told in map(os.strerror, _DISK_FULL) if told in str(error)), None)
