"""Trained runs, one or an ensemble, ready to be applied."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections

from ocelot_jax.data import pair_folder
from ocelot_jax.data.patches import Patches
from ocelot_jax.inference import engines, loop
from ocelot_jax.io.errors import InputError
from ocelot_jax.models import factory
from ocelot_jax.runs import checkpoints, directory


@dataclasses.dataclass(frozen=True)
class Trained:
    """One run, or several that vote.

    Attributes:
        workdirs: the runs' directories.
        config: the first run's, with what was tuned since; the others agree in `model` and in the
            classes.
        variables: of the best epoch; of several runs stacked.
        steps: the best epoch of each run, in optimizer steps.
        digests: of each run's configuration, with what was tuned since.
    """

    workdirs: tuple[Path, ...]
    config: ml_collections.ConfigDict
    variables: Any
    steps: tuple[int, ...]
    digests: tuple[str, ...]

    @property
    def ensemble(self) -> bool:
        return len(self.workdirs) > 1

    def create_engine(self, name: str = 'xla') -> loop.Engine:
        """What computes the networks, one of `engines.ENGINES`."""
        return engines.create(name, self.config, self.variables, self.ensemble)

    def describe(self) -> dict[str, Any]:
        """What tells these runs from others, as JSON holds it."""
        return {
            'runs': [workdir.name for workdir in self.workdirs],
            'steps': list(self.steps),
            'configs': list(self.digests),
            'test_time_augmentation': bool(self.config.test_time_augmentation),
        }


def load(workdirs: Sequence[Path], test_time_augmentation: bool = False) -> Trained:
    """Loads the best epoch of each run.

    Args:
        workdirs: the runs' directories.
        test_time_augmentation: whether to predict by means over the eight symmetries of the
            square, whatever the runs' configuration says.

    Raises:
        FileNotFoundError: a directory holds no run.
        InputError: a run has no finished epoch, or two runs do not fit together.
    """
    configs = [directory.load_config(workdir) for workdir in workdirs]
    for workdir, config in zip(workdirs, configs, strict=True):
        config.detection.update(directory.load_detection(workdir))
    for workdir, other in zip(workdirs[1:], configs[1:], strict=True):
        _check_agreement(workdirs[0], configs[0], workdir, other)
    config = configs[0]
    if test_time_augmentation:
        config.test_time_augmentation = True
    empty = factory.empty_variables(factory.create_model(config))
    steps, members = zip(
        *(checkpoints.restore_best(workdir, empty) for workdir in workdirs), strict=True
    )
    variables = loop.stack(members) if len(members) > 1 else members[0]
    return Trained(tuple(workdirs), config, variables, steps, tuple(map(_digest, configs)))


def patches_of(trained: Trained) -> Patches:
    """Sizes of the patches that the runs were trained on.

    Runs that were trained before these were written down tell them by their data, where it is a
    directory or zip in OCELOT's layout that is still there.

    Raises:
        InputError: they are not known, or differ between the runs.
    """
    found = [
        directory.load_patches(workdir) or _patches_of_data(workdir)
        for workdir in trained.workdirs
    ]
    for workdir, other in zip(trained.workdirs, found, strict=True):
        if other != found[0]:
            raise InputError(
                f'{workdir}: was trained on {other}, but {trained.workdirs[0]} on {found[0]}; '
                'an ensemble wants runs of one kind of patches'
            )
    return found[0]


def _patches_of_data(workdir: Path) -> Patches:
    config = directory.load_config(workdir)
    source = config.data.source
    if not Path(source).exists():
        raise InputError(
            f'{workdir}: does not tell the size and um/px of the patches it was trained on, nor '
            f'are its data {source!r} here; give them as --patches=SIDE,UM,SIDE,UM'
        )
    folder = pair_folder.PairFolder(source, annotated=False)
    record = folder.as_data_source(next(iter(folder.splits)))[0]
    patches = Patches.of(record)
    if config.data.get('large_fov', True):
        return patches
    return dataclasses.replace(patches, tissue_size=patches.cell_size, tissue_mpp=patches.cell_mpp)


def _digest(config: ml_collections.ConfigDict) -> str:
    return hashlib.sha256(config.to_json(sort_keys=True).encode()).hexdigest()


def _check_agreement(
    first: Path,
    wanted: ml_collections.ConfigDict,
    workdir: Path,
    config: ml_collections.ConfigDict,
) -> None:
    names = ('cell_classes', 'tissue_classes', 'large_fov')
    one, other = (
        {'model': c['model'], 'data': {name: c['data'].get(name) for name in names}}
        for c in (json.loads(config.to_json()), json.loads(wanted.to_json()))
    )
    found = directory.differences(one, other)
    if found:
        raise InputError(f'{workdir}: does not fit {first} in an ensemble: {"; ".join(found)}')
