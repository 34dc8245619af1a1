"""From a configuration to a network, its inputs and its first weights."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ocelot_jax.io.errors import InputError
from ocelot_jax.models import cell_tissue
from ocelot_jax.models.cell_tissue import BRANCHES, CellTissue
from ocelot_jax.models.encoders import TIMM
from ocelot_jax.models.mfovce import MFoVCENet
from ocelot_jax.models.resnet import VARIANTS

Model = CellTissue | MFoVCENet
Size = tuple[int, int]

ARCHITECTURES: dict[str, type[Model]] = dict.fromkeys(BRANCHES, CellTissue) | {'mfovce': MFoVCENet}


def create_model(config: Any, axis_name: str | None = None) -> Model:
    """Makes the model of a configuration.

    Each attribute of the model takes the value of its name in `config.model`; encoders that learn
    at no rate are frozen. Over the mapped axis `axis_name`, if any, batch statistics are averaged
    in training.

    Raises:
        InputError: the configuration names a part that does not exist, or that does not go with
            the others.
    """
    check_model(config.model)
    is_frozen = config.optimizer.encoder_lr_multiplier == 0
    values = {
        **config.model.to_dict(),
        'frozen': tuple(config.model.pretrained_branches) if is_frozen else (),
        'cell_classes': len(config.data.cell_classes),
        'tissue_classes': len(config.data.tissue_classes),
        'axis_name': axis_name,
    }
    model = ARCHITECTURES[config.model.architecture]
    names = {field.name for field in dataclasses.fields(model)}
    return model(**{name: value for name, value in values.items() if name in names})


def check_model(values: Any) -> None:
    """Checks that the parts that `config.model` names exist and go together.

    Raises:
        InputError: they do not.
    """
    _check('architecture', values.architecture, ARCHITECTURES)
    _check_encoders(values)
    for branch in values.pretrained_branches:
        _check('pretrained_branches', branch, ('cell', 'tissue'))
    _check('dtype', values.dtype, ('float32', 'bfloat16'))
    _check('context', values.context, ARCHITECTURES[values.architecture].CONTEXTS)
    own = BRANCHES[values.architecture].SEAMS if values.architecture in BRANCHES else ()
    # where nothing is injected, the seam may be one of another architecture
    injects = values.context in ('label', 'prediction')
    if injects and values.encoder_name in TIMM:
        own = tuple(seam for seam in own if seam != 'input')  # they take images alone
    _check('seam', values.seam, own if injects else cell_tissue.SEAMS)
    for seam, direction in values.sharing.items():
        if seam not in cell_tissue.SHARING_SEAMS:
            wanted = ', '.join(cell_tissue.SHARING_SEAMS)
            raise InputError(f'config.model.sharing: {seam!r}; want seams of {wanted}')
        missing = values.context == 'features' and seam not in own
        _check(f'sharing.{seam}', direction, ('none',) if missing else cell_tissue.DIRECTIONS)


def check_sizes(model: Model, cell: Size, tissue: Size) -> None:
    """Checks that a model takes patches of these sizes, (H, W) in pixels.

    Of others its maps would cover more than the patch, and the tissue's would be injected beside
    its place.

    Raises:
        InputError: it does not.
    """
    stride = BRANCHES[model.architecture].STRIDE if isinstance(model, CellTissue) else model.STRIDE
    sizes = {'cell': cell} | ({'tissue': tissue} if reads_tissue(model) else {})
    for name, (height, width) in sizes.items():
        if height % stride or width % stride:
            raise InputError(
                f'{name}_image of {width} x {height} px: want sides that are multiples of '
                f'{stride}, the stride of the network'
            )


def _check_encoders(values: Any) -> None:
    known = (*VARIANTS, *TIMM) if values.architecture == 'deeplabv3plus' else tuple(VARIANTS)
    _check('encoder_name', values.encoder_name, known)
    if values.tissue_encoder_name:
        _check('tissue_encoder_name', values.tissue_encoder_name, known)
        if values.architecture == 'mfovce':
            raise InputError(
                f'config.model.tissue_encoder_name: {values.tissue_encoder_name!r}; want none, '
                'the architecture mfovce has one encoder for both fields of view'
            )
    for name in {values.encoder_name, values.tissue_encoder_name} & {*TIMM}:
        try:
            TIMM[name].sizes(**values[name])
        except ValueError as error:
            raise InputError(f'config.model.{name}.{error}') from None


def _check(field: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise InputError(f'config.model.{field}: {value!r}; want one of {", ".join(known)}')


def shares_tissue(model: Model) -> bool:
    """Whether cell patches may share a tissue patch that the model computes once."""
    return isinstance(model, CellTissue) and model.context in ('none', 'prediction')


def reads_tissue(model: Model) -> bool:
    """Whether the model looks at the tissue patch at all."""
    return not isinstance(model, CellTissue) or model.context in ('prediction', 'features')


def maps_tissue(config: Any) -> bool:
    """Whether a configuration's networks learn what tissue is where."""
    contexts = ('prediction', 'features')
    return config.model.context in contexts and bool(config.tissue_loss_weight)


def init_variables(model: Model, seed: int, example: Mapping[str, Any]) -> dict[str, Any]:
    """The model's variables before training, for patches of the sizes of the record `example`."""
    cell, tissue = (np.shape(example[name])[:2] for name in ('cell_image', 'tissue_image'))
    batch = blank_batch(cell, tissue)
    return jax.jit(lambda key: model.init(key, batch, train=False))(jax.random.key(seed))


def abstract_variables(model: Model) -> dict[str, Any]:
    """Shapes and dtypes of the model's variables, which do not depend on the patches' size."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0), blank_batch(), train=False))


def empty_variables(model: Model) -> dict[str, Any]:
    """Variables of zeros, as the target of a checkpoint; made without initialising the model."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), abstract_variables(model))


def blank_batch(cell: Size = (1024, 1024), tissue: Size = (1024, 1024)) -> dict[str, np.ndarray]:
    """A batch of one pair of zeros as models read it, at 0.2 and 0.8 um/px.

    Sizes are (H, W) in pixels; by default those of the paper.
    """
    return {
        'cell_image': np.zeros((1, *cell, 3), np.float32),
        'tissue_image': np.zeros((1, *tissue, 3), np.float32),
        'tissue_mask': np.zeros((1, *tissue), np.int32),
        'center': np.full((1, 2), 0.5, np.float32),
        'cell_mpp': np.full(1, 0.2, np.float32),
        'tissue_mpp': np.full(1, 0.8, np.float32),
    }
