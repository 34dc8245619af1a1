"""Scores the best epoch of a run: `python -m ocelot_jax.evaluate --workdir=RUN --split=test`.

Prints the table and writes it to `<workdir>/evaluation/<split>/` as `scores.json` and
`scores.csv`, with the cells found (`predictions.json`, in the challenge's format), every pair
and every cell with its outcome (`pairs.csv`, `cells.csv`, `tissue.npz`) and a page of overlays
(`overlays.png`). Several runs, `--workdir=RUN1,RUN2`, are averaged; their results go to
`<split>-ensemble-<digest>` of the first, those of `--test_time_augmentation` to `<split>-tta`,
those of an `--engine` other than XLA to `<split>-<engine>`, those of `--detection=FILE` to
`<split>-detection-<digest>`, and those of other data than the run's own, `--source=PATH`, to
`<split>-on-<name>-<digest>`. `evaluation.json` tells data, runs and settings. `--output=DIR`
takes the place of `<workdir>/evaluation`, where that cannot be written.
"""

from absl import flags

from ocelot_jax.cli import app, parsing, process
from ocelot_jax.inference.engines import ENGINES
from ocelot_jax.io import disk


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_list('workdir', None, 'Directory of the run, or of several.', required=True)
    flags.DEFINE_string('split', None, 'train, val or test; by default test, or val without one.')
    flags.DEFINE_string('source', None, "Other data than the run's own, as config.data.source.")
    flags.DEFINE_bool('test_time_augmentation', False, 'Means over the eight symmetries.')
    flags.DEFINE_enum('engine', 'xla', ENGINES, 'What computes the network.')
    flags.DEFINE_string('detection', None, 'Detection settings: a file that tune wrote.')
    flags.DEFINE_string('output', None, "Folder to write to, if not the run's own.")
    flags.DEFINE_bool('untrained', False, 'Whether to score random weights as well.')


def main() -> None:
    """Scores the run that the flags name."""
    values = flags.FLAGS
    workdirs, split = parsing.parse_runs(values.workdir), parsing.parse_split(values.split)
    disk.check_writable(parsing.parse_path(values.output) or workdirs[0])
    process.check_devices()
    process.keep_compilations(workdirs[0].parent)
    # here, so that what is mistyped is answered before seconds of loading
    from ocelot_jax.evaluation import evaluator

    report = evaluator.evaluate_run(
        workdirs,
        split,
        values.source,
        values.untrained,
        values.test_time_augmentation,
        values.engine,
        parsing.parse_path(values.detection),
        parsing.parse_path(values.output),
    )
    print(report.render())


if __name__ == '__main__':
    define_flags()
    app.run(main)
