"""Ours against PyTorch, in turn: `python -m benchmarks.compare`.

Runs `benchmarks.step` and the peer, A B A B, each in a process of its own, and prints a JSON line
for every size: the medians over the turns and the ratio ours / peer, lower is better. The peer
lives in a virtual environment of its own, which is made where it is missing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import venv
from pathlib import Path

TORCH = 'torch==2.13.0'
MEASURES = ('train_step_s', 'infer_s')


def main() -> None:
    """Compares what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--sizes', nargs='+', default=['128x8', '256x4', '1024x1'], help='SIDExB')
    parser.add_argument('--turns', type=int, default=2, help='how often each has its turn')
    parser.add_argument('--runs', type=int, default=5, help='calls that are timed in a turn')
    parser.add_argument('--peer', default='../shared/bench/torch_peer.py', help="the peer's file")
    parser.add_argument('--peer_venv', default='.venv-peer', help='where PyTorch is installed')
    options = parser.parse_args()
    peer_python = install_peer(Path(options.peer_venv))
    commands = {
        'ours': [sys.executable, '-m', 'benchmarks.step'],
        'peer': [str(peer_python), options.peer],
    }
    for case in options.sizes:
        size, batch = case.split('x')
        arguments = ['--size', size, '--batch', batch, '--runs', str(options.runs)]
        turns = {name: [] for name in commands}
        for _ in range(options.turns):
            for name, command in commands.items():
                turns[name].append(run([*command, *arguments]))
        print(json.dumps({'size': int(size), 'batch': int(batch)} | ratios(turns)), flush=True)


def ratios(turns: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """Median seconds of either side over its turns, and their ratio."""
    result = {}
    for measure in MEASURES:
        seconds = {
            name: statistics.median(turn[measure] for turn in own) for name, own in turns.items()
        }
        result |= {f'{name}_{measure}': round(value, 3) for name, value in seconds.items()}
        result[f'{measure}_ratio'] = round(seconds['ours'] / seconds['peer'], 2)
    return result


def run(command: list[str]) -> dict[str, float]:
    """Runs a command and reads the JSON of its last line."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def install_peer(folder: Path) -> Path:
    """Makes the peer's virtual environment where there is none, and names its Python."""
    python = folder / 'bin' / 'python'
    if not python.exists():
        venv.create(folder, with_pip=True)
        install = [str(python), '-m', 'pip', 'install', '--quiet', TORCH, 'numpy']
        subprocess.run(install, check=True)
    return python


if __name__ == '__main__':
    main()
