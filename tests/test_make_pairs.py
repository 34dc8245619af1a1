"""The command that makes pairs of annotated slides: what it tells, and its status."""

import json
import os
import shlex

from annotated_slides import write_slide
from PIL import Image

FLAGS = ('--patches=64,0.4,48,1.6', '--tissue_classes=Stroma=BG,Tumor=CA')


def test_pairs_are_made_and_are_a_data_set(tmp_path, commands):
    slides, output = tmp_path / 'slides', tmp_path / 'pairs'
    write_slide(slides, 'a', 0)
    write_slide(slides, 'b', 1)
    (slides / 'c.geojson').write_text('of no slide')
    (slides / os.fsdecode(b'M\xfcller.geojson')).write_text('of no slide, named on old Windows')
    places = [f'--slides={slides}', f'--annotations={slides}', f'--output={output}', *FLAGS]
    bad = commands.run('ocelot_jax.make_pairs', *places, '--cell_classes=Immune cells=BC')
    assert bad.returncode == 1
    [line] = bad.errors
    assert '--cell_classes does not name: Tumor: Positive (' in line
    assert list(tmp_path.iterdir()) == [slides]
    classes = "--cell_classes=Immune cells=BC,Tumor: Positive=TC (PD-L1+ '$1')"
    given = {'mpp': 0.5, 'override_mpp': True, 'organ': 'colon', 'seed': 3}
    flags = [f'--{name}={value}' for name, value in given.items()]
    done = commands.run('ocelot_jax.make_pairs', *places, classes, *flags)
    assert (done.returncode, done.errors) == (0, [])
    assert (
        'files of annotations that belong to no slide: M\\xfcller.geojson, c.geojson'
        in done.stdout
    )
    assert f'look at {output / "pictures/first_pairs.png"} before you train' in done.stdout
    assert 'ocelot_jax.main --config=configs/crc.py:pred_inter2 --config' in done.stdout
    choices = json.loads((output / 'pairs.json').read_text())['choices']
    assert {name: choices[name] for name in given} == given
    shown = Image.open(output / 'pictures/first_pairs.png')
    assert shown.width > 1400
    assert shown.height > 6 * 700
    assert 'test is empty: all pairs are of 2 patients' in done.stderr
    [following] = [line for line in done.stdout.splitlines() if '.statistics' in line]
    flags = shlex.split(following)[3:]
    assert "--cell_classes=BC,TC (PD-L1+ '$1')" in flags
    counted = commands.run('ocelot_jax.statistics', *flags, cwd=tmp_path)
    assert counted.returncode == 0, counted
    assert 'ok     cells outside of their patch: none' in counted.stdout
    assert 'ok     slides in more than one split: none' in counted.stdout
    again = commands.run('ocelot_jax.make_pairs', *places, classes)
    assert again.errors == [f'error: {output}: is there; want a new --output, or that removed']
