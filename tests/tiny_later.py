"""`tests/tiny.py` as a configuration for several hosts, whose supervisors load no network.

A step takes as many seconds longer as `PAUSE` in the environment says.
"""

import os
import time

from ml_collections import ConfigDict

from ocelot_jax.cli import hosts


def get_config() -> ConfigDict:
    if hosts._STDERR in os.environ:
        from tests import tiny

        _slow_down(float(os.environ.get('PAUSE', 0)))
        return tiny.get_config()
    from ocelot_jax.configs import default

    return default.get_config()


def _slow_down(seconds):
    from ocelot_jax.training import progress

    report = progress.Reporter.step

    def step(*arguments):
        time.sleep(seconds)
        report(*arguments)

    progress.Reporter.step = step
