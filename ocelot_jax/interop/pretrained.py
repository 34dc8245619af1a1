"""Pretrained weights in, trained weights out, under the names that PyTorch users know."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np
import safetensors
import safetensors.numpy
from absl import logging

from ocelot_jax.data.augmentation import IMAGENET_MEAN, IMAGENET_STD
from ocelot_jax.interop import smp, timm
from ocelot_jax.io import atomic, disk
from ocelot_jax.io.errors import InputError, MissingFileError, MissingPackageError
from ocelot_jax.models import factory
from ocelot_jax.models.deeplab import ASPP, DeepLabV3Plus
from ocelot_jax.models.resnet import VARIANTS
from ocelot_jax.runs import checkpoints, configuration

StateDict = dict[str, np.ndarray]
Shape = tuple[int, ...]
Shapes = dict[smp.Path, Shape]
Flat = dict[smp.Path, np.ndarray]

_BRANCHES = ('cell', 'tissue')
_CLASSIFIER = ('fc.weight', 'fc.bias')
_HEAD = ('params', 'head', 'bias')


def initialise(
    variables: dict[str, Any],
    file: Path,
    branches: Sequence[str],
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> dict[str, Any]:
    """Replaces the weights of some branches by pretrained ones.

    The file holds a ResNet of torchvision or timm, or a ViT or ConvNeXt of timm, for the encoder;
    or a DeepLabV3+ of segmentation_models.pytorch; or what `export` wrote, of which each branch
    takes its part. A head with another number of classes keeps its weights, with a warning.

    A layer that a seam widened takes the pretrained weights for the channels that both have. Its
    weights for the added channels are zero, so that at first the network computes what the
    pretrained one does. A depthwise convolution before such a layer keeps its own weights for the
    added channels, so that both can learn to use them.

    Args:
        variables: of a model.
        file: `.safetensors`, or `.pth`, `.pt`, `.bin`, which need the `[torch]` extra.
        branches: `cell` and `tissue`; those that the model does not have are ignored.
        mean: of the images for which a ViT or ConvNeXt was trained, see `timm.convert`.
        std: the same.

    Raises:
        MissingFileError: the file does not exist.
        MissingPackageError: it is no `.safetensors`, and PyTorch is not installed.
        InputError: it cannot be read, or a tensor is missing, unknown or of the wrong shape.
    """
    state_dict = read(file)
    flat = flax.traverse_util.flatten_dict(variables)
    for branch in (name for name in branches if name in variables['params']):
        prefix = f'{branch}.'
        own = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
        initial = {collection: tree[branch] for collection, tree in variables.items()}
        try:
            if timm.kind_of(own or state_dict):
                fitted = _fit_timm(own or state_dict, initial, branch, mean, std)
            elif (*mean, *std) != (*IMAGENET_MEAN, *IMAGENET_STD):
                raise InputError(
                    'config.model.pretrained_mean and pretrained_std are for a ViT or ConvNeXt; '
                    'a ResNet is given images as ImageNet has them'
                )
            else:
                fitted = _fit(own or state_dict, flax.traverse_util.flatten_dict(initial))
        except InputError as error:
            raise InputError(f'config.model.pretrained: {file}: {error}') from None
        flat |= {(path[0], branch, *path[1:]): array for path, array in fitted.items()}
    return flax.traverse_util.unflatten_dict(flat)


def read(file: Path) -> StateDict:
    """Reads a file of tensors by name, without running code that it may hold.

    Raises:
        MissingFileError: the file does not exist.
        MissingPackageError: it is no `.safetensors`, and PyTorch is not installed.
        InputError: it is no file of tensors by name.
    """
    file = Path(file)
    where = f'config.model.pretrained: {file}'
    if not file.exists():
        raise MissingFileError(f'{where} is not there')
    if file.suffix == '.safetensors':
        try:
            return safetensors.numpy.load_file(file)
        except safetensors.SafetensorError as error:
            raise InputError(f'{where}: no safetensors: {error}') from None
    if file.suffix not in ('.pth', '.pt', '.bin'):
        raise InputError(f'{where}: want .safetensors, .pth, .pt or .bin')
    try:
        import torch
    except ImportError:
        raise MissingPackageError(
            f"{where} needs PyTorch: pip install 'ocelot_jax[torch]', "
            'or give the same weights as .safetensors'
        ) from None
    try:
        loaded = torch.load(file, map_location='cpu', weights_only=True)
    except Exception as error:  # a foreign file can make the reader fail in any way
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f'{where}: holds more than tensors, or is broken ({reason}); save a state_dict alone'
        ) from None
    loaded = loaded.get('state_dict', loaded) if isinstance(loaded, Mapping) else {}
    if not loaded or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise InputError(f'{where}: want a state_dict, tensors by name')
    return {name: value.float().numpy() for name, value in loaded.items()}


def export(workdir: Path, file: Path) -> None:
    """Writes the branches of a run's best epoch under the names of segmentation_models.pytorch.

    Names begin with the branch, `cell.` or `tissue.`. The file's metadata name the tensors that a
    seam widened and the channels that it added; smp's network takes such a tensor without them.

    Raises:
        MissingFileError: there is no run in `workdir`, or no folder for the file.
        InputError: it has no best epoch, or another architecture or encoder.
    """
    disk.check_folder(file)
    config = configuration.load_config(workdir)
    if config.model.architecture != 'deeplabv3plus':
        raise InputError(
            f'{workdir}: config.model.architecture is {config.model.architecture!r}; '
            "segmentation_models.pytorch has names for 'deeplabv3plus' alone"
        )
    model = factory.create_model(config)
    encoders = {branch: model.encoder_of(branch) for branch in _BRANCHES}
    for encoder in encoders.values():
        if encoder not in VARIANTS:
            raise InputError(
                f'{workdir}: config.model has the encoder {encoder!r}; '
                'segmentation_models.pytorch has names for ResNets alone'
            )
    _, variables = checkpoints.restore_best(workdir, factory.abstract_variables(model))
    tensors: StateDict = {}
    metadata = {'format': 'pt', 'encoder_name': encoders['cell']}
    if config.model.tissue_encoder_name:
        metadata['tissue_encoder_name'] = encoders['tissue']
    for branch in (name for name in _BRANCHES if name in variables['params']):
        own = {collection: tree[branch] for collection, tree in variables.items()}
        tensors |= {f'{branch}.{name}': array for name, array in smp.to_smp(own).items()}
        flat = flax.traverse_util.flatten_dict(own)
        plain = _plain_shapes(encoders[branch], flat[_HEAD].size)
        for tensor in smp.tensors(encoders[branch]):
            path, shape = tensor.path, flat[tensor.path].shape
            if shape != plain[path]:
                _, added = _added_channels(path, plain[path], shape)
                note = f'a seam added input channels {added[0]} to {added[-1]}'
                metadata[f'{branch}.{tensor.name}'] = note
    with atomic.replacing(file) as temporary:
        # `save_file` makes files that nobody else may read
        temporary.write_bytes(safetensors.numpy.save(tensors, metadata))


def _fit_timm(
    state_dict: Mapping[str, np.ndarray],
    initial: Mapping[str, Any],
    branch: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> Flat:
    """Weights of a branch's ViT or ConvNeXt."""
    encoder, given = initial['params']['encoder'], timm.kind_of(state_dict)
    if given != timm.kind_of(timm.names(encoder)):
        raise InputError(
            f'holds a {given}, the {branch} branch has another encoder; want '
            f"config.model.encoder_name or tissue_encoder_name {given!r}, or the other branch's "
            'name alone in config.model.pretrained_branches'
        )
    fitted = timm.convert(state_dict, encoder, mean, std)
    return {('params', 'encoder', *path): array for path, array in fitted.items()}


