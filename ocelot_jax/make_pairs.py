"""Makes pairs of annotated slides: `python -m ocelot_jax.make_pairs --slides=X --annotations=Y`.

Writes to `--output`, a new folder or a zip (by its suffix), in OCELOT's layout:

    images/, annotations/, metadata.json   see `data.release`
    cells.csv                              where each cell is on its slide, its class and id there
    pairs.json                             every choice, and what was left out
    pictures/first_pairs.png               to look at before training; beside a zip, too

Annotations are GeoJSON as QuPath exports it, or tables of cells (see `annotation.reading`),
called as their slides: a.geojson, a.geojson.gz, a.csv for a.svs. Pairs are cut where areas of
class ROI say that every cell is annotated.
"""

from pathlib import Path
from typing import Any

from absl import flags

from ocelot_jax.cli import app, parsing

_SPLIT_BY = ('patient', 'slide', 'roi')


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string('slides', None, 'A slide, or a directory of slides.', required=True)
    flags.DEFINE_string('annotations', None, 'A file, or a directory of files.', required=True)
    flags.DEFINE_string('output', None, 'New folder, or .zip, to write.', required=True)
    flags.DEFINE_list(
        'cell_classes', [], 'THEIRS=OURS, ...: classes of cells; THEIRS= leaves one out.'
    )
    flags.DEFINE_list(
        'tissue_classes', [], 'THEIRS=OURS, ...: classes of tissue; BG is the background.'
    )
    flags.DEFINE_string('roi_class', 'ROI', 'Class of areas in which every cell is annotated.')
    flags.DEFINE_string(
        'patches', '1024,0.2,1024,0.8', 'SIDE,UM,SIDE,UM: px and um/px of cell, tissue patches.'
    )
    flags.DEFINE_string('mpp', None, 'um/px where the file states none; or a CSV: name,um/px.')
    flags.DEFINE_bool('override_mpp', False, 'Take --mpp, whatever the file states.')
    flags.DEFINE_string('shares', '0.6,0.2,0.2', 'Of pairs in train, validation and test.')
    flags.DEFINE_enum('split_by', 'patient', _SPLIT_BY, 'All pairs of one are in one split.')
    flags.DEFINE_integer('seed', 0, 'Of the splits.')
    flags.DEFINE_string('organ', 'unknown', 'Of all slides.')
    flags.DEFINE_bool('recursive', False, 'Look in the folders within, too.')


def main() -> None:
    """Makes the pairs that the flags name."""
    values = flags.FLAGS
    slides = parsing.parse_existing('--slides', values.slides)
    annotations = parsing.parse_existing('--annotations', values.annotations)
    # here, so that what is mistyped is answered before seconds of loading
    from ocelot_jax.annotation import classes, making
    from ocelot_jax.annotation.choices import Choices

    names = ('roi_class', 'override_mpp', 'split_by', 'seed', 'organ', 'recursive')
    given: dict[str, Any] = {name: values[name].value for name in names}
    given['patches'] = parsing.parse_patches(values.patches)
    given['cell_classes'] = classes.parse('cell_classes', values.cell_classes)
    given['tissue_classes'] = classes.parse('tissue_classes', values.tissue_classes, ('BG',))
    given['mpp'] = parsing.parse_mpp(values.mpp)
    given['shares'] = parsing.parse_numbers('shares', values.shares, 'train,validation,test')
    making.make(slides, annotations, Path(values.output), Choices(**given), print)


if __name__ == '__main__':
    define_flags()
    app.run(main)
