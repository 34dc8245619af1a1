"""Flags that say what to predict, and how."""

from pathlib import Path
from typing import Any

from absl import flags

from ocelot_jax.cli import parsing, sharing
from ocelot_jax.prediction import given_mpp
from ocelot_jax.slides.readers.isolated import ReadingProcess
from ocelot_jax.slides.slide import Slide


def read_flags() -> tuple[Path, dict[str, Any]]:
    """Reads flags of `predict` that are text and more, and opens a slide, if the input is one.

    Returns:
        The input, and what was read, by the fields of `prediction.Options`.

    Raises:
        MissingFileError: the input is not there.
        InputError: a flag is not what it should be, or a slide is damaged or lacks its um/px.
    """
    values = flags.FLAGS
    source = parsing.parse_existing('--input', values.input)
    tissue, mpp = parsing.parse_path(values.tissue), parsing.parse_mpp(values.mpp)
    read = {
        'tissue': tissue,
        'mpp': mpp,
        'detection': parsing.parse_path(values.detection),
        'center': parsing.parse_numbers('center', values.center, 'x,y'),
        'patches': parsing.parse_patches(values.patches),
        'split': parsing.parse_split(values.split),
        'workers': sharing.read_workers(),
        'shard': sharing.read_shard(),
    }
    if source.is_file() and source.suffix != '.zip' and tissue is None:
        given = given_mpp.of_slides(mpp, {source.stem: source})
        # as it will be opened once the network is loaded, which takes seconds
        reader = ReadingProcess().open
        Slide(source, given.get(source.stem), None, values.override_mpp, reader).close()
    return source, read
