"""The JSON files of a run: configuration, patches and their looks, tuned detection settings."""

import copy
import dataclasses
import functools
import json
import math
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from ocelot_jax.data.appearance import CHANGES, FEATURES, Appearance, Gaussian
from ocelot_jax.data.patches import Patches
from ocelot_jax.io import atomic
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.runs.directory import DETECTION_FIELDS, RunDirectory

# Fields of the configuration, and what their values must be.
_ABOVE_ZERO = (
    *('num_epochs', 'match_distance_um', 'target.disk_radius_um'),
    *('data.batch_size', 'data.max_cells', 'optimizer.learning_rate'),
    *('detection.min_distance_um', 'detection.max_cells', 'detection.temperature'),
)
_NOT_BELOW_ZERO = (
    *('tissue_loss_weight', 'optimizer.cell_lr_multiplier', 'optimizer.warmup_epochs'),
    'optimizer.encoder_lr_multiplier',
    *('detection.sigma_um', 'augment.blur_sigma', 'augment.noise_std'),
    *('augment.brightness', 'augment.contrast', 'augment.saturation', 'augment.hue'),
    *('augment.scale', 'model.context_noise', 'seed'),
)
# where 1 would leave nothing
_BELOW_ONE = (
    *('model.cell_dropout', 'model.tissue_dropout', 'model.aspp_dropout'),
    *('optimizer.average_decay', 'detection.threshold', 'augment.stain'),
)
_PROBABILITIES = (
    *(f'augment.{name}_probability' for name in ('flip', 'rotate', 'blur', 'noise', 'color')),
    *('augment.stain_probability', 'augment.scale_probability'),
    *('told_tissue.probability', 'told_tissue.until'),
)

# what runs were trained with before there were these fields
_ADDED = {
    'variant': '',
    'loss': 'dice',
    'optimizer.name': 'adam',
    'data.folds': 0,
    'data.fold': 0,
    'target.profile': 'disk',
    'told_tissue': {'probability': 0.0, 'until': 0.5},
    'optimizer.encoder_lr_multiplier': 1.0,
    'model.tissue_encoder_name': '',
    'model.vit': {
        'img_size': 224,
        'patch_size': 16,
        'embed_dim': 384,
        'depth': 12,
        'num_heads': 0,
        'mlp_ratio': 4.0,
        'mlp_layer': 'Mlp',
        'init_values': 0.0,
        'class_token': True,
        'reg_tokens': 0,
        'no_embed_class': False,
    },
    'model.convnext': {'depths': [3, 3, 9, 3], 'dims': [96, 192, 384, 768]},
    'model.pretrained_mean': [0.485, 0.456, 0.406],
    'model.pretrained_std': [0.229, 0.224, 0.225],
    'model.context_noise': 0.0,
    'model.tied_encoders': False,
    'augment.stain_probability': 0.0,
    'augment.stain': 0.1,
    'augment.scale_probability': 0.0,
    'augment.scale': 0.2,
    'detection.temperature': 1.0,
}


def check_values(config: ml_collections.ConfigDict) -> None:
    """Raises an InputError if a value is beyond what its field can be."""
    for names, wanted, fits in (
        (_ABOVE_ZERO, 'more than 0', lambda value: 0 < value < math.inf),
        (_NOT_BELOW_ZERO, '0 or more', lambda value: 0 <= value < math.inf),
        (_BELOW_ONE, 'from 0 to below 1', lambda value: 0 <= value < 1),
        (_PROBABILITIES, 'from 0 to 1', lambda value: 0 <= value <= 1),
    ):
        for name in names:
            value = functools.reduce(operator.getitem, name.split('.'), config)
            if not fits(value):
                raise InputError(f'config.{name}: {value!r}; want {wanted}')


def config_name(config: str) -> str:
    """Names the runs of a configuration: by its file and what follows a colon."""
    file, _, argument = config.partition(':')
    return '_'.join(filter(None, (Path(file).stem, argument)))


def write_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Writes the configuration of a new run."""
    _write(RunDirectory(workdir).config, _plain(config))


def load_config(workdir: Path) -> ml_collections.ConfigDict:
    """Reads the configuration of a run, as it was trained.

    Raises:
        MissingFileError: there is no run in the directory.
        InputError: the file is damaged.
    """
    return ml_collections.ConfigDict(_read_config(RunDirectory(workdir).config))


def check_config(workdir: Path, config: ml_collections.ConfigDict, moved: bool = False) -> None:
    """Raises an InputError if a run has another configuration.

    With `moved`, its data may have lain elsewhere.
    """
    path = RunDirectory(workdir).config
    held, wanted = _read_config(path), _plain(config)
    if moved:
        held['data']['source'] = wanted['data']['source']
    found = differences(held, wanted)
    if found:
        raise InputError(
            f'{path}: holds a run of another configuration: {"; ".join(found)}; '
            'choose another --workdir or the same values'
        )


def differences(held: Any, wanted: Any, name: str = 'config') -> list[str]:
    """Describes each field that differs, with both values."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        keys = sorted(held.keys() | wanted.keys())
        return [
            difference
            for key in keys
            for difference in differences(held.get(key), wanted.get(key), f'{name}.{key}')
        ]
    return [] if held == wanted else [f'{name} is {held!r} there and {wanted!r} here']


def write_patches(workdir: Path, record: Mapping[str, Any]) -> None:
    """Writes the sizes of a new run's patches, those of one of its pairs."""
    _write(RunDirectory(workdir).patches, dataclasses.asdict(Patches.of(record)))


