"""Runs that differ in the seed alone and are trained as one; where `config.seeds` is 1, one run.

Each has a directory, batches and checkpoints of its own, as if it had been trained by itself.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import flax.jax_utils
import jax
import ml_collections
import orbax.checkpoint as ocp

from ocelot_jax.data.batches import train_batches
from ocelot_jax.data.sources import Source
from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import checkpoints, configuration
from ocelot_jax.training import state as train_state
from ocelot_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run has for itself.

    Attributes:
        workdir: its configuration.
        config: its configuration, for its seed alone.
        batches: this process's part of its training batches, as of
            `input_pipeline.train_batches`.
        manager: of its checkpoints.
    """

    workdir: Path
    config: ml_collections.ConfigDict
    batches: Any
    manager: ocp.CheckpointManager

    def save(self, step: int, state: TrainState, scores: dict[str, float] | None) -> None:
        """Saves one copy of the replicated state, in the background, and where the batches are."""
        state = flax.jax_utils.unreplicate(state)
        checkpoints.save(
            self.manager,
            step,
            variables=state.evaluated,
            training=state.replace(**{state.evaluated_field: None}),
            data=self.batches.get_state(),
            metrics=scores,
        )

    def restore(self, step: int, like: TrainState) -> TrainState:
        """Restores what was saved as `like`, and sets the batches to go on there."""
        field = like.evaluated_field
        evaluated = checkpoints.restore(self.manager, step, 'variables', like.evaluated)
        training = checkpoints.restore(
            self.manager, step, 'training', like.replace(**{field: None})
        )
        self.batches.set_state(checkpoints.restore_data(self.manager, step))
        return training.replace(**{field: evaluated})


def save(
    group: Sequence[Run],
    step: int,
    state: TrainState,
    scores: Sequence[dict[str, float] | None],
) -> None:
    """Saves the runs' joint, replicated state, each run's part with its scores."""
    # a kill must leave a step that all have
    for run in group:
        run.manager.wait_until_finished()
    states = train_state.split(state, len(group))
    for run, single, its_scores in zip(group, states, scores, strict=True):
        run.save(step, single, its_scores)


@contextlib.contextmanager
def open_runs(
    config: ml_collections.ConfigDict, workdir: Path, source: Source
) -> Iterator[list[Run]]:
    """Opens the runs of a configuration, new ones or such as were begun before.

    Args:
        config: as `configs/default.py`.
        workdir: the directory of a single run, or of the folders `seed0`, `seed1`, ...
        source: the training split.

    Raises:
        InputError: the directory holds runs of another configuration.
    """
    members = list(_members(config, workdir))
    with contextlib.ExitStack() as stack:
        group = []
        for path, single in members:
            batches = train_batches(
                source,
                batch_size=single.data.batch_size,
                seed=single.seed,
                max_cells=single.data.max_cells,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            )
            # of several runs a kill may leave some a save behind
            latest = 1 if len(members) == 1 else 2
            manager = stack.enter_context(checkpoints.open_manager(path, latest))
            if manager.latest_step() is not None:
                configuration.check_config(path, single)
            elif jax.process_index() == 0:
                configuration.write_config(path, single)
                configuration.write_patches(path, source[0])
            group.append(Run(path, single, batches, manager))
        yield group


def _members(
    config: ml_collections.ConfigDict, workdir: Path
) -> Iterator[tuple[Path, ml_collections.ConfigDict]]:
    """Directory and configuration of each run."""
    if config.seeds < 1:
        raise InputError(f'config.seeds: {config.seeds}; want 1 or more')
    for seed in range(config.seed, config.seed + config.seeds):
        single = config.copy_and_resolve_references()
        single.update(seed=seed, seeds=1)
        yield workdir if config.seeds == 1 else workdir / f'seed{seed}', single
