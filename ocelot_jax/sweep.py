"""Trains many runs: `python -m ocelot_jax.sweep --sweep=configs/sweeps/table5.py --workdir=DIR`.

A sweep is a short file of `configs/sweeps/`: configurations, and the values that their fields may
take. Every combination is trained with the configuration's seed; the one that validates best is
then trained with further seeds (Sec. 6.3). The same command goes on where an earlier one stopped.
`--workers=N` shares the runs out to N processes, `--scheduler=ADDRESS` to a Dask cluster;
`--shard=i/n` gives each of n array jobs a part of its own.
"""

import functools
from pathlib import Path

from absl import flags

from ocelot_jax.cli import app, parsing, process, sharing


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string('sweep', None, 'What to train: a file of configs/sweeps/.', required=True)
    flags.DEFINE_string('workdir', None, "The sweep's directory.", required=True)
    flags.DEFINE_multi_string('override', [], "A field's value for all runs: data.source=PATH.")
    sharing.define_flags('the runs')


def main() -> None:
    """Runs the sweep that the flags name."""
    from ocelot_jax.sweeping import search

    values = flags.FLAGS
    sweep = search.read_sweep(values.sweep)
    overrides = dict(map(parsing.parse_override, values.override))
    shard = sharing.read_shard()
    # here, so that what is mistyped is answered before seconds of loading
    from ocelot_jax.sweeping import running

    running.run_sweep(
        sweep,
        Path(values.workdir),
        overrides,
        shard,
        # at once, where a log file is read while the runs go on
        functools.partial(print, flush=True),
        sharing.read_workers(),
        process.keep_compilations,
    )


if __name__ == '__main__':
    process.use_huge_pages()
    define_flags()
    app.run(main)
