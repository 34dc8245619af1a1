"""Content is told from other content."""

import numpy as np
import pytest

from ocelot_jax.io import digests

SIZE = 100 << 16


def test_json_whatever_its_order():
    assert digests.of_json({'a': 1, 'b': [2]}) == digests.of_json({'b': [2], 'a': 1})
    assert digests.of_json({'a': 1}) != digests.of_json({'a': 1.5})


def test_arrays_by_values_shapes_types_and_order():
    one, two = np.arange(6, dtype=np.float32), np.arange(6, 12, dtype=np.float32)
    alike = digests.of_arrays([one, two])
    assert digests.of_arrays(iter([one.copy(), two.copy()])) == alike
    others = [[two, one], [one.reshape(2, 3), two], [one.view(np.int32), two], [one, two + 1]]
    assert len({alike, *map(digests.of_arrays, others)}) == 5


@pytest.mark.parametrize('size', [0, 10, SIZE])
def test_files_by_size_and_bytes_at_both_ends(tmp_path, size):
    content = bytearray(np.random.default_rng(0).bytes(size))
    file = tmp_path / 'slide'
    file.write_bytes(content)
    found = [digests.of_file(file)]
    for place in {0, size - 1} if size else ():
        content[place] ^= 1
        file.write_bytes(content)
        found.append(digests.of_file(file))
    file.write_bytes(content + b'.')
    found.append(digests.of_file(file))
    assert len(set(found)) == len(found)
