"""Keeps what the patches look like that a run is trained on."""

from pathlib import Path

import numpy as np
from absl import logging

from ocelot_jax.data import appearance
from ocelot_jax.data.sources import Source
from ocelot_jax.io import hosts
from ocelot_jax.runs import configuration

# So many tell what there is, in seconds.
_MOST = 384


def keep(workdir: Path, pairs: Source, goes_on: bool) -> None:
    """Writes what the cell patches of a new run look like, of at most 384 pairs.

    Nothing is written where the patches are too small or too few to tell, or of one slide; a line
    in the log says so.

    Args:
        workdir: the run's directory.
        pairs: its training pairs.
        goes_on: whether it is no new run; nothing is done then.
    """
    if goes_on or not hosts.is_first():
        return
    measured, slides = [], []
    for index in choose(len(pairs)):
        record = pairs[index]
        if min(record['cell_image'].shape[:2]) >= appearance.MIN_SIDE:
            measured.append(appearance.measure(record['cell_image'], float(record['cell_mpp'])))
            slides.append(record['slide_name'])
    learned = appearance.learn(np.array(measured), np.array(slides)) if measured else None
    if learned is None:
        logging.info('%s: too few or too small patches to keep what they look like', workdir)
    else:
        configuration.write_appearance(workdir, learned)


def choose(count: int) -> list[int]:
    """Chooses among so many pairs those whose looks are kept, always the same."""
    return np.random.default_rng(0).permutation(count)[:_MOST].tolist()
