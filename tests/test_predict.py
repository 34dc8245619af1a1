"""The command that predicts, on several hosts that share the slides of a directory."""

import os
import subprocess
import sys

import numpy as np
from conftest import ROOT
from drawn_slides import draw_slide, spread_cells, write_pyramid
from fake_runs import make_run, small_config

CODE = """
import narrow
from ocelot_jax import predict
from ocelot_jax.cli import app
from ocelot_jax.slides import outputs
outputs.write = lambda result, folder: None
predict.define_flags()
app.run(predict.main)
"""


def test_hosts_each_take_slides_of_their_own_and_say_what_became_of_them(tmp_path):
    """Two processes that know of each other as SLURM tells them; one gets a bad slide."""
    config = small_config(model__context='none', detection__backend='skimage')
    workdir = make_run(tmp_path / 'run', config)
    source, output = tmp_path / 'slides', tmp_path / 'output'
    source.mkdir()
    (source / '0bad.svs').write_text('no slide')
    for name in ('a', 'b'):
        points, labels = spread_cells(80, 80, 12.0, np.random.default_rng(0))
        write_pyramid(source / f'{name}.tif', draw_slide(160, 160, 0.5, points, labels), 0.5)
    flags = [f'--workdir={workdir}', f'--input={source}', f'--output={output}', '--distributed']
    slurm = {'SLURM_JOB_ID': str(os.getpid()), 'SLURM_STEP_ID': '0', 'SLURM_NTASKS': '2'}
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', CODE, *flags],
            env=os.environ
            | slurm
            | {'SLURM_STEP_NODELIST': 'localhost'}
            | {'SLURM_PROCID': str(i), 'SLURM_LOCALID': str(i)}
            | {'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}'},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    results = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [1, 0], results
    (first, errors), (second, none) = results
    assert f'{output / "b"}: ' in first
    assert f'{output / "a"}: ' in second
    assert f'{output / "a"}: ' not in first
    assert f'{output / "b"}: ' not in second
    assert ' 0 windows' not in first + second
    assert [line for line in errors.splitlines() if line.startswith('error: ')] == [
        f'error: 0bad.svs: {source / "0bad.svs"}: no slide that OpenSlide knows; want one, or '
        '.png, .jpg, .jpeg, .tif, .tiff',
        f'error: 1 of 2 slides failed: 0bad.svs; the others are in {output}',
    ]
    assert 'error: ' not in none
    assert sorted(p.name for p in output.iterdir() if p.name[0] != '.') == ['a', 'b']
