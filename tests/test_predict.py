"""The command that predicts a directory of slides: shards, what it tells, and its status."""

import json

import numpy as np
from drawn_slides import draw_slide, spread_cells, write_pyramid
from fake_runs import make_run, small_config

from ocelot_jax.io import csv_files
from ocelot_jax.runs import loading

CODE = """
import narrow
from ocelot_jax import predict
from ocelot_jax.cli import app
predict.define_flags()
app.run(predict.main)
"""


def test_shards_each_take_slides_of_their_own_and_say_what_became_of_them(tmp_path, commands):
    config = small_config(model__context='none', detection__backend='skimage')
    workdir = make_run(tmp_path / 'run', config)
    source, output = tmp_path / 'slides', tmp_path / 'output'
    source.mkdir()
    (source / '0bad.svs').write_text('no slide')
    for name in ('a', 'b'):
        points, labels = spread_cells(80, 80, 12.0, np.random.default_rng(0))
        write_pyramid(source / f'{name}.tif', draw_slide(160, 160, 0.5, points, labels), 0.5)
    strict = {'sigma_um': 0.5, 'min_distance_um': 1.5, 'threshold': 0.99, 'temperature': 1.0}
    (tmp_path / 'strict.json').write_text(json.dumps(strict))
    flags = [f'--workdir={workdir}', f'--input={source}', f'--output={output}']
    flags += ['--everywhere', f'--detection={tmp_path}/strict.json']
    first, second = (
        commands.run(CODE, *flags, f'--shard={index}/2', cwd=tmp_path) for index in range(2)
    )
    assert (first.returncode, second.returncode) == (1, 0), (first, second)
    assert f'{output / "b"}: ' in first.stdout
    assert f'{output / "a"}: ' in second.stdout
    assert f'{output / "a"}: ' not in first.stdout
    assert f'{output / "b"}: ' not in second.stdout
    assert ' 0 windows' not in first.stdout + second.stdout
    why = 'no slide that OpenSlide knows; want one, or .tif, .tiff, .qptiff, .png, .jpg, .jpeg'
    assert first.errors == [
        f'error: {source / "0bad.svs"}: {why}',
        f'error: 1 of 2 slides failed: 0bad; the others are in {output}, and '
        'slides-0-of-2.csv there lists all',
    ]
    assert second.errors == []
    tables = ['slides-0-of-2.csv', 'slides-1-of-2.csv']
    assert sorted(p.name for p in output.iterdir()) == ['a', 'b', *tables]
    rows = [row for name in tables for row in csv_files.read_rows(output / name)]
    assert [(row['slide'], row['status'], row['error']) for row in rows] == [
        ('0bad', 'failed', why),
        ('b', 'done', ''),
        ('a', 'done', ''),
    ]
    expected = loading.load_runs([workdir], detection=tmp_path / 'strict.json').identity()
    for name in 'ab':
        settings = json.loads((output / name / 'prediction.json').read_text())['depends_on']
        assert settings['everywhere'] is True
        assert {field: settings[field] for field in expected} == expected
