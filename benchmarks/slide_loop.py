"""What a slide costs beside its network.

    python -m benchmarks.slide_loop --workdir=RUN --slide=FILE

In turn: the loop of a prediction (reading, network, detection, seams' cells) over all windows of
the slide, and the engine alone over the same batches. Prints a JSON line with the seconds of both
and their ratio; then, with `--command`, how long all of `ocelot_jax.predict` takes beside a loop.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax

from ocelot_jax.cli import parsing, process
from ocelot_jax.inference.engines import ENGINES
from ocelot_jax.prediction import predictor as predictor_lib
from ocelot_jax.slides import pipeline
from ocelot_jax.slides.readers.isolated import ReadingProcess
from ocelot_jax.slides.slide import Slide


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--workdir', type=Path, required=True, help='the run')
    parser.add_argument('--slide', type=Path, required=True, help='a slide that states its um/px')
    parser.add_argument('--engine', choices=ENGINES, default='openvino-bf16')
    parser.add_argument('--patches', help='SIDE,UM,SIDE,UM; by default those of the run')
    parser.add_argument('--batch_size', type=int, help='tissue windows at a time')
    parser.add_argument('--turns', type=int, default=3, help='how often each has its turn')
    parser.add_argument('--command', action='store_true', help='time the whole command, too')
    options = parser.parse_args()
    loop = measure_loop(options)
    if options.command:
        whole = statistics.median(run_command(options) for _ in range(options.turns))
        print(json.dumps({'command_s': round(whole, 2), 'beside_loop_s': round(whole - loop, 2)}))


def measure_loop(options: argparse.Namespace) -> float:
    """Times the loop and the engine, A B A B; gives the loop's seconds."""
    patches = parsing.parse_patches(options.patches)
    predictor = predictor_lib.load(
        options.workdir, engine=options.engine, patches=patches, batch_size=options.batch_size
    )
    method = predictor.method()
    with Slide(options.slide, open_reader=ReadingProcess().open) as slide:
        plan = pipeline.make_plan(slide, method)
        batches = []

        def keep(batch):
            batches.append(batch)
            return method.engine(batch)

        kept = dataclasses.replace(method, engine=keep)
        cells = sum(len(found.cells) for found in find(slide, kept, plan))
        parts = {
            'loop': lambda: find(slide, method, plan),
            'engine': lambda: [jax.block_until_ready(method.engine(batch)) for batch in batches],
        }
        turns = {name: [] for name in parts}
        for _ in range(options.turns):
            for name, part in parts.items():
                turns[name].append(seconds(part))
    medians = {name: statistics.median(values) for name, values in turns.items()}
    report = {'engine': options.engine, 'windows': plan.num_windows, 'cells': cells}
    report |= {'batches': len(batches), 'batch': batches[0]['cell_image'].shape}
    report |= {f'{name}_s': round(value, 2) for name, value in medians.items()}
    print(json.dumps(report | {'ratio': round(medians['loop'] / medians['engine'], 2)}))
    return medians['loop']


def find(slide: Slide, method: pipeline.Method, plan: pipeline.Plan) -> list[pipeline.Found]:
    """All that is found on a slide, batch by batch."""
    return list(pipeline.find(slide, method, plan.layout, plan.groups))


def seconds(part: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.monotonic()
    part()
    return time.monotonic() - start


def run_command(options: argparse.Namespace) -> float:
    """Seconds of a prediction from the command to its page."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, '-m', 'ocelot_jax.predict', f'--workdir={options.workdir}']
        command += [f'--input={options.slide}', f'--output={folder}']
        command += [f'--engine={options.engine}']
        command += [f'--patches={options.patches}'] if options.patches else []
        return seconds(lambda: subprocess.run(command, check=True, capture_output=True))


if __name__ == '__main__':
    process.use_huge_pages()
    main()
