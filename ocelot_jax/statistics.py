"""Counts a data set beside the paper's: `python -m ocelot_jax.statistics --dataset=NAME`.

Prints the counts behind Tables 1 to 4, A.1, F.1 and F.2 of any data set that can be trained on,
and what is odd about its pairs: slides in two splits, equal images, cells where none should be.
Writes them to `statistics/<name>/` as `tables.csv`, `checks.csv` and `statistics.png`.

Area counts each distinct tissue patch whole. What two patches share of one region is not known
and counts twice, unless their pixels are all the same.
"""

from pathlib import Path

from absl import flags

from ocelot_jax.cli import app


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        'dataset', None, "TFDS name, or directory or zip in OCELOT's layout.", required=True
    )
    flags.DEFINE_list(
        'cell_classes', None, 'Names of the labels 1, 2, ...; BC,TC where nothing tells them.'
    )
    flags.DEFINE_list(
        'tissue_classes', None, 'Names of the tissue classes; BG,CA where nothing tells them.'
    )
    flags.DEFINE_string('output', None, 'Folder to write; statistics/<name> by default.')


def main() -> None:
    """Describes the data set that the flags name."""
    from ocelot_jax.dataset_statistics import describing

    values = flags.FLAGS
    found = describing.describe(
        values.dataset,
        values.cell_classes,
        values.tissue_classes,
    )
    print(found.render())
    folder = Path(values.output or f'statistics/{found.name}')
    found.write(folder)
    print(f'\n{folder / "statistics.png"}')


if __name__ == '__main__':
    define_flags()
    app.run(main)