def load_patches(workdir: Path) -> Patches:
    """Reads the sizes of the patches that a run was trained on.

    Raises:
        MissingFileError: there is no run in the directory.
        InputError: the file is damaged.
    """
    path = RunDirectory(workdir).patches
    held = _read(path)
    names = [field.name for field in dataclasses.fields(Patches)]
    good = held.keys() == set(names) and all(
        isinstance(held[name], int | float) and 0 < held[name] < math.inf for name in names
    )
    if not good:
        raise InputError(f'{path}: holds {held}; want positive numbers {", ".join(names)}')
    return Patches(**held)


def write_appearance(workdir: Path, appearance: Appearance) -> None:
    """Writes what a new run's patches look like."""
    gaussians = {'own': appearance.own, **appearance.changed}
    content = {
        'features': FEATURES,
        'patches': appearance.patches,
        'slides': appearance.slides,
        'limits': dict(appearance.limits),
        'far': appearance.far,
        'means': {name: each.mean.tolist() for name, each in gaussians.items()},
        'covariances': {name: each.covariance.tolist() for name, each in gaussians.items()},
    }
    _write(RunDirectory(workdir).appearance, content)


def load_appearance(workdir: Path) -> Appearance | None:
    """Reads what the patches that a run was trained on look like; None where it kept nothing.

    Raises:
        InputError: the file is damaged, or describes patches by other features.
    """
    path = RunDirectory(workdir).appearance
    if not path.exists():
        return None
    held = _read(path)
    try:
        if held['features'] != list(FEATURES):
            raise ValueError('it has other features')
        size = len(FEATURES)
        gaussians = {
            name: Gaussian(
                _numbers(held['means'][name], (size,)),
                _numbers(held['covariances'][name], (size, size)),
            )
            for name in ('own', *CHANGES)
        }
        limits = _numbers([held['limits'][name] for name in CHANGES], (len(CHANGES),))
        far = _numbers(held['far'], ())
        return Appearance(
            patches=int(held['patches']),
            slides=int(held['slides']),
            own=gaussians.pop('own'),
            changed=gaussians,
            limits=dict(zip(CHANGES, limits.tolist(), strict=True)),
            far=far.item(),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f'{path}: does not tell what patches look like ({error}); want what the trainer '
            'wrote, or no such file: nothing is compared then'
        ) from error


def _numbers(held: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = np.array(held, float)
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f'it has {values.shape} numbers, or some are not finite')
    return values


def write_detection(path: Path, settings: Mapping[str, Any]) -> None:
    """Writes the values of `config.detection` that were tuned, and as `origin` for which runs."""
    _write(path, dict(settings))


def load_detection(path: Path) -> dict[str, float]:
    """Reads the values of `config.detection` that were tuned.

    Raises:
        MissingFileError: there is no such file.
        InputError: the file is damaged.
    """
    if not path.exists():
        raise MissingFileError(f'{path}: not there; want a file that ocelot_jax.tune wrote')
    try:
        held = json.loads(path.read_text())
        # files from before there was a temperature have none
        tempered = {'temperature': 1.0} | held
        return {name: float(tempered[name]) for name in (*DETECTION_FIELDS, 'temperature')}
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f'{path}: want numbers {", ".join(DETECTION_FIELDS)}, found otherwise ({error}); '
            'tune the run again'
        ) from error


def load_tuned_weights(path: Path) -> list[str] | None:
    """Reads for which weights detection was tuned, their digests; None of an older file.

    Raises:
        InputError: the file is damaged.
    """
    load_detection(path)
    held = json.loads(path.read_text())
    if 'origin' not in held:
        return None
    try:
        return [run['weights'] for run in held['origin']['runs']]
    except (KeyError, TypeError) as error:
        raise InputError(f'{path}: does not tell its runs ({error}); tune them again') from error


def current_detection(workdir: Path) -> dict[str, Any]:
    """Reads how a run's cells are detected now: its configuration's values, or tuned ones."""
    detection = load_config(workdir).detection.to_dict()
    tuned = RunDirectory(workdir).detection
    return detection | load_detection(tuned) if tuned.exists() else detection


def _write(path: Path, content: Mapping[str, Any]) -> None:
    atomic.write_text(path, json.dumps(content, indent=2) + '\n')


def _read_config(path: Path) -> dict[str, Any]:
    """Reads a configuration; what an older run's lacks is what that run was trained with."""
    held = _read(path)
    seeds = held.pop('seeds', 1)
    if seeds != 1:
        raise InputError(f'{path}: config.seeds is {seeds!r}; want 1, a run has one seed')
    for name, value in _ADDED.items():
        section, _, field = name.rpartition('.')
        fields = held.get(section) if section else held
        # a section that is not there at all is told of, not made
        if isinstance(fields, dict):
            fields.setdefault(field, copy.deepcopy(value))
    return held


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise MissingFileError(
            f'{path}: not there, so {path.parent} is no run; --workdir wants the directory that '
            'ocelot_jax.main trained in'
        )
    try:
        held = json.loads(path.read_text('utf-8'))
    except ValueError as error:  # of the text or of the JSON
        raise InputError(f'{path}: is no JSON ({error}); want what the trainer wrote') from error
    if not isinstance(held, dict):
        raise InputError(f'{path}: holds a {type(held).__name__}; want what the trainer wrote')
    return held


def _plain(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Gives the configuration as JSON holds it, without tuples."""
    return json.loads(config.to_json())
