"""The Python API of the package."""

import subprocess
import sys

import pytest

import ocelot_jax

COUNT = """
import sys
import ocelot_jax
print(sorted({name.partition('.')[0] for name in sys.modules} & {'jax', 'numpy', 'absl'}))
ocelot_jax.PairFolder
print('jax' in sys.modules)
"""


@pytest.mark.parametrize('name', ocelot_jax.__all__)
def test_every_name_is_there_and_told_of(name):
    assert getattr(ocelot_jax, name).__doc__
    assert f'`{name}' in ocelot_jax.__doc__
    assert name in dir(ocelot_jax)


def test_what_is_not_used_is_not_loaded():
    done = subprocess.run(
        [sys.executable, '-c', COUNT], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ['[]', 'False']


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="'ocelot_jax' has no attribute 'nope'"):
        _ = ocelot_jax.nope
