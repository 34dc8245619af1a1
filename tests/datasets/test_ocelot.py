import io
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import make_release
from ocelot_jax.datasets.ocelot import ocelot_dataset_builder
from ocelot_jax.datasets.ocelot.ocelot_dataset_builder_test import OcelotTest as OcelotTest
from PIL import Image
from skimage import io as skimage_io

from ocelot_jax.data import sources
from ocelot_jax.data.pair_folder import PairFolder


def download_config(manual_dir):
    return tfds.download.DownloadConfig(manual_dir=manual_dir)


def build(data_dir, manual_dir):
    builder = ocelot_dataset_builder.Builder(data_dir=data_dir)
    builder.download_and_prepare(
        download_config=download_config(manual_dir), file_format='array_record'
    )
    return builder


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """A small release in a manual directory, and the builder that read it."""
    path = tmp_path_factory.mktemp('built')
    release = make_release(path / 'manual/ocelot2023_v1.0.1')
    for kind in ('cell', 'tissue'):
        for name, ending in (('003', 'PNG'), ('004', 'Tiff')):
            jpeg = release / f'images/val/{kind}/{name}.jpg'
            with Image.open(jpeg) as image:
                image.save(jpeg.with_suffix(f'.{ending}'))
            jpeg.unlink()
    return release, build(path / 'data', path / 'manual')


def test_same_records_as_the_folder(built):
    release, builder = built
    folder = PairFolder(release)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == (
        folder.splits
    )
    for split in folder.splits:
        wanted = {record['pair_id']: record for record in folder.as_data_source(split)}
        examples = list(builder.as_data_source(split))
        assert {example['pair_id'].decode() for example in examples} == set(wanted)
        for example in examples:
            got = sources.as_record(example)
            record = wanted[got['pair_id']]
            np.testing.assert_equal(got, record)
            assert kinds(got) == kinds(record)


def test_tensorflow_decodes_what_was_no_jpeg(built):
    release, builder = built
    feature = builder.info.features['cell_image']
    for pair_id, example in PairFolder(release).encoded_examples('val'):
        wanted = skimage_io.imread(next(release.glob(f'images/val/cell/{pair_id}.*')))
        got = feature.decode_example(example['cell_image'].read())
        np.testing.assert_array_equal(np.asarray(got), wanted)


def kinds(record):
    """Type, dtype and shape of everything in a record, by name."""
    found = {}
    for name, value in record.items():
        if isinstance(value, dict):
            found |= kinds({f'{name}/{key}': item for key, item in value.items()})
        else:
            found[name] = (type(value), getattr(value, 'dtype', None), getattr(value, 'shape', ()))
    return found


def test_records_are_of_the_declared_features(built):
    release, builder = built
    record = PairFolder(release).as_data_source('train')[0]
    declared = builder.info.features.get_tensor_info()
    assert set(declared) == set(record)
    assert set(declared['cells']) == set(record['cells'])
    for name, value in {**record, **record['cells']}.items():
        if isinstance(value, np.ndarray | np.generic):
            info = declared['cells'][name] if name in declared['cells'] else declared[name]
            assert value.dtype == info.np_dtype, name
            assert len(value.shape) == len(info.shape), name
            assert all(w in (None, h) for h, w in zip(value.shape, info.shape, strict=True)), name


def test_class_names(built):
    features = built[1].info.features
    assert features['cells']['label'].names == ['no cell', 'BC', 'TC']


