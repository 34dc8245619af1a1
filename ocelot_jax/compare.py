"""Tells whether two runs differ: `python -m ocelot_jax.compare --workdir=A --other=B --split=val`.

Prints by how much A's official scores are above B's on the same pairs, with the 95% interval and
p of a paired bootstrap over slides, over the patches within them and over seeds. Repeats go
together, `--workdir=A1,A2,A3`: their counts are averaged pair by pair, which is the score of all
their cells pooled; so do the runs of all folds of a cross-validation (`--split=test`).
"""

from absl import flags

from ocelot_jax.cli import app, parsing


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_list('workdir', None, 'Directory of a run, or of its repeats.', required=True)
    flags.DEFINE_list('other', None, 'Directory of another run, or of its repeats.', required=True)
    flags.DEFINE_string('split', 'val', 'train, val or test.')
    flags.DEFINE_integer('seed', 0, 'Of the draws.')
    flags.DEFINE_integer('resamples', 10_000, 'The number of draws.', lower_bound=1)


def main() -> None:
    """Compares the runs that the flags name."""
    values = flags.FLAGS
    one, other = parsing.parse_runs(values.workdir), parsing.parse_runs(values.other, '--other')
    parsing.parse_split(values.split)
    # here, so that what is mistyped is answered before seconds of loading
    from ocelot_jax.reporting import comparing

    comparison = comparing.compare_runs(one, other, values.split, values.seed, values.resamples)
    print(comparison.render())


if __name__ == '__main__':
    define_flags()
    app.run(main)
