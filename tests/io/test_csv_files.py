"""CSV files, written whole and read back."""

import pytest

from ocelot_jax.io import csv_files


def test_text_and_gaps_come_back(tmp_path):
    path = tmp_path / 'table.csv'
    rows = [{'name': 'a, "b"\nç', 'value': 0.5}, {'value': None}]
    csv_files.write_rows(path, ['value', 'name'], rows)
    assert path.read_bytes() == 'value,name\r\n0.5,"a, ""b""\nç"\r\n,\r\n'.encode()
    assert csv_files.read_rows(path) == [
        {'value': '0.5', 'name': 'a, "b"\nç'},
        {'value': '', 'name': ''},
    ]


def test_a_bad_row_leaves_what_was_there(tmp_path):
    path = tmp_path / 'table.csv'
    csv_files.write_rows(path, ['a'], [{'a': 1}])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="'b'"):
        csv_files.write_rows(path, ['a'], [{'a': 2}, {'b': 3}])
    assert [file.name for file in tmp_path.iterdir()] == ['table.csv']
    assert path.read_bytes() == before
