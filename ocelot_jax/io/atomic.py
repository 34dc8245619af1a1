"""Files that appear whole or not at all."""

import contextlib
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary name to write; the file takes the name `path` when the block ends well.

    Where the block raises, the temporary file goes and what was at `path` stays as it was.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        A name beside `path`, with the same suffix.
    """
    path = Path(path)
    # no process id: hosts that share a disk have some in common
    temporary = path.with_name(f'.{path.stem}.{uuid.uuid4().hex[:12]}{path.suffix}')
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a new folder to fill; it takes the name `path` when the block ends well.

    Where the block raises, what was at `path` stays as it was. It is removed last. A process
    killed between the two renamings leaves nothing at `path`; the next call there finishes what
    that one began.

    Args:
        path: the folder to write; the one above it must exist.

    Yields:
        An empty folder beside `path`.
    """
    path = Path(path)
    _put_in_order(path)
    mark = uuid.uuid4().hex[:12]
    new, old = (path.with_name(f'.{path.name}.{mark}.{which}') for which in ('new', 'old'))
    new.mkdir()
    try:
        yield new
        if path.exists():
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    finally:
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)


def _put_in_order(path: Path) -> None:
    """Finishes what a process that was killed in `replacing_folder` began."""
    for old in path.parent.glob(f'.{glob.escape(path.name)}.*.old'):
        # moved away once its successor was whole
        new = old.with_suffix('.new')
        if not path.exists():
            (new if new.exists() else old).rename(path)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a file of text, in UTF-8, whole or not at all; its folder must exist."""
    with replacing(path) as temporary:
        temporary.write_text(text, 'utf-8')
