"""From a configuration to a network, its inputs and its first weights."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ocelot_jax.data.augmentation import model_inputs
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import (
    CONTEXTS,
    DIRECTIONS,
    ENCODERS,
    SEAMS,
    SHARING_SEAMS,
    CellTissue,
    MFoVCENet,
    UNet,
)

Batch = dict[str, Any]
Model = CellTissue | MFoVCENet

ARCHITECTURES = ('deeplabv3plus', 'unet', 'mfovce')


def create_model(config: ml_collections.ConfigDict, axis_name: str | None = None) -> Model:
    """Makes the model of a configuration.

    Args:
        config: as `configs/default.py`.
        axis_name: mapped axis over which batch statistics are averaged in training, if any.

    Raises:
        InputError: the configuration names something that there is not.
    """
    check_model(config.model)
    values = config.model
    shared = {
        'cell_classes': len(config.data.cell_classes),
        'encoder_name': values.encoder_name,
        'cell_dropout': values.cell_dropout,
        'tissue_dropout': values.tissue_dropout,
        'remat': values.remat,
        'dtype': values.dtype,
        'axis_name': axis_name,
    }
    if values.architecture == 'mfovce':
        return MFoVCENet(**shared)
    return CellTissue(
        tissue_classes=len(config.data.tissue_classes),
        architecture=values.architecture,
        context=values.context,
        seam=values.seam,
        context_gradient=values.context_gradient,
        sharing=values.sharing.to_dict(),
        aspp_dropout=values.aspp_dropout,
        **shared,
    )


def check_model(values: ml_collections.ConfigDict) -> None:
    """Checks that `config.model` names what there is, and what goes together.

    Raises:
        InputError: it does not.
    """
    seams = SEAMS
    contexts = CONTEXTS
    if values.architecture == 'unet':
        seams = UNet.SEAMS
    if values.architecture == 'mfovce':  # it has its own way to use the large field of view
        contexts = ('none',)
    known = {
        'architecture': ARCHITECTURES,
        'encoder_name': ENCODERS,
        'dtype': ('float32', 'bfloat16'),
        'context': contexts,
        # where nothing is injected it does not matter
        'seam': seams if values.context in ('label', 'prediction') else SEAMS,
    }
    given = {name: values[name] for name in known}
    for seam in values.sharing:
        if seam not in SHARING_SEAMS:
            raise InputError(
                f'config.model.sharing: {seam!r}; want seams of {", ".join(SHARING_SEAMS)}'
            )
        name = f'sharing.{seam}'
        given[name] = values.sharing[seam]
        missing = values.context == 'features' and seam not in seams
        known[name] = ('none',) if missing else DIRECTIONS
    for name, value in given.items():
        if value not in known[name]:
            raise InputError(
                f'config.model.{name}: {value!r}; want one of {", ".join(known[name])}'
            )


def shares_tissue(model: Model) -> bool:
    """Whether cell patches may share a tissue patch that the model computes once."""
    return isinstance(model, CellTissue) and model.context in ('none', 'prediction')


def reads_tissue(model: Model) -> bool:
    """Whether the model looks at the tissue patch at all."""
    return not isinstance(model, CellTissue) or model.context in ('prediction', 'features')


def maps_tissue(config: ml_collections.ConfigDict) -> bool:
    """Whether a configuration's networks learn what tissue is where."""
    contexts = ('prediction', 'features')
    return config.model.context in contexts and bool(config.tissue_loss_weight)


def init_variables(model: Model, seed: int, example: dict[str, Any]) -> dict[str, Any]:
    """The model's variables before training; `example` is a record of the data."""
    fields = ('cell_image', 'tissue_image', 'tissue_mask', 'center', 'cell_mpp', 'tissue_mpp')
    batch = {name: jnp.asarray(example[name])[None] for name in fields}
    batch['tissue_mask'] = batch['tissue_mask'][..., 0]
    initialise = jax.jit(lambda key: model.init(key, model_inputs(batch), train=False))
    return initialise(jax.random.key(seed))


def abstract_variables(model: Model) -> dict[str, Any]:
    """Shapes and dtypes of the model's variables, which depend on no patch size."""
    initialise = lambda: model.init(jax.random.key(0), paper_batch(), train=False)
    return jax.eval_shape(initialise)


def empty_variables(model: Model) -> dict[str, Any]:
    """Variables of zeros, for a checkpoint to be restored like them; quicker than initialising."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), abstract_variables(model))


def paper_batch() -> dict[str, Any]:
    """One pair of the paper's geometry, of zeros, as models read it."""
    image = np.zeros((1, 1024, 1024, 3), np.float32)
    return {
        'cell_image': image,
        'tissue_image': image,
        'tissue_mask': np.zeros((1, 1024, 1024), np.int32),
        'center': np.full((1, 2), 0.5, np.float32),
        'cell_mpp': np.full(1, 0.2, np.float32),
        'tissue_mpp': np.full(1, 0.8, np.float32),
    }
