"""Turns a data set's files into TFDS records: `python -m ocelot_jax.prepare ocelot`.

Leaves TFRecord and ArrayRecord side by side, so that `tfds.load` and random access both work by
name and with no import of ours (see `data.preparation`). NAME is a data set of `datasets/`, with
/CONFIG where it has several.
"""

from absl import flags

from ocelot_jax.cli import app


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string('data_dir', None, "Where TFDS keeps its data sets; TFDS's own by default.")
    flags.DEFINE_string(
        'manual_dir', None, 'Where downloads by hand lie; DATA_DIR/downloads/manual by default.'
    )


def main(name: str) -> None:
    """Prepares the data set that the command names."""
    from ocelot_jax.data import preparation

    directory = preparation.prepare(name, flags.FLAGS.data_dir, flags.FLAGS.manual_dir)
    print(f'{name} is prepared in {directory}')


if __name__ == '__main__':
    define_flags()
    app.run(main, positionals=['NAME'])
