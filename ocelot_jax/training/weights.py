"""The weights that a run begins with: drawn, pretrained, or one encoder for both branches."""

from pathlib import Path
from typing import Any

import ml_collections
from absl import logging

from ocelot_jax.data.sources import Record
from ocelot_jax.interop import pretrained
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory
from ocelot_jax.training import tying
from ocelot_jax.training.optimizer import encoder_multipliers


def first_variables(
    config: ml_collections.ConfigDict, model: factory.Model, example: Record
) -> dict[str, Any]:
    """Makes the variables of a run before its first step.

    Args:
        config: as `configs/default.py`.
        model: from `factory.create_model`.
        example: a record of the data.

    Raises:
        InputError: the pretrained weights do not fit, or the encoders cannot be tied.
    """
    variables = factory.init_variables(model, config.seed, example)
    if config.model.pretrained:
        values = config.model
        variables = pretrained.initialise(
            variables,
            Path(values.pretrained),
            values.pretrained_branches,
            values.pretrained_mean,
            values.pretrained_std,
        )
    elif config.optimizer.encoder_lr_multiplier == 0:
        logging.warning(
            'config.optimizer.encoder_lr_multiplier: 0 keeps encoders as they were drawn; '
            'config.model.pretrained names weights to start from'
        )
    if config.model.tied_encoders:
        given = config.model.pretrained_branches
        if config.model.pretrained and len(set(given)) == 1:
            raise InputError(
                'config.model.tied_encoders: True, but config.model.pretrained_branches is '
                f'{tuple(given)}; want both or none, for both have one encoder'
            )
        params = tying.start_alike(variables['params'], encoder_multipliers(config))
        variables = {**variables, 'params': params}
    return variables
