"""Flags of the commands that share their work out."""

from absl import flags

from ocelot_jax.cli import parsing
from ocelot_jax.cluster.pool import Workers

# the command's own, which its help lists
flags.disclaim_key_flags()


def define_flags(what: str) -> None:
    """Defines `--workers`, `--scheduler` and `--shard`; `what` is what they share out."""
    flags.DEFINE_integer('workers', None, f'Share {what} out to so many processes.')
    flags.DEFINE_string('scheduler', None, f"Share {what} out to this Dask scheduler's workers.")
    flags.DEFINE_string('shard', '0/1', f'i/n: every n-th of {what} alone, from the i-th on.')


def read_workers() -> Workers:
    """Who is to do the work, by the flags; an InputError where they contradict each other."""
    return Workers(flags.FLAGS.workers, flags.FLAGS.scheduler)


def read_shard() -> tuple[int, int]:
    """The part to do, (i, n); an InputError where the flag does not say."""
    return parsing.parse_shard(flags.FLAGS.shard)
