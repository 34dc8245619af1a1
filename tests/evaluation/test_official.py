"""The command that scores a file of predictions."""

import csv
import json
import shutil

import pytest
from conftest import set_mpps

from ocelot_jax.data.pair_folder import PairFolder
from ocelot_jax.evaluation import official
from ocelot_jax.io.errors import InputError

ANNOTATIONS = 'annotations/val/cell'
KEYS = ['mF1', 'F1/BC', 'Pre/BC', 'Rec/BC', 'F1/TC', 'Pre/TC', 'Rec/TC']


def predictions(release_folder, shift=0, relabel=False):
    """The ground truth of the validation split as predictions, moved or relabelled."""
    points = []
    for rank, path in enumerate(sorted((release_folder / ANNOTATIONS).iterdir())):
        for x, y, label in csv.reader(path.read_text().splitlines()):
            label = 3 - int(label) if relabel else int(label)
            name = f'image_{rank}'
            points.append({'name': name, 'point': [int(x) + shift, int(y), label]})
            points[-1]['probability'] = 0.5
    return {
        'type': 'Multiple points',
        'points': points,
        'version': {'major': 1, 'minor': 0},
    }


def write_cells(release_folder):
    """Well-spaced cells for both validation pairs, in place of the random ones."""
    first, second = sorted((release_folder / ANNOTATIONS).iterdir())
    first.write_text('5,5,1\n40,5,2\n5,40,2\n')
    second.write_text('30,30,1\n')


@pytest.fixture
def folder(release_folder):
    write_cells(release_folder)
    return release_folder


def scored(folder, document, **options):
    path = folder.parent / 'predictions.json'
    path.write_text(json.dumps(document))
    return official.score_file(path, PairFolder(folder), 'val', **options)


def test_ground_truth_scores_one(folder):
    got = scored(folder, predictions(folder))
    assert list(got) == KEYS
    assert list(got.values()) == pytest.approx([1.0] * 7, abs=1e-6)


def test_wrong_classes_score_zero(folder):
    assert set(scored(folder, predictions(folder, relabel=True)).values()) == {0.0}


@pytest.mark.parametrize(
    ('shift', 'cutoff', 'f1'), [(15, 3.0, 1.0), (16, 3.0, 0.0), (16, 3.2, 1.0), (15, 2.9, 0.0)]
)
def test_cutoff_is_in_micrometres(folder, shift, cutoff, f1):
    got = scored(folder, predictions(folder, shift=shift), match_distance_um=cutoff)
    assert got['mF1'] == pytest.approx(f1, abs=1e-6)


@pytest.mark.parametrize(
    ('mpps', 'recalls'), [((0.2, 0.4), [0.5, 1]), ((0.4, 0.2), [0.5, 0]), ((0.4, 0.31), [0, 0])]
)
def test_the_cutoff_is_in_pixels_of_each_pair(folder, mpps, recalls):
    set_mpps(folder, dict(zip(('003', '004'), mpps, strict=True)))
    got = scored(folder, predictions(folder, shift=10))
    assert [got['Rec/BC'], got['Rec/TC']] == pytest.approx(recalls, abs=1e-6)


def test_names_are_ranks_in_the_sorted_split(folder):
    document = predictions(folder)
    document['points'] = [p for p in document['points'] if p['name'] == 'image_1']
    got = scored(folder, document)
    # The one cell of the second pair is found, of two BC; no TC is.
    assert got['Rec/BC'] == pytest.approx(0.5, abs=1e-6)
    assert got['Pre/BC'] == pytest.approx(1.0, abs=1e-6)
    assert got['F1/TC'] == 0.0
    assert got['mF1'] == pytest.approx(2 / 3 / 2, abs=1e-6)


def test_of_images_the_size_alone_is_read(folder):
    for path in folder.glob('images/*/*/*.jpg'):
        path.write_bytes(path.read_bytes()[:700])
    assert scored(folder, predictions(folder))['mF1'] == pytest.approx(1.0, abs=1e-6)


def test_cells_beyond_their_patch_are_refused(folder):
    document = predictions(folder)
    [path, _] = sorted((folder / ANNOTATIONS).iterdir())
    path.write_text(path.read_text() + '64,5,1\n')
    with pytest.raises(InputError, match=rf'{path.name}: line 4: x is 64; want 0\.\.63'):
        scored(folder, document)


def test_cells_at_one_point_count_and_are_told_of(folder, caplog):
    [path, _] = sorted((folder / ANNOTATIONS).iterdir())
    path.write_text(path.read_text() + '5,5,1\n5,5,2\n40,5,1\n')
    scores = scored(folder, predictions(folder))
    assert scores['mF1'] == pytest.approx(1.0, abs=1e-6)
    [told] = [record.getMessage() for record in caplog.records]
    assert told.endswith(
        f'{path.name}: 3 cells lie exactly where another does (in 1 files); each counts'
    )
    caplog.clear()
    PairFolder(folder).validate('val')
    assert [record.getMessage() for record in caplog.records] == [told]


def test_zip_scores_as_its_folder(folder, tmp_path):
    archive = shutil.make_archive(tmp_path / 'data', 'zip', folder.parent, folder.name)
    path = tmp_path / 'predictions.json'
    path.write_text(json.dumps(predictions(folder, shift=1)))
    got = official.score_file(path, PairFolder(archive), 'validation')
    assert got == scored(folder, predictions(folder, shift=1))


@pytest.mark.parametrize('cutoff', [0.0, -3.0, float('nan'), float('inf')])
def test_cutoff_without_meaning_is_refused(folder, cutoff):
    with pytest.raises(ValueError, match='match_distance_um is'):
        scored(folder, predictions(folder), match_distance_um=cutoff)


def test_command_prints_one_json_object(folder, commands):
    scored(folder, predictions(folder))
    path = folder.parent / 'predictions.json'
    done = commands.run(
        'ocelot_jax.score', f'--predictions={path}', f'--data={folder}', '--split=val'
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1), done.stderr
    assert list(json.loads(done.stdout)) == KEYS


def test_command_ends_with_one_line_and_status_one_on_bad_input(folder, commands):
    document = predictions(folder)
    document['points'][1]['name'] = 'image_2'
    path = folder.parent / 'predictions.json'
    path.write_text(json.dumps(document))
    done = commands.run(
        'ocelot_jax.score', f'--predictions={path}', f'--data={folder}', '--split=val'
    )
    assert (done.returncode, done.stdout) == (1, '')
    (line,) = done.stderr.splitlines()
    assert f'{path}: points[1]: "name" is "image_2"; want image_0 to image_1' in line
