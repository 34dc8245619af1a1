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


def run(code, *arguments, **variables):
    names = ('GLIBC_TUNABLES', 'JAX_COMPILATION_CACHE_DIR')
    environment = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, '-c', code, *arguments]
    done = subprocess.run(
        command, env=environment | variables, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc alone knows the setting')
def test_a_process_gets_huge_pages_once_and_keeps_what_is_set():
    assert run(SHOW_TUNABLES) == 'glibc.malloc.hugetlb=1'
    assert run(SHOW_TUNABLES, GLIBC_TUNABLES='glibc.malloc.check=0') == 'glibc.malloc.check=0'


def test_compilations_are_kept_in_the_folder_or_where_the_variable_says(tmp_path):
    assert run(SHOW_CACHE, str(tmp_path)) == str(tmp_path / 'compilation_cache')
    elsewhere = str(tmp_path / 'elsewhere')
    assert run(SHOW_CACHE, str(tmp_path), JAX_COMPILATION_CACHE_DIR=elsewhere) == elsewhere
