"""The command that writes a report."""

import sys

import fake_reports
import pytest
from absl import flags
from conftest import make_release

from ocelot_jax import reporting
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
    assert report.write_report(root).read_text() == before


def test_it_writes_where_it_is_told(root, tmp_path, monkeypatch, capsys):
    values = flags.FlagValues()
    flags.DEFINE_string('output', str(tmp_path / 'else/where'), '', flag_values=values)
    values.mark_as_parsed()
    monkeypatch.setattr(flags, 'FLAGS', values)
    report.main(str(root))
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / 'else/where/index.html')
    assert (tmp_path / 'else/where/table_5.tex').exists()


def test_without_jinja2_the_extra_is_named(root, monkeypatch):
    monkeypatch.setitem(sys.modules, 'jinja2', None)
    monkeypatch.delitem(sys.modules, 'ocelot_jax.reporting.page', raising=False)
    monkeypatch.delattr(reporting, 'page', raising=False)
    with pytest.raises(RuntimeError, match=r"jinja2 is not installed.*\.\[slides\]'$"):
        report.write_report(root)
    assert not (root / 'report').exists()


def test_a_directory_without_runs(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no run with evaluation/validation or'):
        report.write_report(tmp_path)
    with pytest.raises(FileNotFoundError, match='nowhere: no such directory'):
        report.write_report(tmp_path / 'nowhere')
    assert not list(tmp_path.iterdir())
