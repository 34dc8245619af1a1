"""Configurations: one small file per experiment, each with `get_config`."""

import importlib
import importlib.util

from ml_collections import ConfigDict

from ocelot_jax.io.errors import InputError


def of(model: str) -> ConfigDict:
    """The configuration of a model on OCELOT, `configs/<model>.py`.

    Raises:
        InputError: there is no such file.
    """
    name = f'{__name__}.{model}'
    if not model.isidentifier() or importlib.util.find_spec(name) is None:
        raise InputError(
            f'{model!r} is no model of configs/; want the name of its file, such as pred_inter2'
        )
    return importlib.import_module(name).get_config()
