"""Trains many runs: `python -m ocelot_jax.sweep --sweep=configs/sweeps/table5.py --workdir=DIR`.

A sweep is a short file of `configs/sweeps/`: configurations, and the values that their fields may
take. Every combination is trained with the configuration's seed; the one that validates best is
then trained with further seeds (Sec. 6.3). The same command goes on where an earlier one stopped;
several at once, on one machine or on many that share DIR, each take what no other is at.
`--shard=i/n` gives each of n array jobs a part of its own.
"""

import functools
from pathlib import Path

from absl import flags

from ocelot_jax.cli import app, parsing, process


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string('sweep', None, 'What to train: a file of configs/sweeps/.', required=True)
    flags.DEFINE_string('workdir', None, "The sweep's directory.", required=True)
    flags.DEFINE_multi_string('override', [], "A field's value for all runs: data.source=PATH.")
    flags.DEFINE_string('shard', '0/1', 'i/n: every n-th run alone, beginning with the i-th.')


def main() -> None:
    """Runs the sweep that the flags name."""
    from ocelot_jax.sweeping import running, search

    values = flags.FLAGS
    workdir = Path(values.workdir)
    sweep, shard = search.read_sweep(values.sweep), parsing.parse_shard(values.shard)
    process.keep_compilations(workdir)
    overrides = dict(map(parsing.parse_override, values.override))
    # at once, where a log file is read while the runs go on
    report = functools.partial(print, flush=True)
    running.run_sweep(sweep, workdir, overrides, shard, report)


if __name__ == '__main__':
    process.use_huge_pages()
    define_flags()
    app.run(main)
