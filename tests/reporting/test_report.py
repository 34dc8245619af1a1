"""Reports: which files are written, and where."""

import fake_reports
import pytest
from conftest import make_release

from ocelot_jax.reporting import report


@pytest.fixture
def root(tmp_path):
    source = make_release(tmp_path / 'pairs', {'validation': 2})
    for seed in (0, 1):
        config = fake_reports.make_config('cell_only', source, seed)
        fake_reports.write_run(tmp_path / 'runs' / f'seed{seed}', config)
    return tmp_path / 'runs'


def test_it_writes_tables_and_a_page_below_the_directory(root):
    path = report.write_report(root)
    assert path == root / 'report/index.html'
    stems = ('table_5', 'table_6', 'table_7', 'table_c1', 'table_d1')
    files = {f'{stem}.{form}' for stem in stems for form in ('md', 'csv', 'tex')}
    assert {file.name for file in path.parent.iterdir()} == files | {'index.html'}
    # its own output is no run, so that it can be written again
    before = path.read_text()
    other = report.write_report(root, root / 'else/where')
    assert other == root / 'else/where/index.html'
    assert other.read_text() == before
    assert len(list(other.parent.iterdir())) == len(files) + 1


def test_a_directory_without_runs(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no run with evaluation/validation or'):
        report.write_report(tmp_path)
    with pytest.raises(FileNotFoundError, match='nowhere: no such directory'):
        report.write_report(tmp_path / 'nowhere')
    assert not list(tmp_path.iterdir())
