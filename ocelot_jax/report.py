"""Makes the paper's tables of runs: `python -m ocelot_jax.report DIR`.

Finds all evaluated runs below DIR, averages repeats, and writes to `DIR/report` Tables 5, 6, 7,
C.1 and D.1 in the paper's form beside its numbers (`table_5.md`, `.csv`, `.tex`, ...), where a
sweep has variants what each gives (`levers.md`, `.csv`), and `index.html`: all of these, learning
curves, paired differences, what kinds of mistakes are made and on which patches.
"""

from absl import flags

from ocelot_jax.cli import app, parsing


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string('output', None, 'Folder to write; DIR/report by default.')


def main(root: str) -> None:
    """Reports on the runs below the directory that the command names."""
    folder = parsing.parse_existing('DIR', root)
    # here, so that what is mistyped is answered before seconds of loading
    from ocelot_jax.reporting import report

    path = report.write_report(folder, parsing.parse_path(flags.FLAGS.output))
    for written in [*path.parent.glob('levers.md'), *sorted(path.parent.glob('table_*.md'))]:
        print(written)
    print(path)


if __name__ == '__main__':
    define_flags()
    app.run(main, positionals=['DIR'])
