"""Adam with a learning rate for each branch (Appendix B)."""

import optax


def learning_rate(peak: float, num_steps: int, warmup_steps: int) -> optax.Schedule:
    """A linear warm-up from 0 to `peak`, then half a cosine down to 0 at `num_steps`.

    The warm-up takes no more than half of the steps.
    """
    warmup_steps = min(warmup_steps, num_steps // 2)
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup_steps, num_steps)


def create(schedule: optax.Schedule, cell_lr_multiplier: float) -> optax.GradientTransformation:
    """Makes Adam with one schedule, multiplied for the cell branch.

    Args:
        schedule: step to learning rate, of the tissue branch and of what both branches share.
        cell_lr_multiplier: factor of the cell branch; the paper tries 1 and 0.5, because the
            cell branch overfits first.

    Returns:
        An optimizer for parameters whose top level names the branches; what begins with `cell`
        is the cell branch's.
    """
    transforms = {
        'cell': optax.adam(lambda step: cell_lr_multiplier * schedule(step)),
        'other': optax.adam(schedule),
    }

    def label(params: optax.Params) -> dict[str, str]:
        return {name: 'cell' if name.startswith('cell') else 'other' for name in params}

    return optax.partition(transforms, label)
