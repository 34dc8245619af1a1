"""Locks: held by one process, and gone with it."""

import signal
import subprocess
import sys

from ocelot_jax.io import locks

HOLD = (
    'import sys, time\n'
    'from pathlib import Path\n'
    'from ocelot_jax.io import locks\n'
    'with locks.exclusive(Path(sys.argv[1]), waiting=sys.exit):\n'
    '    print("mine", flush=True)\n'
    '    time.sleep(600)\n'
)


def test_a_killed_process_holds_nothing(tmp_path):
    file = tmp_path / 'folder/lock'
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(file)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == 'mine\n'
        # which this one notices, and waits for
        with locks.exclusive(file, waiting=process.kill):
            assert process.wait() == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
