"""How a program's process is set up, seen from processes of their own."""

import os
import subprocess
import sys

import pytest

SHOW_TUNABLES = """
import os
from ocelot_jax import cli
cli.use_huge_pages()
print(os.environ.get('GLIBC_TUNABLES'))
"""
SHOW_CACHE = """
import sys
from pathlib import Path
from ocelot_jax import cli
cli.keep_compilations(Path(sys.argv[1]))
import jax
print(jax.config.jax_compilation_cache_dir)
"""
SHOW_ARGUMENTS = """
from absl import flags
from ocelot_jax import cli
flags.DEFINE_string('output', 'none', '')
cli.run(lambda *given: print(*given, flags.FLAGS.output), positionals=NAMES)
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


def with_arguments(names, *arguments):
    code = SHOW_ARGUMENTS.replace('NAMES', repr(names))
    return subprocess.run([sys.executable, '-c', code, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize(
    ('names', 'arguments', 'printed'),
    [
        (['DIR'], ['runs', '--output=x'], 'runs x'),
        (['DIR'], ['--output=x', 'runs'], 'runs x'),
        (['A', 'B'], ['one', '--output', 'x', 'two'], 'one two x'),
        ([], ['--output=x'], 'x'),
    ],
)
def test_arguments_without_flags_are_passed_on_wherever_they_stand(names, arguments, printed):
    assert with_arguments(names, *arguments).stdout == f'{printed}\n'


@pytest.mark.parametrize(
    ('names', 'arguments', 'told'),
    [
        (['DIR'], [], 'error: DIR is missing; want DIR and flags'),
        (['A', 'B'], ['one'], 'error: B is missing; want A B and flags'),
        (['DIR'], ['a', 'b'], "error: argument 'b' is no flag and not one of DIR; flags begin"),
        ([], ['a'], "error: argument 'a' is no flag; flags begin with --"),
    ],
)
def test_too_few_and_too_many_arguments_are_one_line(names, arguments, told):
    done = with_arguments(names, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert done.stderr.count('\n') == 1
