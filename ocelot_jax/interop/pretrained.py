"""Pretrained weights in, trained weights out, under the names that PyTorch users know.

As a program, it writes the branches of a run's best epoch for PyTorch:

    python -m ocelot_jax.interop.pretrained --export RUN OUT.safetensors
"""

import argparse
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np
import safetensors
import safetensors.numpy
from absl import logging

from ocelot_jax.interop import smp
from ocelot_jax.interop.smp import from_smp, to_smp
from ocelot_jax.io import atomic
from ocelot_jax.io.errors import InputError, MissingFileError, MissingPackageError
from ocelot_jax.models import factory
from ocelot_jax.models.deeplab import DeepLabV3Plus
from ocelot_jax.runs import checkpoints, configuration

__all__ = ['export', 'from_smp', 'initialise', 'read', 'to_smp']

StateDict = dict[str, np.ndarray]
Flat = dict[tuple[str, ...], np.ndarray]

_BRANCHES = ('cell', 'tissue')
_CLASSIFIER = ('fc.weight', 'fc.bias')
# the layers that a seam feeds, which its new channels widen
_FED = (
    'encoder/stem/conv',
    'aspp/pointwise/conv',
    'aspp/pool/conv',
    *(f'aspp/atrous{rate}/{part}' for rate in (12, 24, 36) for part in ('depthwise', 'pointwise')),
    'decoder/fuse/depthwise',
    'decoder/fuse/pointwise',
    'head',
)
# the decoder puts its detail behind the context and what was injected there
_CONTEXT_CHANNELS = 256


def initialise(variables: dict[str, Any], file: Path, branches: Sequence[str]) -> dict[str, Any]:
    """Puts pretrained weights in the place of some branches' own.

    The file holds a ResNet of torchvision or timm, which becomes the encoder; or a DeepLabV3+ of
    segmentation_models.pytorch; or what `export` wrote, of which each branch takes its part. A
    head with another number of classes is left as it is, with a warning.

    A layer that a seam widened takes the weights for the channels that it has in common with
    theirs. Its weights for the new channels are zero, so that at first the network computes what
    the pretrained one does and learns from there to use the context; those of a depthwise
    convolution, before such a layer, stay as they are.

    Args:
        variables: of a model.
        file: `.safetensors`, or `.pth`, which needs the `[torch]` extra.
        branches: names of the branches, `cell` and `tissue`; those that the model lacks do not
            matter.

    Returns:
        The variables, anew.

    Raises:
        MissingFileError: there is no such file.
        ImportError: it is `.pth`, and PyTorch is not installed.
        InputError: it cannot be read, or a tensor is missing, of no layer, or misshapen.
    """
    state_dict = read(file)
    flat = flax.traverse_util.flatten_dict(variables)
    for branch in (name for name in branches if name in variables['params']):
        prefix = f'{branch}.'
        own = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
        try:
            for path, array in _to_branch(own or state_dict).items():
                path = (path[0], branch, *path[1:])
                flat[path] = _fit(path, array, flat)
        except ValueError as error:
            raise InputError(f'config.model.pretrained: {file}: {error}') from None
    return flax.traverse_util.unflatten_dict(flat)


def read(file: Path) -> StateDict:
    """Reads a file of tensors; nothing in it is ever run.

    Raises:
        MissingFileError: there is no such file.
        ImportError: it is `.pth`, and PyTorch is not installed.
        InputError: it holds something else than tensors by name.
    """
    file = Path(file)
    if not file.exists():
        raise MissingFileError(f'config.model.pretrained: {file} is not there')
    if file.suffix == '.safetensors':
        try:
            return safetensors.numpy.load_file(file)
        except safetensors.SafetensorError as error:
            raise InputError(f'config.model.pretrained: {file}: no safetensors: {error}') from None
    if file.suffix in ('.pth', '.pt'):
        return _read_torch(file)
    raise InputError(f'config.model.pretrained: {file}: want .safetensors, .pth or .pt')


def export(workdir: Path, file: Path) -> None:
    """Writes the branches of a run's best epoch under the names of segmentation_models.pytorch.

    Names begin with the branch, `cell.` or `tissue.`. The file's metadata tell which tensors a
    seam widened and which channels it added; smp's network takes such a tensor without them.

    Args:
        workdir: the run's directory.
        file: `.safetensors`, to be written.

    Raises:
        MissingFileError: there is no run.
        InputError: its best epoch is not there, or it is of another architecture.
    """
    config = configuration.load_config(workdir)
    if config.model.architecture != 'deeplabv3plus':
        raise InputError(
            f'{workdir}: config.model.architecture is {config.model.architecture!r}; '
            "segmentation_models.pytorch has names for 'deeplabv3plus' alone"
        )
    model = factory.create_model(config)
    _, variables = checkpoints.restore_best(workdir, factory.empty_variables(model))
    tensors, metadata = {}, {'format': 'pt', 'encoder_name': config.model.encoder_name}
    for branch in (name for name in _BRANCHES if name in variables['params']):
        own = {collection: tree[branch] for collection, tree in variables.items()}
        for name, array in to_smp(own).items():
            tensors[f'{branch}.{name}'] = array
        for name, note in _widened(own, config.model.encoder_name).items():
            metadata[f'{branch}.{name}'] = note
    with atomic.replacing(file) as temporary:
        safetensors.numpy.save_file(tensors, temporary, metadata)


