"""Whether a folder can be written."""

import errno
import os

import pytest

from ocelot_jax.io import disk


def test_a_folder_that_can_be_made_is_not_made_yet(tmp_path):
    disk.check_writable(tmp_path / 'runs/new')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('number', 'told'),
    [
        (errno.ENOSPC, 'the disk is full (No space left on device); '),
        (errno.EROFS, 'cannot be written (Read-only file system); give --output, or --workdir'),
    ],
)
def test_a_disk_that_takes_nothing_is_told_before_the_work(tmp_path, monkeypatch, number, told):
    def refuse(**options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(disk.tempfile, 'TemporaryFile', refuse)
    with pytest.raises(OSError) as raised:
        disk.check_writable(tmp_path / 'runs/new')
    assert str(raised.value).startswith(f'{tmp_path}: {told}')
