"""Runs notebooks from top to bottom and keeps what they show: `python notebooks/run.py FILE...`.

What goes to standard error is left out: progress bars, which are made for a terminal, and what
libraries note about the machine. Pictures are kept in 256 colors, a third of the size.
"""

import argparse
import base64
import io
from collections.abc import Mapping
from pathlib import Path

import nbclient
import nbformat
from PIL import Image


def execute(
    notebook: nbformat.NotebookNode, folder: Path, env: Mapping[str, str] | None = None
) -> None:
    """Runs a notebook's cells in a kernel of its own, which fills in their outputs.

    Args:
        notebook: changed in place.
        folder: the directory to begin in.
        env: the kernel's environment; this process's where None.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        resources={'metadata': {'path': str(folder)}},
    )
    client.execute(**({} if env is None else {'env': dict(env)}))
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            cell.outputs = [output for output in cell.outputs if not _is_stderr(output)]
            for output in cell.outputs:
                _shrink(output.get('data', {}))
    # the machine's own version of Python tells nobody anything
    notebook.metadata.pop('language_info', None)


def _is_stderr(output: nbformat.NotebookNode) -> bool:
    return output.output_type == 'stream' and output.name == 'stderr'


def _shrink(data: dict[str, str]) -> None:
    """Keeps one picture of an output, and that small."""
    if 'image/png' not in data:
        return
    data.pop('image/jpeg', None)
    image = Image.open(io.BytesIO(base64.b64decode(data['image/png']))).convert('RGB')
    stream = io.BytesIO()
    # the default method gives rare colors away, those of thin marks
    few = image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2)
    few.save(stream, format='PNG', optimize=True)
    data['image/png'] = base64.b64encode(stream.getvalue()).decode()


def main() -> None:
    """Runs the notebooks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('notebooks', nargs='+', type=Path, metavar='FILE')
    for path in parser.parse_args().notebooks:
        notebook = nbformat.read(path, as_version=4)
        execute(notebook, path.parent)
        # last, so that a cell that fails leaves the file as it was
        nbformat.write(notebook, path)
        print(path)


if __name__ == '__main__':
    main()
