"""Reads trained runs, one or an ensemble, to apply their best epochs."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
from absl import logging

from ocelot_jax.data.appearance import Appearance
from ocelot_jax.data.patches import Patches
from ocelot_jax.io import digests
from ocelot_jax.io.errors import InputError
from ocelot_jax.io.names import AnyPath
from ocelot_jax.models import factory
from ocelot_jax.runs import checkpoints, config_files, configuration
from ocelot_jax.runs.directory import RunDirectory

# fields of `config.model` that change how it is trained, and not what it computes
_OF_TRAINING = (
    *('cell_dropout', 'tissue_dropout', 'aspp_dropout'),
    *('context_gradient', 'context_noise', 'tied_encoders'),
    *('pretrained', 'pretrained_branches', 'pretrained_mean', 'pretrained_std'),
)


@dataclasses.dataclass(frozen=True)
class LoadedRuns:
    """One run, or several whose predictions are averaged.

    Attributes:
        workdirs: the runs' directories.
        config: the first run's, with its tuned detection settings; the others agree in `model`,
            in the classes, and in whether tissue was learned.
        variables: of the best epoch of each run.
        steps: the best epoch of each run, in optimizer steps.
        settings: digest of what predictions depend on beside the weights, of each run: the
            network, the classes, and the detection, tuned or not.
    """

    workdirs: tuple[Path, ...]
    config: ml_collections.ConfigDict
    variables: tuple[Any, ...]
    steps: tuple[int, ...]
    settings: tuple[str, ...]

    @property
    def ensemble(self) -> bool:
        """Whether there are several runs."""
        return len(self.workdirs) > 1

    @property
    def names(self) -> tuple[str, ...]:
        """What the runs are called: the ends of their paths, as long as tells them apart."""
        paths = [workdir.resolve().parts for workdir in self.workdirs]
        for length in range(1, max(map(len, paths)) + 1):
            found = tuple('/'.join(parts[-length:]) for parts in paths)
            if len(set(found)) == len(found):
                break
        return found

    def describe(self) -> dict[str, Any]:
        """Gives what the runs are called and how far they were trained, as JSON holds it."""
        return {
            'runs': list(self.names),
            'steps': list(self.steps),
        }

    def identity(self) -> dict[str, Any]:
        """Gives what predictions depend on, as JSON holds it, wherever the runs lie.

        Weights are known by their values, so that a run that was trained again is another one.
        """
        return {
            'weights': [_digest(each) for each in self.variables],
            'settings': list(self.settings),
            'test_time_augmentation': bool(self.config.test_time_augmentation),
        }

    @property
    def looks_at_tissue(self) -> bool:
        """Whether the network takes tissue patches, and not cell patches in their place."""
        reads = factory.reads_tissue(factory.create_model(self.config))
        return reads and bool(self.config.data.large_fov)

    def doubts_of_pairs(
        self, cell_mpps: Iterable[float], tissue_mpps: Iterable[float]
    ) -> list[str]:
        """Tells which runs were trained at another um/px than that of pairs' patches."""
        mpps = list(cell_mpps), list(tissue_mpps) if self.looks_at_tissue else []
        each = {
            name: configuration.load_patches(workdir).doubt_of_pairs(*mpps)
            for name, workdir in zip(self.names, self.workdirs, strict=True)
        }
        return [f'{name}: {doubt}' for name, doubt in each.items() if doubt]

    def load_appearances(self) -> dict[str, Appearance]:
        """Reads what the runs' patches look like, by the runs' names.

        A line in the log names a run that kept nothing of that.

        Raises:
            InputError: a file is damaged.
        """
        found = {}
        for name, workdir in zip(self.names, self.workdirs, strict=True):
            appearance = configuration.load_appearance(workdir)
            if appearance is None:
                logging.warning(
                    '%s: not there, so nothing tells whether the input looks like what the run '
                    'was trained on',
                    RunDirectory(workdir).appearance,
                )
            else:
                found[name] = appearance
        return found

    def load_patches(self) -> Patches:
        """Reads the sizes of the patches that the runs were trained on.

        Raises:
            InputError: they differ between the runs.
        """
        first, *others = map(configuration.load_patches, self.workdirs)
        for workdir, other in zip(self.workdirs[1:], others, strict=True):
            if other != first:
                raise InputError(
                    f'{workdir}: was trained on {other}, but {self.workdirs[0]} on {first}; '
                    'an ensemble wants runs of one kind of patches'
                )
        return first


