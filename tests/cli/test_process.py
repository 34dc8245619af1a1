"""How a command's process is set up, seen from processes of their own."""

import os
import subprocess
import sys

import pytest

SHOW_TUNABLES = """
import os
from ocelot_jax.cli import process
process.use_huge_pages()
print(os.environ.get('GLIBC_TUNABLES'))
"""
SHOW_CACHE = """
import sys
from pathlib import Path
from ocelot_jax.cli import process
process.keep_compilations(Path(sys.argv[1]))
import jax
print(jax.config.jax_compilation_cache_dir)
"""

# what a command loads before it looks at its flags, runs and data; and a device that is not there
SHOW_LOADED = """
import sys
from ocelot_jax.cli import app, hosts, parsing, predicting, process, sharing
from ocelot_jax.data import sources
from ocelot_jax.io import disk
from ocelot_jax.inference.engines import ENGINES
slow = 'flax', 'jax', 'matplotlib', 'orbax', 'scipy', 'tensorflow', 'tensorflow_datasets'
print(*(name for name in slow if name in sys.modules))
try:
    process.check_devices()
except ValueError as error:
    print(error)
"""


def run(code, *arguments, **variables):
    names = ('GLIBC_TUNABLES', 'JAX_COMPILATION_CACHE_DIR')
    environment = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, '-c', code, *arguments]
    done = subprocess.run(
        command, env=environment | variables, check=True, capture_output=True, text=True
    )
    return done.stdout.rstrip()


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc alone knows the setting')
def test_a_process_gets_huge_pages_once_and_keeps_what_is_set():
    assert run(SHOW_TUNABLES) == 'glibc.malloc.hugetlb=1'
    assert run(SHOW_TUNABLES, GLIBC_TUNABLES='glibc.malloc.check=0') == 'glibc.malloc.check=0'


def test_compilations_are_kept_in_the_folder_or_where_the_variable_says(tmp_path):
    assert run(SHOW_CACHE, str(tmp_path)) == str(tmp_path / 'compilation_cache')
    elsewhere = str(tmp_path / 'elsewhere')
    assert run(SHOW_CACHE, str(tmp_path), JAX_COMPILATION_CACHE_DIR=elsewhere) == elsewhere
    later = tmp_path / 'runs'  # a first training makes it
    assert run(SHOW_CACHE, str(later)) == str(later / 'compilation_cache')
    # root may write everywhere but where the system has no files
    assert run(SHOW_CACHE, '/proc/sys/kernel') == 'None'


def test_nothing_slow_is_loaded_before_the_flags_are_looked_at_nor_is_a_missing_device_a_bug():
    loaded, _, told = run(SHOW_LOADED, JAX_PLATFORMS='cuda').partition('\n')
    assert loaded == ''
    if told:  # where there is no such GPU
        assert told.startswith("JAX_PLATFORMS: 'cuda': JAX finds no such device")
        assert '\n' not in told
