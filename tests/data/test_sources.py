"""Opening a split by a path or by a TFDS name."""

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import data_config
from fake_pairs import FakeSource
from ocelot_jax.datasets import features
from PIL import Image

from ocelot_jax.data import pair_folder, preparation, sources
from ocelot_jax.data.outline import Outline
from ocelot_jax.data.sources import check_source, open_source
from ocelot_jax.io.errors import InputError


def test_as_record_brings_both_forms_together(release_folder):
    record = pair_folder.PairFolder(release_folder).as_data_source('train')[0]
    as_tfds_gives_it = dict(
        record,
        pair_id=record['pair_id'].encode(),
        organ=record['organ'].encode(),
        slide_name=record['slide_name'].encode(),
        cell_mpp=float(record['cell_mpp']),
        tissue_mpp=float(record['tissue_mpp']),
        cells={name: list(values) for name, values in record['cells'].items()},
    )
    for example in (record, as_tfds_gives_it):
        got = sources.as_record(example)
        np.testing.assert_equal(got, record)
        assert got['cells']['x'].dtype == np.float32
        assert type(got['cell_mpp']) is np.float32


def test_without_the_large_field_of_view(release_folder):
    wide = open_source(data_config(release_folder), 'train')
    config = data_config(release_folder)
    config.large_fov = False
    narrow = open_source(config, 'train')
    assert len(narrow) == len(wide) == 2
    for index in range(2):
        np.testing.assert_array_equal(narrow[index]['tissue_image'], wide[index]['cell_image'])
        np.testing.assert_array_equal(narrow[index]['cells']['x'], wide[index]['cells']['x'])


@pytest.mark.parametrize('split', ['val', 'validation'])
def test_open_folder(release_folder, split):
    source = open_source(data_config(release_folder), split)
    expected = pair_folder.PairFolder(release_folder).as_data_source('validation')
    assert len(source) == len(expected) == 2
    np.testing.assert_array_equal(source[0]['cell_image'], expected[0]['cell_image'])


def test_open_reads_a_folder_through(release_folder):
    image = sorted((release_folder / 'images/train/cell').iterdir())[-1]
    image.write_bytes(image.read_bytes()[:100])
    with pytest.raises(ValueError, match=image.name):
        open_source(data_config(release_folder), 'train')


@pytest.mark.parametrize('source', ['./missing', '../missing', '/missing', 'missing.zip'])
def test_missing_path_is_not_taken_for_a_name(source):
    with pytest.raises(FileNotFoundError, match='missing'):
        open_source(data_config(source), 'train')
    with pytest.raises(FileNotFoundError, match='missing'):
        check_source(source)


def test_a_path_may_begin_at_home(release_folder, monkeypatch):
    monkeypatch.setenv('HOME', str(release_folder.parent))
    assert len(open_source(data_config(f'~/{release_folder.name}'), 'val')) == 2


@pytest.mark.parametrize('source', ['ocelott', 'my/own/pairs', 'my pairs', 'ocelott/small'])
@pytest.mark.parametrize('look', [check_source, lambda s: open_source(data_config(s), 'train')])
def test_unknown_name_lists_what_is_known(source, look):
    with pytest.raises(ValueError) as raised:
        look(source)
    message = str(raised.value)
    assert '\n' not in message
    assert 'config.data.source' in message
    assert repr(source) in message
    assert 'ocelot, ocelot_synthetic' in message


def encoded(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'PNG')
    file.seek(0)
    return file


MPPS = 0.2, 0.35, 0.5


def tiny_builder(data_dir):
    """Makes a TFDS data set of three records, which may be written without TensorFlow."""

    class Tiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version('1.0.0')
        pkg_dir_path = tfds.core.Path(data_dir)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=features.pair_features(image_format='png')
            )

        def _split_generators(self, dl_manager):
            return {'train': self._generate_examples()}

        def _generate_examples(self):
            source = FakeSource(3)
            for row in range(3):
                record = source[row]
                cells = zip(*record['cells'].values(), strict=True)
                images = {
                    'cell_image': encoded(record['cell_image']),
                    'tissue_image': encoded(record['tissue_image']),
                    'tissue_mask': encoded(record['tissue_mask'][..., 0]),
                }
                cells = [dict(zip(('x', 'y', 'label'), cell, strict=True)) for cell in cells]
                yield row, {**record, **images, 'cells': cells, 'cell_mpp': MPPS[row]}

    return Tiny(data_dir=data_dir, file_format='array_record')


@pytest.fixture(scope='module')
def tfds_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp('tfds')
    with tfds.core.registered.skip_registration():
        builder = tiny_builder(path)
    builder.download_and_prepare()
    return path


READ_WITHOUT_TENSORFLOW = """
import importlib.machinery, sys
find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, *rest: None if name.partition('.')[0] == 'tensorflow' else find(name, *rest)
)
import ml_collections
from ocelot_jax.data import batches, sources
try:
    import tensorflow
except ModuleNotFoundError:
    print('no tensorflow')
values = {'source': 'tiny', 'large_fov': True, 'folds': 0, 'fold': 0}
values |= {'cell_classes': ('BC', 'TC'), 'tissue_classes': ('BG', 'CA')}
config = ml_collections.ConfigDict(values)
source = sources.open_source(config, 'train')
[batch] = batches.eval_batches(source, batch_size=3, max_cells=5)
order = batch['cell_image'][:, 0, 0, 0].tolist()
print(sorted(order), [int(batch['cell_count'][order.index(row)]) for row in range(3)])
"""