def _fit(state_dict: Mapping[str, np.ndarray], initial: Flat) -> Flat:
    """Pretrained weights of a branch or its encoder, in the shapes that the branch wants."""
    if 'conv1.weight' in state_dict:
        state_dict = {f'encoder.{k}': v for k, v in state_dict.items() if k not in _CLASSIFIER}
        parts: tuple[str, ...] = ('encoder',)
    elif 'encoder.conv1.weight' in state_dict:
        parts = ('encoder', 'aspp', 'decoder', 'head')
    else:
        raise InputError(
            f'its first tensor is {min(state_dict, default=None)!r}; want a ResNet of torchvision '
            'or timm, a ViT or ConvNeXt of timm, or a DeepLabV3+ of segmentation_models.pytorch'
        )
    encoder = smp.encoder_of(state_dict)
    wanted = [each for each in smp.tensors(encoder) if each.path[1] in parts]
    given = smp.convert(state_dict, wanted)
    for path in given:
        if path not in initial:
            raise InputError(
                f'{_name(path)} is of no layer of the network; is the encoder the same?'
            )
    for path in initial:
        if path[1] == 'encoder' and path not in given:
            raise InputError(f'{_name(path)} is missing; is the encoder the same?')
    num_classes = initial[_HEAD].size if _HEAD in initial else 1
    plain = functools.partial(_plain_shapes, encoder, num_classes)
    return {path: _fit_leaf(path, array, initial[path], plain) for path, array in given.items()}


def _fit_leaf(
    path: smp.Path, array: np.ndarray, initial: np.ndarray, plain: Callable[[], Shapes]
) -> np.ndarray:
    """A pretrained array in the shape of the branch's own; `plain` as `_plain_shapes`."""
    if array.shape == initial.shape:
        return array
    if path[1] == 'head' and array.shape[-1] != initial.shape[-1]:
        logging.warning('%s: not taken, it is of %d classes', _name(path), array.shape[-1])
        return initial
    if array.shape != plain()[path]:
        raise InputError(f'{_name(path)} is {list(array.shape)}; want {list(initial.shape)}')
    axis, added = _added_channels(path, array.shape, initial.shape)
    common = np.delete(np.arange(initial.shape[axis]), added)
    initial = np.asarray(initial)
    widened = initial.copy() if path[-2] == 'depthwise' else np.zeros_like(initial)
    widened[(slice(None),) * axis + (common,)] = array
    return widened


@functools.cache
def _plain_shapes(encoder: str, num_classes: int) -> Shapes:
    """Shapes of the flat variables of a branch that no seam widens."""
    init = functools.partial(DeepLabV3Plus(num_classes, encoder).init, train=False)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    shapes = jax.eval_shape(init, jax.random.key(0), image)
    return {path: leaf.shape for path, leaf in flax.traverse_util.flatten_dict(shapes).items()}


def _added_channels(path: smp.Path, plain: Shape, widened: Shape) -> tuple[int, range]:
    """The input channels that a seam added to a kernel of shape `plain`: axis and indices."""
    axis = 2 if len(plain) > 2 else 0
    # the decoder puts its detail behind the context and what was injected there
    start = ASPP.features if path[1:3] == ('decoder', 'fuse') else plain[axis]
    return axis, range(start, start + widened[axis] - plain[axis])


def _name(path: smp.Path) -> str:
    return '/'.join(path[1:])
