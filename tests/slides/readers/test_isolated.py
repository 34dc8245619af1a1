"""Slides that are read in a process of their own, and what a death of it costs."""

import os
import signal
import struct
import threading

import numpy as np
import pytest
from drawn_slides import write_pyramid

from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.slides import readers
from ocelot_jax.slides.readers.isolated import ReadingProcess
from ocelot_jax.slides.slide import Slide


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    path = tmp_path_factory.mktemp('slides') / 'a.tif'
    write_pyramid(path, image, 0.5, ratios=(2,))
    return path


@pytest.fixture
def deadly(tmp_path, monkeypatch):
    """A reader, for the other process to find, whose regions do as their width says."""
    (tmp_path / 'sitecustomize.py').write_text(
        'import os, struct, time\n'
        'from ocelot_jax.slides.readers import openslide\n'
        'region = openslide.Reader.region\n'
        'class Unsent(Exception):\n'
        '    def __reduce__(self): raise TypeError("cannot be pickled")\n'
        'class Unbuilt(Exception):\n'
        '    def __init__(self, one, other): super().__init__(one)\n'
        'def do(self, level, x, y, width, height):\n'
        '    if width == 11: os.kill(os.getpid(), 11), time.sleep(60)\n'
        '    if width == 12: os._exit(0)\n'
        '    if width == 13: raise struct.error("unpack requires more")\n'
        '    if width == 15: raise Unsent()\n'
        '    if width == 16: raise Unbuilt("a", "b")\n'
        '    if width == 17: raise SystemExit  # of a thread, while the process goes on\n'
        '    return region(self, level, x, y, width, height)\n'
        'openslide.Reader.region = do\n'
        'openslide.Reader.bounds = lambda self: (13, 7, 200, 150)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_it_reads_what_is_read_here_by_many_threads_at_once(path):
    process = ReadingProcess()
    with Slide(path) as here, Slide(path, open_reader=process.open) as there:
        assert (there.mpp, there.bounds) == (here.mpp, here.bounds)
        wanted = [here.read(x, 20, 90, 80, 0.7) for x in range(12)]
        found = [None] * 12
        threads = [
            threading.Thread(
                target=lambda x=x: found.__setitem__(x, there.read(x, 20, 90, 80, 0.7))
            )
            for x in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    np.testing.assert_array_equal(found, wanted)


def test_errors_are_those_of_the_reader(tmp_path):
    process = ReadingProcess()
    with pytest.raises(MissingFileError, match=r'none\.svs: no such file'):
        process.open(tmp_path / 'none.svs')
    (tmp_path / 'a.svs').write_text('hello')
    for _ in range(2):
        with pytest.raises(InputError) as here:
            readers.open_reader(tmp_path / 'a.svs')
        with pytest.raises(InputError) as there:
            process.open(tmp_path / 'a.svs')
        assert str(there.value) == str(here.value)


def test_a_death_costs_the_slide_alone(path, deadly):
    process = ReadingProcess()
    for width, how in (
        (11, 'was killed by SIGSEGV'),
        (12, 'ended'),
        (17, 'stopped answering'),
    ):
        reader = process.open(path)
        with pytest.raises(InputError, match=f'a.tif: the process that read it {how}') as error:
            reader.region(0, 0, 0, width, 5)
        assert '\n' not in str(error.value)
        reader.close()
        with Slide(path, open_reader=process.open) as slide:
            assert slide.read(0, 0, 40, 40, 0.5).std() > 0


def test_a_bug_comes_with_where_it_is_and_costs_no_process(path, deadly):
    reader = ReadingProcess().open(path)
    assert reader.bounds() == (13, 7, 200, 150)
    with pytest.raises(struct.error, match='unpack requires more') as error:
        reader.region(0, 0, 0, 13, 5)
    assert 'sitecustomize.py' in error.value.__notes__[0]
    assert reader.region(0, 0, 0, 14, 5).size == (14, 5)


@pytest.mark.parametrize(('width', 'name'), [(15, 'Unsent'), (16, 'Unbuilt')])
def test_an_error_that_cannot_be_sent_comes_as_its_text(width, name, path, deadly):
    reader = ReadingProcess().open(path)
    with pytest.raises(RuntimeError, match=name):
        reader.region(0, 0, 0, width, 5)
    assert reader.region(0, 0, 0, 14, 5).size == (14, 5)


def test_it_is_deaf_to_ctrl_c_and_ends_with_its_owner(path, capfd):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells' jobs ignore it
    process = ReadingProcess()
    reader = process.open(path)
    child = process._served._process
    os.kill(child.pid, signal.SIGINT)
    assert reader.region(0, 0, 0, 9, 5).size == (9, 5)
    del reader, process
    assert child.poll() is not None
    assert capfd.readouterr().err == ''
