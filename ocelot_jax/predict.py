"""Finds cells: `python -m ocelot_jax.predict --workdir=RUN --input=X --output=DIR`.

What X may be, and what is written to DIR:

| `--input` | output |
|---|---|
| a cell patch, with `--tissue=IMAGE --center=x,y` | see `prediction.pair_files.write` |
| a directory or zip in OCELOT's layout, annotated or not | the same, in a folder per split |
| the challenge's stacks (`images/cell_patches/*.tif`, ...) | `cell_classification.json` |
| a slide (of OpenSlide's formats, a TIFF) or an image | a folder, see `slides.outputs` |
| a directory of slides | a folder per slide, `slides.csv`, `index.html` over all |

Several runs, `--workdir=RUN1,RUN2`, are averaged. Killed, the same command goes on at the slide
where it was.
`--workers=N`, `--scheduler=ADDRESS` and `--shard=i/n` share a directory's slides out.
"""

import dataclasses
import sys
from pathlib import Path

from absl import flags

from ocelot_jax.cli import app, parsing, process, sharing
from ocelot_jax.inference.engines import ENGINES


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_list('workdir', None, 'Directory of the run, or of several.', required=True)
    flags.DEFINE_string('input', None, 'What to predict.', required=True)
    flags.DEFINE_string('output', None, 'Folder to write to.', required=True)
    flags.DEFINE_string('tissue', None, "A cell patch's tissue patch.")
    flags.DEFINE_string('center', None, 'x,y: relative center of the cell patch in it.')
    flags.DEFINE_string('mpp', None, 'um/px where the file states none; or a CSV: name,um/px.')
    flags.DEFINE_bool('override_mpp', False, 'Take --mpp, whatever the file states.')
    flags.DEFINE_float('tissue_mpp', None, "um/px of a pair's tissue patch.", lower_bound=0.001)
    flags.DEFINE_string('split', None, "The one split of data in OCELOT's layout to predict.")
    flags.DEFINE_bool('recursive', False, 'Take the slides of folders within, too.')
    flags.DEFINE_bool('everywhere', False, 'Look at all of a slide, not at its tissue alone.')
    flags.DEFINE_string('tumor_class', None, 'Whose share of the cells is the tumor purity.')
    flags.DEFINE_integer('propose', None, 'How many regions to correct next.', lower_bound=1)
    flags.DEFINE_bool('test_time_augmentation', False, 'Means over the eight symmetries.')
    flags.DEFINE_enum('engine', 'xla', ENGINES, 'What computes the network.')
    flags.DEFINE_string('detection', None, 'Detection settings: a file that tune wrote.')
    flags.DEFINE_string('patches', None, 'SIDE,UM,SIDE,UM: cell and tissue patches of the run.')
    flags.DEFINE_integer('batch_size', None, 'Tissue patches at a time.', lower_bound=1)
    sharing.define_flags('the slides of a directory')
    flags.DEFINE_bool('dry_run', False, 'Tell what would be done, and how long it would take.')


def main() -> None:
    """Predicts what the flags name."""
    from ocelot_jax.cli import predicting

    values = flags.FLAGS
    workdirs = parsing.parse_runs(values.workdir)
    source, parsed = predicting.read_flags()
    if parsed['workers'].here:
        process.check_devices()
        process.keep_compilations(workdirs[0].parent)
    # here, so that what is mistyped is answered before seconds of loading
    from ocelot_jax.prediction import to_files
    from ocelot_jax.prediction.options import Options

    names = {field.name for field in dataclasses.fields(Options)}
    options = {k: v for k, v in values.flag_values_dict().items() if k in names} | parsed
    tell = lambda told: print(told.text, file=(sys.stdout, sys.stderr)[told.failed], flush=True)
    to_files.predict_input(workdirs, source, Path(values.output), Options(**options), tell)


if __name__ == '__main__':
    define_flags()
    app.run(main)
