"""Runs that nobody trained, for tests of what is done with trained ones."""

import narrow
import numpy as np

from ocelot_jax.data.patches import Patches
from ocelot_jax.models import factory
from ocelot_jax.runs import checkpoints, configuration

SMALL = Patches(64, 0.5, 64, 2.0)


def small_config(**changes):
    """Pred-to-inter-2 as small as it goes; `changes` are fields, dots as double underscores."""
    config = narrow.get_config()
    config.detection.sigma_um = 0.5
    config.detection.min_distance_um = 1.5
    config.detection.max_cells = 256
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in changes.items()})
    return config


def record(patches):
    """A pair of zeros, of such patches."""
    image = lambda size: np.zeros((size, size, 3), np.uint8)
    return {
        'cell_image': image(patches.cell_size),
        'tissue_image': image(patches.tissue_size),
        'tissue_mask': np.zeros((patches.tissue_size, patches.tissue_size, 1), np.uint8),
        'center': np.full(2, 0.5, np.float32),
        'cell_mpp': np.float32(patches.cell_mpp),
        'tissue_mpp': np.float32(patches.tissue_mpp),
    }


def make_run(workdir, config, patches=SMALL, variables=None):
    """Writes what training would leave: configuration, patches and weights, zero where None."""
    workdir.mkdir(parents=True)
    configuration.write_config(workdir, config)
    configuration.write_patches(workdir, record(patches))
    if variables is None:
        variables = factory.empty_variables(factory.create_model(config))
    with checkpoints.open_manager(workdir) as manager:
        checkpoints.save(
            manager,
            1,
            variables=variables,
            training={'step': np.int32(1)},
            data={},
            metrics={'mF1': 0.5},
        )
        manager.wait_until_finished()
    return workdir