def load_runs(
    workdirs: Sequence[AnyPath],
    test_time_augmentation: bool = False,
    tuned: bool = True,
    detection: AnyPath | None = None,
) -> LoadedRuns:
    """Reads the best epoch of each run.

    Args:
        workdirs: the runs' directories.
        test_time_augmentation: whether to average over the eight symmetries of the square,
            whatever the runs' configuration says.
        tuned: whether detection settings that were tuned take the place of the configuration's;
            a line in the log warns of those that were tuned for weights of an earlier epoch.
        detection: a file with tuned settings to take instead of those kept with the runs.

    Raises:
        MissingFileError: a directory holds no run, or there is no such file.
        InputError: a run has no finished epoch, or two runs do not fit together.
    """
    paths = tuple(map(Path, workdirs))
    configs = [configuration.load_config(workdir) for workdir in paths]
    for workdir, config in zip(paths, configs, strict=True):
        config_files.check_whole(config, str(RunDirectory(workdir).config))
    for workdir, config in zip(paths if tuned else (), configs, strict=tuned):
        file = Path(detection) if detection else RunDirectory(workdir).detection
        if detection or file.exists():
            config.detection.update(configuration.load_detection(file))
    for workdir, other in zip(paths[1:], configs[1:], strict=True):
        if differing := _differing(other, configs[0]):
            raise InputError(
                f'{workdir}: does not fit {paths[0]} in an ensemble: {"; ".join(differing)}'
            )
    config = configs[0]
    if test_time_augmentation:
        config.test_time_augmentation = True
    try:
        like = factory.abstract_variables(factory.create_model(config))
    except InputError as error:
        raise InputError(f'{RunDirectory(paths[0]).config}: {error}') from None
    steps, variables = zip(
        *(checkpoints.restore_best(workdir, like) for workdir in paths), strict=True
    )
    if tuned and detection is None:
        for workdir, own in zip(paths, variables, strict=True):
            _warn_of_earlier_tuning(workdir, own)
    return LoadedRuns(paths, config, variables, steps, tuple(map(_settings, configs)))


def _warn_of_earlier_tuning(workdir: Path, variables: Any) -> None:
    """Tells if a run was trained on since its detection was tuned."""
    path = RunDirectory(workdir).detection
    weights = configuration.load_tuned_weights(path) if path.exists() else None
    if weights is not None and weights != [_digest(variables)]:
        logging.warning(
            '%s: was tuned for other weights than those of the best epoch now; tune the run again',
            path,
        )


def _digest(variables: Any) -> str:
    return digests.of_arrays(jax.tree.leaves(variables))


def _differing(held: ml_collections.ConfigDict, wanted: ml_collections.ConfigDict) -> list[str]:
    """Describes in what a run does not fit another in an ensemble.

    Whatever the tissue loss weighed, it taught the tissue branch, unless it weighed nothing: the
    maps of such a run are noise, and their mean with others is wrong.
    """
    first, second = _agreeing(held), _agreeing(wanted)
    # the memory of a training step alone; `_settings` has it, by which outputs are known
    for each in (first, second):
        each['model'].pop('remat', None)
    differing = configuration.differences(first, second)
    if factory.maps_tissue(held) != factory.maps_tissue(wanted):
        name = 'tissue_loss_weight'
        differing += configuration.differences(held[name], wanted[name], f'config.{name}')
    return differing


def _settings(config: ml_collections.ConfigDict) -> str:
    return digests.of_json(_agreeing(config) | {'detection': config.detection.to_dict()})


def _agreeing(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Gives what the runs of an ensemble must agree in."""
    plain = json.loads(config.to_json())
    names = ('cell_classes', 'tissue_classes', 'large_fov')
    model = {name: value for name, value in plain['model'].items() if name not in _OF_TRAINING}
    return {'model': model, 'data': {name: plain['data'][name] for name in names}}
