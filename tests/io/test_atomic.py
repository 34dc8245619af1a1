"""Files and folders that take their places whole, whatever ends the process that writes them."""

import subprocess
import sys
from pathlib import Path

import pytest

from ocelot_jax.io import atomic

DIES = """
import os, shutil, sys
from pathlib import Path
from ocelot_jax.io import atomic
rename, count, step = Path.rename, 0, int(sys.argv[2])
def die(*arguments, **options):
    os._exit(9)
def rename_or_die(*arguments):
    global count
    count += 1
    return die() if count == step else rename(*arguments)
Path.rename = rename_or_die
if step > 2:
    shutil.rmtree = die
with atomic.replacing_folder(sys.argv[1]) as folder:
    (folder / 'a').write_text('second')
    if not step:
        die()
"""


def put(path, text):
    with atomic.replacing_folder(path) as folder:
        (folder / 'a').write_text(text)


def contents(path):
    return {file.name: file.read_text() for file in path.iterdir()}


@pytest.mark.parametrize('name', ['val', 'val-on-[x] y-1234', '.hidden.new'])
@pytest.mark.parametrize(
    ('moment', 'left', 'then'),
    [
        (0, {'a': 'first'}, 'first'),  # amid the writing
        (1, {'a': 'first'}, 'first'),  # before the first is moved away
        (2, None, 'second'),  # between the two renamings
        (3, {'a': 'second'}, 'second'),  # before the first is removed
    ],
)
def test_a_killed_swap_leaves_the_first_or_the_second(moment, left, then, name, tmp_path):
    path = tmp_path / name
    put(path, 'first')
    command = [sys.executable, '-c', DIES, str(path), str(moment)]
    assert subprocess.run(command, check=False).returncode == 9
    assert (contents(path) if path.exists() else None) == left
    # the next call puts it in order, also where it fails itself
    with pytest.raises(InterruptedError), atomic.replacing_folder(path):
        raise InterruptedError
    assert contents(path) == {'a': then}
    put(path, 'third')
    assert contents(path) == {'a': 'third'}
    assert not list(tmp_path.glob('.*.old'))


@pytest.mark.parametrize('taken', [False, True])
def test_a_folder_that_cannot_take_its_place_leaves_what_was_there(taken, tmp_path, monkeypatch):
    path, rename = tmp_path / 'val', Path.rename
    if taken:
        put(path, 'first')

    def fail(self, target):
        if self.name.endswith('.new'):
            raise PermissionError
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'rename', fail)
        with pytest.raises(PermissionError):
            put(path, 'second')
    assert [folder.name for folder in tmp_path.iterdir()] == ['val'] * taken
    assert not taken or contents(path) == {'a': 'first'}


@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_a_file_that_cannot_be_written_leaves_what_was_there(error, tmp_path):
    def write():
        with atomic.replacing(tmp_path / 'a') as temporary:
            temporary.write_text('half')
            raise error

    (tmp_path / 'a').write_text('first')
    with pytest.raises(error):
        write()
    assert contents(tmp_path) == {'a': 'first'}
