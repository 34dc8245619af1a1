"""How many cores there are for a process that may not use all."""

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='the system pins no process')
def test_cores_are_those_that_the_process_may_use():
    code = (
        'import os; from ocelot_jax.io import cores; '
        'os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(cores.count())'
    )
    told = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert told.stdout == '1\n'