def test_jpegs_keep_their_bytes_and_masks_their_classes(built):
    release, builder = built
    skip = tfds.decode.SkipDecoding()
    raw = builder.as_data_source(
        'train',
        decoders={name: skip for name in ('cell_image', 'tissue_image', 'tissue_mask')},
    )
    for example in raw:
        name = example['pair_id'].decode()
        for kind in ('cell', 'tissue'):
            data = (release / f'images/train/{kind}/{name}.jpg').read_bytes()
            assert example[f'{kind}_image'] == data
        mask = Image.open(io.BytesIO(example['tissue_mask']))
        assert (mask.format, mask.mode) == ('PNG', 'L')
        on_disk = np.asarray(Image.open(release / f'annotations/train/tissue/{name}.png'))
        table = {(1, 0), (2, 1), (255, 255)}
        pairs = zip(on_disk.ravel().tolist(), np.asarray(mask).ravel().tolist(), strict=True)
        assert set(pairs) == table


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('annotations/val/cell/003.csv', b'1,2,9\n', 'val/cell/003.csv: line 1: label is 9'),
        ('images/val/tissue/003.jpg', b'\xff\xd8\xff', 'tissue/003.jpg: cannot be decoded'),
    ],
)
def test_bad_file_is_told_before_anything_is_written(name, content, message, tmp_path):
    release = make_release(tmp_path / 'manual/ocelot2023')
    (release / name).write_bytes(content)
    with pytest.raises(ValueError) as error:
        build(tmp_path / 'data', tmp_path / 'manual')
    assert '\n' not in str(error.value)
    assert message in str(error.value)
    assert not list((tmp_path / 'data').rglob('*record*'))
    assert not list((tmp_path / 'data').rglob('*incomplete*'))


@pytest.mark.parametrize('manual', ['nowhere', 'empty', 'other'])
def test_missing_download_is_one_line(manual, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/mnist.zip').write_text('x')
    with pytest.raises(FileNotFoundError) as error:
        build(tmp_path / 'data', tmp_path / manual)
    text = str(error.value)
    assert '\n' not in text
    for fragment in (
        str(tmp_path / manual),
        'zenodo.org/records/8417503',
        'ocelot2023',
        'request',
    ):
        assert fragment in text


class Manager:
    """TFDS's download manager, as far as the builder asks it."""

    def __init__(self, manual_dir):
        self.manual_dir = manual_dir


@pytest.mark.parametrize(
    ('names', 'wanted'),
    [
        (['ocelot2023_v1.0.1.zip'], 'ocelot2023_v1.0.1.zip'),
        (['ocelot2023_v1.0.0.zip', 'ocelot2023_v1.0.1.zip'], 'ocelot2023_v1.0.1.zip'),
        (['ocelot2023_v1.0.1/'], 'ocelot2023_v1.0.1'),
        (['ocelot2023_v1.0.1.zip.part', 'ocelot2023_v1.0.0.zip'], 'ocelot2023_v1.0.0.zip'),
        (['metadata.json'], '.'),
        (['mnist.zip', 'ocelot2023.zip'], 'ocelot2023.zip'),
    ],
)
def test_finds_the_release(names, wanted, tmp_path):
    for name in names:
        if name.endswith('/'):
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text('')
    found = ocelot_dataset_builder.find_release(Manager(tmp_path))
    assert found == tmp_path / wanted


def test_builds_from_a_zip_with_tfds_s_own_command(tmp_path):
    release = make_release(tmp_path / 'release')
    (tmp_path / 'manual').mkdir()
    with zipfile.ZipFile(tmp_path / 'manual/ocelot2023_v1.0.1.zip', 'w') as archive:
        for file in release.rglob('*'):
            archive.write(file, f'ocelot2023_v1.0.1/{file.relative_to(release)}')
    shutil.rmtree(release)
    subprocess.run(
        [
            pathlib.Path(sys.executable).with_name('tfds'),
            'build',
            f'--data_dir={tmp_path / "data"}',
            f'--manual_dir={tmp_path / "manual"}',
        ],
        cwd=pathlib.Path(ocelot_dataset_builder.__file__).parent,
        env=os.environ | {'TF_CPP_MIN_LOG_LEVEL': '3', 'TF_ENABLE_ONEDNN_OPTS': '0'},
        check=True,
        capture_output=True,
    )
    read = tfds.builder_from_directory(tmp_path / 'data/ocelot/1.0.0')
    counts = {name: split.num_examples for name, split in read.info.splits.items()}
    assert counts == {'train': 2, 'validation': 2, 'test': 1}
