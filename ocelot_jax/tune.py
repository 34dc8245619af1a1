"""Tunes how a run's cells are detected: `python -m ocelot_jax.tune --workdir=RUN`.

Smoothing, least distance and threshold are chosen by the validation mF1 of the run's best epoch
over a grid around the configuration's values. The choice is kept with the run, in
`detection.json`, and used from then on by whatever applies the run; `tuning.csv` holds the scores
of the whole grid. With `--output=DIR` both lie there, and `--detection=DIR/detection.json` of
`evaluate` and `predict` uses the choice.
"""

from absl import flags

from ocelot_jax.cli import app, parsing, process
from ocelot_jax.io import disk


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string('workdir', None, 'Directory of the run.', required=True)
    flags.DEFINE_string('output', None, 'Folder to write, if not the run: for --detection.')


def main() -> None:
    """Tunes the run that the flags name."""
    values = flags.FLAGS
    [workdir] = parsing.parse_runs([values.workdir])
    output = parsing.parse_path(values.output)
    disk.check_writable(output or workdir)
    process.check_devices()
    process.keep_compilations(workdir.parent)
    # here, so that what is mistyped is answered before seconds of loading
    from ocelot_jax.evaluation import tuning

    print(tuning.tune_run(workdir, output).render())


if __name__ == '__main__':
    define_flags()
    app.run(main)
