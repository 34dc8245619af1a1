"""Values of flags, and what is told of wrong ones."""

from pathlib import Path

import pytest

from ocelot_jax.cli import parsing
from ocelot_jax.data.patches import Patches
from ocelot_jax.io.errors import InputError


@pytest.mark.parametrize('text', ['4/4', '1', '-1/4', 'a/b'])
def test_wrong_shards(text):
    with pytest.raises(ValueError, match=f"--shard: '{text}'; want i/n"):
        parsing.parse_shard(text)


def test_patches_are_whole_pixels_and_the_tissue_patch_the_wider_one():
    assert parsing.parse_patches('1024,0.2,1024,0.8') == Patches(1024, 0.2, 1024, 0.8)
    for text, message in {
        '1024,0.2,1024': 'want SIDE,UM,SIDE,UM as numbers',
        '1024.9,0.2,1024,0.8': 'want whole numbers of pixels',
        'nan,0.2,1024,0.8': 'want whole numbers of pixels',
        '1024,0,1024,0.8': 'want numbers above 0',
        '1024,0.2,1024,nan': 'want numbers above 0',
        '1024,0.8,1024,0.2': 'tissue patch has 204.8 um a side, the cell patch 819.2',
    }.items():
        with pytest.raises(InputError, match=f'^--patches: .*{message}'):
            parsing.parse_patches(text)


def test_um_per_px_is_a_number_or_a_table():
    texts = (None, '0.25', 'of slides.csv')
    assert list(map(parsing.parse_mpp, texts)) == [None, 0.25, Path('of slides.csv')]


@pytest.mark.parametrize('text', ['0', '-0.5', 'nan', 'inf', '0,25', ''])
def test_wrong_um_per_px(text):
    with pytest.raises(ValueError, match=f"--mpp: '{text}'; want um/px as a number above 0"):
        parsing.parse_mpp(text)


def test_overrides_are_literals_or_strings():
    texts = ('seed=3', "data.cell_classes=('A', 'B')", 'data.source=a=b.zip')
    assert dict(map(parsing.parse_override, texts)) == {
        **{'seed': 3, 'data.cell_classes': ('A', 'B'), 'data.source': 'a=b.zip'},
    }
    with pytest.raises(ValueError, match="--override: 'seed'; want field=value"):
        parsing.parse_override('seed')


def test_what_is_not_there_is_told_by_its_flag(tmp_path):
    assert parsing.parse_existing('--input', str(tmp_path)) == tmp_path
    with pytest.raises(FileNotFoundError, match=r'^--input: x\.png: no such file or directory$'):
        parsing.parse_existing('--input', 'x.png')
    with pytest.raises(FileNotFoundError, match=r'^b/config\.json: not there, so b is no run'):
        parsing.parse_runs(['b'])
    for nothing in ([], ['']):  # as of --workdir=$RUN where RUN is not set
        with pytest.raises(InputError, match='--other: is empty; want the directory of a run'):
            parsing.parse_runs(nothing, '--other')


def test_splits_are_named_as_they_are():
    assert list(map(parsing.parse_split, (None, 'val', 'test'))) == [None, 'val', 'test']
    with pytest.raises(ValueError, match="split is 'tests'; want 'train'"):
        parsing.parse_split('tests')
