"""The benchmark of a device: nothing that becomes of a part loses the figures of another."""

import json

import pytest

from benchmarks import device

PARTS = {
    'well': "print('{\"value\": 1}'); print('not a figure')",
    'wrong': "print('{\"value\": 2}', flush=True); raise OSError('no such thing')",
    'hangs': 'import time; print(\'{"value": 3}\', flush=True); time.sleep(100)',
    'last': 'print(\'{"value": 4}\')',
}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """What is kept of the parts, one of which has three seconds, and of one for which none are."""
    for name, code in PARTS.items():
        (tmp_path / f'part_{name}.py').write_text(code)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    parts = [device.Part(name, [f'part_{name}'], 3 if name == 'hangs' else 60) for name in PARTS]
    runner = device.Runner(tmp_path, patience=1.0)
    runner.run(parts, until=8.0)
    runner.run([device.Part('late', ['part_well'], 60)], until=0)
    lines = (tmp_path / 'device.jsonl').read_text().splitlines()
    return [json.loads(line) for line in lines], (tmp_path / 'device.log').read_text()


def test_every_part_keeps_its_figures_and_how_it_ended(kept):
    figures, log = kept
    assert [(line['part'], line['value']) for line in figures if 'value' in line] == [
        (name, value) for value, name in enumerate(PARTS, 1)
    ]
    ended = {line['part']: line for line in figures if 'ended' in line}
    assert {name: line['ended'] for name, line in ended.items()} == {
        'well': 'status 0',
        'wrong': 'status 1',
        'hangs': 'killed',
        'last': 'status 0',
        'late': 'not begun: no time was left',
    }
    assert ended['wrong']['said'] == 'OSError: no such thing'
    assert 'not a figure' in log
    assert 'Traceback' in log