def test_prepared_set_is_read_by_name_without_tensorflow(tfds_dir):
    result = subprocess.run(
        [sys.executable, '-c', READ_WITHOUT_TENSORFLOW],
        env={'TFDS_DATA_DIR': str(tfds_dir), 'PATH': '', 'HOME': str(tfds_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ['no tensorflow', '[0, 1, 2] [0, 1, 2]']


def test_known_name_is_prepared_first(tfds_dir, monkeypatch):
    prepared = []
    monkeypatch.setattr(preparation, 'builder_names', lambda: ['tiny'])
    monkeypatch.setattr(preparation, 'prepare', prepared.append)
    builders = iter([None, tfds.builder_from_directory(str(tfds_dir / 'tiny/1.0.0'))])
    monkeypatch.setattr(sources, '_prepared_builder', lambda name: next(builders))
    source = open_source(data_config('tiny'), 'train')
    assert prepared == ['tiny']
    assert sorted(record['pair_id'] for record in source) == ['000', '001', '002']
    assert source.cell_classes == ('BC', 'TC')
    builders = iter([tfds.builder_from_directory(str(tfds_dir / 'tiny/1.0.0'))])
    config = data_config('tiny')
    config.cell_classes = ('LC',)
    with pytest.raises(
        ValueError, match=r"cell_classes: .'LC',., but those of 'tiny' are .'BC', "
    ):
        open_source(config, 'train')
    assert sorted(source.outline.cell_mpps) == pytest.approx(MPPS)


def test_a_prepared_set_is_known_by_its_records(tfds_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sources, '_open_builder', lambda name: tfds.builder_from_directory(str(tmp_path / name))
    )
    digests = []
    for name in ('one', 'moved', 'changed'):
        shutil.copytree(tfds_dir / 'tiny/1.0.0', tmp_path / name)
        if name == 'changed':
            [shard] = (tmp_path / name).glob('*.array_record-*')
            content = bytearray(shard.read_bytes())
            content[len(content) // 2] ^= 1
            shard.write_bytes(content)
        digests.append(sources.identify(data_config(name), 'train').digest)
    assert digests[0] == digests[1] != digests[2]


def test_tfds_set_without_the_split(tfds_dir, monkeypatch):
    builder = tfds.builder_from_directory(str(tfds_dir / 'tiny/1.0.0'))
    monkeypatch.setattr(sources, '_prepared_builder', lambda name: builder)
    with pytest.raises(ValueError, match=r"config\.data\.source: 'tiny' has no split 'test'"):
        open_source(data_config('tiny'), 'test')


@pytest.mark.parametrize('changed', ['annotations', 'metadata', 'mask', 'image', 'pair'])
def test_data_are_known_by_their_content(release_folder, changed, tmp_path):
    """Wherever they lie, zipped or not; of the split alone that was changed."""
    config = data_config(release_folder)
    before = {split: sources.identify(config, split) for split in ('train', 'val')}
    moved = tmp_path / 'elsewhere/release'
    shutil.copytree(release_folder, moved, copy_function=shutil.copyfile)
    archive = shutil.make_archive(tmp_path / 'release', 'zip', moved)
    for path in (moved, archive):
        assert sources.identify(data_config(path), 'train') == before['train']
    metadata = json.loads((release_folder / 'metadata.json').read_text())
    match changed:
        case 'annotations':
            (release_folder / 'annotations/train/cell/001.csv').write_text('1,1,1\n')
        case 'metadata':
            metadata['sample_pairs']['001']['patch_x_offset'] = 0.625
        case 'mask':
            path = release_folder / 'annotations/train/tissue/001.png'
            Image.fromarray(np.ones((64, 64), np.uint8)).save(path)
        case 'image':
            path = release_folder / 'images/train/cell/001.jpg'
            path.write_bytes(path.read_bytes()[:-9] + bytes(9))  # of the same length
        case 'pair':
            metadata['sample_pairs'].pop('002')
            for path in release_folder.rglob('002.*'):
                path.unlink()
    (release_folder / 'metadata.json').write_text(json.dumps(metadata))
    after = {split: sources.identify(config, split) for split in ('train', 'val')}
    assert after['train'].digest != before['train'].digest
    assert after['val'] == before['val']
    assert after['val'].name == 'release'


@pytest.mark.parametrize(('counts', 'bad'), [((0, 16), None), ((17, 3), 'a'), ((17, 30), 'b')])
def test_as_many_cells_as_a_batch_holds_and_no_more(counts, bad):
    outline = Outline.of(
        [(name, name, count, 0.5) for name, count in zip('ab', counts, strict=True)]
    )
    if bad is None:
        outline.check_cells(16)
        return
    told = f'pair {bad} has {max(counts)} cells, more than 16; want at least {max(counts)}'
    with pytest.raises(InputError, match=told):
        outline.check_cells(16)