def _read_torch(file: Path) -> StateDict:
    try:
        import torch
    except ImportError:
        raise MissingPackageError(
            f"config.model.pretrained: {file} needs PyTorch: pip install 'ocelot_jax[torch]', "
            'or give the same weights as .safetensors'
        ) from None
    try:
        loaded = torch.load(file, map_location='cpu', weights_only=True)
    except Exception as error:  # whatever is in the file, the reader's complaint is one line
        reason = str(error).splitlines()[0]
        raise InputError(
            f'config.model.pretrained: {file}: holds more than tensors, or is broken ({reason}); '
            'save a state_dict alone'
        ) from None
    loaded = loaded.get('state_dict', loaded) if isinstance(loaded, Mapping) else {}
    if not loaded or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise InputError(f'config.model.pretrained: {file}: want a state_dict, tensors by name')
    return {name: value.float().numpy() for name, value in loaded.items()}


def _to_branch(state_dict: Mapping[str, np.ndarray]) -> Flat:
    """Flat variables of a branch, or of its encoder alone."""
    if 'conv1.weight' in state_dict:
        named = {f'encoder.{k}': v for k, v in state_dict.items() if k not in _CLASSIFIER}
        wanted = smp.tensors(smp.encoder_of(named))
        return smp.convert(named, [each for each in wanted if each.path[1] == 'encoder'])
    if 'encoder.conv1.weight' not in state_dict:
        raise InputError(
            f'its first tensor is {min(state_dict, default=None)!r}; want a ResNet of torchvision '
            'or timm, or a DeepLabV3+ of segmentation_models.pytorch'
        )
    return smp.convert(state_dict, smp.tensors(smp.encoder_of(state_dict)))


def _fit(path: tuple[str, ...], array: np.ndarray, flat: Flat) -> np.ndarray:
    """A pretrained array as the model's leaf at `path` wants it."""
    name = '/'.join(path[1:])
    if path not in flat:
        raise InputError(f'{name} is of no layer of the network; is the encoder the same?')
    initial = np.asarray(flat[path])
    if array.shape == initial.shape:
        return array
    if path[2] == 'head' and array.shape[-1] != initial.shape[-1]:
        logging.warning('%s: not taken, it is of %d classes', name, array.shape[-1])
        return initial
    common = _common_channels(path[2:], array.shape, initial.shape)
    if common is None:
        raise InputError(f'{name} is {list(array.shape)}; want {list(initial.shape)}')
    widened = initial.copy() if path[-2] == 'depthwise' else np.zeros_like(initial)
    widened[common] = array
    return widened


def _common_channels(
    path: tuple[str, ...], plain: tuple[int, ...], widened: tuple[int, ...]
) -> tuple[Any, ...] | None:
    """Where a kernel that a seam widened holds the plain one's channels; None if it is none.

    Args:
        path: of the kernel, within its branch.
        plain: its shape without the seam.
        widened: with it.

    Returns:
        An index; its last entry but the output's lists the input channels.
    """
    axis = _input_axis(plain)
    others = [shape[:axis] + shape[axis + 1 :] for shape in (plain, widened)]
    fed = path[-1] == 'kernel' and '/'.join(path[:-1]) in _FED
    if not fed or others[0] != others[1] or widened[axis] <= plain[axis]:
        return None
    extra = widened[axis] - plain[axis]
    start = _CONTEXT_CHANNELS if path[:2] == ('decoder', 'fuse') else plain[axis]
    channels = np.delete(np.arange(widened[axis]), np.s_[start : start + extra])
    return (slice(None),) * axis + (channels,)


def _input_axis(shape: tuple[int, ...]) -> int:
    """The axis of a kernel that counts its input channels."""
    return 2 if len(shape) > 2 else 0


def _widened(variables: Mapping[str, Any], encoder: str) -> dict[str, str]:
    """What to say of each tensor that a seam widened, by smp's name."""
    flat = flax.traverse_util.flatten_dict(dict(variables))
    num_classes = flat['params', 'head', 'bias'].size
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    plain_branch = functools.partial(DeepLabV3Plus(num_classes, encoder).init, train=False)
    plain = flax.traverse_util.flatten_dict(jax.eval_shape(plain_branch, jax.random.key(0), image))
    notes = {}
    for tensor in smp.tensors(encoder):
        shapes = plain[tensor.path].shape, flat[tensor.path].shape
        if shapes[0] != shapes[1]:
            axis = _input_axis(shapes[0])
            *_, common = _common_channels(tensor.path[1:], *shapes)
            added = np.setdiff1d(np.arange(shapes[1][axis]), common)
            notes[tensor.name] = f'a seam added input channels {added[0]} to {added[-1]}'
    return notes


def main(arguments: list[str] | None = None) -> int:
    """Exports the run that the command line names.

    Args:
        arguments: the command line after the program's name; `sys.argv`'s where None.

    Returns:
        The exit status: 0, or 1 after one line about what is wrong.
    """
    parser = argparse.ArgumentParser(
        prog='python -m ocelot_jax.interop.pretrained', description=export.__doc__.split('\n')[0]
    )
    parser.add_argument('--export', nargs=2, metavar=('RUN', 'OUT'), required=True, type=Path)
    options = parser.parse_args(arguments)
    try:
        export(*options.export)
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(options.export[1])
    return 0


if __name__ == '__main__':
    sys.exit(main())
