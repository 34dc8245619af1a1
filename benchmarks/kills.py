"""Trainings that are killed: `python -m benchmarks.kills --config=CONFIG`.

All flags of `ocelot_jax.main` may follow. Trains once undisturbed. Then, as often as `--kills`
says, trains anew, kills the process by SIGKILL at a random moment after the run's directory was
begun, starts the same command again, and compares what is left with what the undisturbed one
left: every array of the last checkpoint, `metrics.csv` and the evaluation's scores. Prints a JSON
line for each, and exits with status 1 where one differs.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp


def main() -> None:
    """Kills and compares."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    options, settings = parser.parse_known_args()
    moments = random.Random(options.seed)
    same = 0
    with tempfile.TemporaryDirectory() as folder:
        # all find the compilations of the first two, of which only the second is timed
        first, undisturbed, *runs = (Path(folder) / f'run{i}' for i in range(options.kills + 2))
        train(first, settings)
        seconds = train(undisturbed, settings)
        wanted = digests(undisturbed)
        print(json.dumps({'undisturbed_s': round(seconds, 1)}), flush=True)
        for run in runs:
            moment = moments.uniform(0, seconds)
            train(run, settings, kill_after=moment)
            killed_at = steps(run)
            train(run, settings)
            found = digests(run)
            differ = sorted(name for name in wanted if found[name] != wanted[name])
            same += not differ
            line = {'killed_after_s': round(moment, 2), 'saved_steps': killed_at, 'differ': differ}
            print(json.dumps(line), flush=True)
    print(json.dumps({'kills': options.kills, 'same_bits': same}))
    sys.exit(same < options.kills)


def train(workdir: Path, settings: list[str], kill_after: float | None = None) -> float:
    """Runs the command to its end, or kills it; seconds count from when its directory is begun."""
    command = [sys.executable, '-m', 'ocelot_jax.main', f'--workdir={workdir}', *settings]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (workdir / 'config.json').exists():
        time.sleep(0.01)
    start = time.perf_counter()
    try:
        status = process.wait(kill_after)
        if status:
            sys.exit(f'{" ".join(command)} ended with status {status}')
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return time.perf_counter() - start


def steps(workdir: Path) -> list[int]:
    """The steps whose checkpoints are there."""
    folder = workdir / 'checkpoints'
    return sorted(int(path.name) for path in folder.glob('*') if path.name.isdecimal())


def digests(workdir: Path) -> dict[str, str]:
    """Digests of all that a finished run left."""
    with ocp.CheckpointManager(workdir / 'checkpoints') as manager:
        items = {name: ocp.args.StandardRestore() for name in ('variables', 'training')}
        restored = manager.restore(manager.latest_step(), args=ocp.args.Composite(**items))
    leaves, _ = jax.tree.flatten_with_path(dict(restored))
    found = {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}
    [scores] = (workdir / 'evaluation').glob('*/scores.json')
    found |= {path.name: path.read_bytes() for path in (workdir / 'metrics.csv', scores)}
    return {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}


if __name__ == '__main__':
    main()
