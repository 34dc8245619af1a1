"""Locks: held by one process, and gone with it."""

import subprocess
import sys

from ocelot_jax.io import locks

HOLD = (
    'import sys, time\n'
    'from pathlib import Path\n'
    'from ocelot_jax.io import locks\n'
    'with locks.try_lock(Path(sys.argv[1])) as mine:\n'
    '    print(mine, flush=True)\n'
    '    time.sleep(600)\n'
)


def test_a_killed_process_holds_nothing(tmp_path):
    file = tmp_path / 'folder/lock'
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(file)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == 'True\n'
        with locks.try_lock(file) as mine:
            assert not mine
    finally:
        process.kill()
        process.communicate()
    with locks.try_lock(file) as mine:
        assert mine
