"""The optimizer, with a learning rate for each branch (Appendix B)."""

import types
from collections.abc import Callable, Mapping

import ml_collections
import optax

from ocelot_jax.io.errors import InputError

OPTIMIZERS: dict[str, Callable[[optax.Schedule], optax.GradientTransformation]] = {
    'adam': optax.adam,
}
"""What `config.optimizer.name` can be: each makes an optimizer of a learning rate schedule."""


def create_optimizer(
    config: ml_collections.ConfigDict, epoch_steps: int
) -> optax.GradientTransformation:
    """Makes the optimizer of a configuration.

    Args:
        config: as `configs/default.py`.
        epoch_steps: steps of an epoch.

    Raises:
        InputError: there is no optimizer of that name.
    """
    values = config.optimizer
    if values.name not in OPTIMIZERS:
        raise InputError(
            f'config.optimizer.name: {values.name!r}; want one of {", ".join(OPTIMIZERS)}'
        )
    schedule = learning_rate(
        values.learning_rate,
        config.num_epochs * epoch_steps,
        round(values.warmup_epochs * epoch_steps),
    )
    encoders = dict.fromkeys(config.model.pretrained_branches, values.encoder_lr_multiplier)
    return by_branch(OPTIMIZERS[values.name], schedule, values.cell_lr_multiplier, encoders)


def encoder_multipliers(config: ml_collections.ConfigDict) -> tuple[float, float]:
    """By what the learning rate of the cell and of the tissue branch's encoder is multiplied."""
    values, own = config.optimizer, config.model.pretrained_branches
    cell, tissue = (values.encoder_lr_multiplier if b in own else 1.0 for b in ('cell', 'tissue'))
    return values.cell_lr_multiplier * cell, tissue


def learning_rate(peak: float, num_steps: int, warmup_steps: int) -> optax.Schedule:
    """A linear warm-up from 0 to `peak`, then half a cosine down to 0 at `num_steps`.

    The warm-up takes no more than half of the steps.
    """
    warmup_steps = min(warmup_steps, num_steps // 2)
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup_steps, num_steps)


def by_branch(
    make: Callable[[optax.Schedule], optax.GradientTransformation],
    schedule: optax.Schedule,
    cell_lr_multiplier: float,
    encoder_lr_multipliers: Mapping[str, float] = types.MappingProxyType({}),
) -> optax.GradientTransformation:
    """Gives the cell branch a multiple of the learning rate.

    Args:
        make: makes an optimizer of a schedule; one of `OPTIMIZERS`.
        schedule: step to learning rate, for the tissue branch and for what both branches share.
        cell_lr_multiplier: factor for the cell branch; the paper tries 1 and 0.5, because the
            cell branch overfits first.
        encoder_lr_multipliers: further factors for encoders, by branch; without rate, 0, the
            optimizer keeps nothing for them.

    Returns:
        An optimizer for parameters whose top level names the branches; names that begin with
        `cell` are the cell branch's.
    """
    multiples = {'cell': lambda step: cell_lr_multiplier * schedule(step), 'other': schedule}
    transforms = {name: make(multiple) for name, multiple in multiples.items()}
    # a label only where it is needed: checkpoints hold the optimizer's state by label
    factors = {name: factor for name, factor in encoder_lr_multipliers.items() if factor != 1}
    for branch, factor in factors.items():
        multiple = multiples['cell' if branch == 'cell' else 'other']
        transforms[f'{branch} encoder'] = (
            make(lambda step, multiple=multiple, factor=factor: factor * multiple(step))
            if factor
            else optax.set_to_zero()
        )

    def label(params: optax.Params) -> dict[str, str | dict[str, str]]:
        labels: dict[str, str | dict[str, str]] = {}
        for branch, parts in params.items():
            own = 'cell' if branch.startswith('cell') else 'other'
            labels[branch] = own
            if branch in factors:
                labels[branch] = {
                    part: f'{branch} encoder' if part == 'encoder' else own for part in parts
                }
        return labels

    return optax.partition(transforms, label)
