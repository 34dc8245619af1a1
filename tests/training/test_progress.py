"""The CSV of a run's metrics, its TensorBoard curves, and what people read."""

import contextlib
import csv

import jax
import pytest
from tensorboardX import proto

from ocelot_jax.training import progress


def rows(workdir):
    with (workdir / 'metrics.csv').open(newline='') as file:
        return list(csv.reader(file))


def write_epochs(workdir, start, epochs, loss=0.5):
    """Ten steps to the epoch, going on from the epoch `start`."""
    with contextlib.closing(progress.MetricsLog(workdir, 10 * start)) as log:
        for epoch in range(start + 1, start + epochs + 1):
            log.write_epoch(epoch, 10 * epoch, {'loss': loss / epoch, 'mF1': 0.1 * epoch})


def test_one_row_an_epoch(tmp_path):
    write_epochs(tmp_path, 0, 3)
    assert rows(tmp_path) == [
        ['epoch', 'step', 'loss', 'mF1'],
        ['1', '10', '0.5', '0.1'],
        ['2', '20', '0.25', '0.2'],
        ['3', '30', '0.166667', '0.3'],
    ]


def test_rows_are_there_while_the_run_goes_on(tmp_path):
    with contextlib.closing(progress.MetricsLog(tmp_path, 0)) as log:
        for epoch in (1, 2):
            log.write_epoch(epoch, epoch, {'loss': 1.0})
            assert len(rows(tmp_path)) == 1 + epoch
    assert {path.name for path in tmp_path.iterdir()} == {'metrics.csv', 'tensorboard'}


@pytest.mark.parametrize('start', [0, 1, 3])
def test_going_on_from_an_earlier_step_drops_later_rows(tmp_path, start):
    write_epochs(tmp_path, 0, 3)
    before = rows(tmp_path)
    write_epochs(tmp_path, start, 2, loss=30.0)
    after = rows(tmp_path)
    assert after[: 1 + start] == before[: 1 + start]
    assert [row[0] for row in after[1:]] == [str(epoch) for epoch in range(1, start + 3)]
    assert all(float(row[2]) > 1 for row in after[1 + start :])


def test_going_on_within_an_epoch_keeps_the_epochs_before(tmp_path):
    write_epochs(tmp_path, 0, 2)
    with contextlib.closing(progress.MetricsLog(tmp_path, 15)) as log:
        log.write_epoch(2, 20, {'loss': 9.0, 'mF1': 0.0})
    assert [row[:3] for row in rows(tmp_path)[1:]] == [['1', '10', '0.5'], ['2', '20', '9']]


def test_nothing_changes_before_the_next_epoch_ends(tmp_path):
    write_epochs(tmp_path, 0, 3)
    before = rows(tmp_path)
    with contextlib.closing(progress.MetricsLog(tmp_path, 30)):
        assert rows(tmp_path) == before
    assert rows(tmp_path) == before


def events(workdir):
    """All events of TensorBoard's files, whose records are length, crc, event, crc."""
    found = []
    for path in sorted((workdir / 'tensorboard').iterdir()):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], 'little')
            found.append(proto.event_pb2.Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def test_curves_for_tensorboard(tmp_path):
    with contextlib.closing(progress.MetricsLog(tmp_path, 0)) as log:
        log.write_step(1, {'loss': 0.5})
        log.write_step(2, {'loss': 0.25})
        log.write_epoch(1, 2, {'mF1': 0.75})
    points = [(v.tag, e.step, v.simple_value) for e in events(tmp_path) for v in e.summary.value]
    assert points == [('loss', 1, 0.5), ('loss', 2, 0.25), ('mF1', 2, 0.75)]


def test_tensorboard_drops_what_was_written_after_the_step(tmp_path):
    with contextlib.closing(progress.MetricsLog(tmp_path, 15)) as log:
        log.write_step(16, {'loss': 0.5})
    # TensorBoard purges the points from a session's start on
    start = proto.event_pb2.SessionLog.START
    assert [e.step for e in events(tmp_path) if e.session_log.status == start] == [16]


def test_describe():
    assert progress.describe({'loss': 0.12345, 'mF1': 1.0}) == 'loss 0.123  mF1 1.000'


def reporter(workdir):
    return progress.Reporter(workdir, step=25, total_steps=100, batch_size=8)


def test_reporter_counts_pairs_and_keeps_rows(tmp_path, capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now)
    with reporter(tmp_path) as told:
        told.step(26, {'loss': 0.5})
        told.epoch(2, 26, {'loss': 0.5, 'mF1': 0.25})
        # the first of these comes long after the epoch before, for it was validated
        for step, seconds in enumerate((91.0, 100.0, 101.0, 103.0), 27):
            now = seconds
            told.step(step, {'loss': 0.5})
        told.epoch(3, 30, {'loss': 0.5, 'mF1': 0.25})
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        'the first step is compiled, which may take some minutes',
        'epoch 2: loss 0.500  mF1 0.250',
        'epoch 3: loss 0.500  mF1 0.250  (0.311 pairs/s, 30:02 left)',
    ]
    assert printed.err.splitlines() == [
        'training: 216 of 800 pairs, 27%, 0.0879 pairs/s, 1:50:42 left, loss 0.500',
        'training: 240 of 800 pairs in 01:43',
    ]
    assert rows(tmp_path) == [
        ['epoch', 'step', 'loss', 'mF1', 'step_seconds'],
        ['2', '26', '0.5', '0.25', 'nan'],
        ['3', '30', '0.5', '0.25', '2'],
    ]


def test_other_hosts_say_and_write_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jax, 'process_index', lambda: 1)
    with reporter(tmp_path) as told:
        told.step(26, {'loss': 0.5})
        told.epoch(2, 26, {'loss': 0.5, 'mF1': 0.25})
    assert capsys.readouterr() == ('', '')
    assert list(tmp_path.iterdir()) == []
