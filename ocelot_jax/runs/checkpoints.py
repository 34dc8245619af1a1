"""The latest and the best state of a run, saved by Orbax once an epoch.

Orbax writes to a temporary name and renames, so that a killed save leaves no checkpoint.
"""

import operator
import shutil
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from ocelot_jax.io import digests, disk, hosts
from ocelot_jax.io.errors import InputError
from ocelot_jax.runs import unheard
from ocelot_jax.runs.directory import RunDirectory

_score = operator.itemgetter('mF1')


def open_manager(workdir: Path, read_only: bool = False) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run.

    Read only, it leaves alone what a trainer may just be writing there; otherwise the folder is
    made, and what a killed save left is removed.
    """
    unheard.leave_out()
    if not read_only:
        _put_in_order(RunDirectory(workdir).checkpoints)
    best = checkpoint_managers.BestN(
        n=1, get_metric_fn=_score, keep_checkpoints_without_metrics=False
    )
    keep = [checkpoint_managers.LatestN(1), best]
    options = ocp.CheckpointManagerOptions(
        # without it Orbax writes no metrics
        best_fn=_score,
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(keep),
        # Orbax's own read_only only stops saves and deletions, and warns of itself twice
        create=not read_only,
        cleanup_tmp_directories=not read_only,
    )
    return ocp.CheckpointManager(
        RunDirectory(workdir).checkpoints.absolute(),
        options=options,
        item_names=('variables', 'training', 'data'),
    )


def save(
    manager: ocp.CheckpointManager,
    step: int,
    *,
    variables: Any,
    training: Any,
    data: dict[str, Any],
    metrics: dict[str, float] | None,
) -> None:
    """Saves in the background; `manager.wait_until_finished` waits.

    A run that was stopped amid a validation has the step already, without metrics. Orbax cannot
    add them, so the step is saved once more; until that is whole, the first is kept aside.

    Args:
        manager: from `open_manager`.
        step: optimizer steps done.
        variables: what the model is applied with, not replicated.
        training: what else training needs to go on, not replicated.
        data: where the training batches are, as their iterator tells it.
        metrics: validation metrics of this step, None where it was not validated.

    Raises:
        OutputError: the disk has no room for it.
    """
    # Orbax would tell it in hundreds of lines, and leave half of it there
    manager.wait_until_finished()
    checkpoints = Path(manager.directory)
    _put_in_order(checkpoints)
    require_room(manager, (variables, training))
    if step in manager.all_steps():
        hosts.wait_for_all()
        if hosts.is_first():
            (checkpoints / str(step)).rename(_aside(checkpoints, step))
        hosts.wait_for_all()
        manager.reload()
    args = ocp.args.Composite(
        variables=ocp.args.StandardSave(variables),
        training=ocp.args.StandardSave(training),
        data=ocp.args.JsonSave(data),
    )
    manager.save(step, args=args, metrics=metrics, force=True)


def require_room(manager: ocp.CheckpointManager, saved: Any) -> None:
    """Checks that the disk has room for a checkpoint of the arrays `saved`, a tree.

    Raises:
        OutputError: it has not.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(saved))
    disk.require_room(Path(manager.directory), size)


def _aside(checkpoints: Path, step: int | str) -> Path:
    """Names where a checkpoint is kept until the step is saved anew, out of Orbax's sight."""
    return checkpoints.with_name(f'.{checkpoints.name}-{step}')


def _put_in_order(checkpoints: Path) -> None:
    """Removes what was kept aside where its successor is whole, else puts it back."""
    if hosts.is_first():
        for kept in checkpoints.parent.glob(_aside(checkpoints, '*').name):
            successor = checkpoints / kept.name.rpartition('-')[2]
            if successor.exists():
                shutil.rmtree(kept)
            else:
                kept.rename(successor)
    hosts.wait_for_all()


def restore(manager: ocp.CheckpointManager, step: int, item: str, like: Any) -> Any:
    """Restores `variables` or `training` of a step, on the devices of `like`'s arrays."""
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    args = ocp.args.Composite(**{item: ocp.args.StandardRestore(abstract)})
    return manager.restore(step, args=args)[item]


def restore_data(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """Restores where the training batches were at a step."""
    return manager.restore(step, args=ocp.args.Composite(data=ocp.args.JsonRestore()))['data']


def restore_best(workdir: Path, like: Any) -> tuple[int, Any]:
    """Restores the `variables` of a run's best epoch, while a trainer may be at work there.

    Returns:
        The epoch's step, and its variables on the first device of this host; their shapes are
        those of `like`, arrays or not, of the run's model.

    Raises:
        InputError: no epoch is finished, or a file of the checkpoints is damaged.
    """
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), like)
    try:
        with open_manager(workdir, read_only=True) as manager:
            step = best_step(manager)
            if step is not None:
                return step, restore(manager, step, 'variables', like)
    # what Orbax and TensorStore run into when a file is not what they wrote
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        [reason, *_] = str(error).splitlines() or [type(error).__name__]
        raise InputError(
            f'{RunDirectory(workdir).checkpoints}: cannot be read ({reason[:200]}); want a whole '
            'copy of the run'
        ) from error
    raise InputError(f'{workdir}: no epoch of this run is finished; train it first')


def digest(workdir: Path, step: int) -> str:
    """The digest of the files that hold the `variables` of a step, without loading them."""
    folder = RunDirectory(workdir).checkpoints / str(step) / 'variables'
    paths = sorted(path for path in folder.rglob('*') if path.is_file())
    return digests.of_json(
        {path.relative_to(folder).as_posix(): digests.of_file(path) for path in paths}
    )


def best(workdir: Path) -> tuple[int, str] | None:
    """The step of a run's best epoch and its `digest`; None where no checkpoint of one is kept."""
    if not RunDirectory(workdir).checkpoints.is_dir():
        return None
    with open_manager(workdir, read_only=True) as manager:
        step = best_step(manager)
    return None if step is None else (step, digest(workdir, step))


def best_step(manager: ocp.CheckpointManager) -> int | None:
    """The step with the highest validation mF1, the latest of equals; None before the first."""
    scored = [(step, manager.metrics(step)) for step in manager.all_steps()]
    scored = [(_score(metrics), step) for step, metrics in scored if metrics]
    return max(scored)[1] if scored else None
