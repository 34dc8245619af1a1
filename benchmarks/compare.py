"""Ours against PyTorch, in turn: `python -m benchmarks.compare`.

Ours by XLA and exported, and the peer as people run it: in float32, by `torch.autocast` in
bfloat16, and that compiled. A B C A B C, each in a process of its own. Prints a table for every
size: medians over the turns, and their ratios to PyTorch's in float32; lower is better. The peer
lives in a virtual environment of its own, which is made where it is missing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks import machine

TORCH = 'torch==2.13.0'
MEASURES = ('train_step_s', 'infer_s')
_BFLOAT16 = ('--dtype', 'bfloat16')
_PEERS = {
    'PyTorch, float32': (),
    'PyTorch, bfloat16': _BFLOAT16,
    'PyTorch, bfloat16, compiled': (*_BFLOAT16, '--compile'),
}
_BASE, *_ = _PEERS


def main() -> None:
    """Compares what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--sizes', nargs='+', default=['128x8', '256x4', '1024x1'], help='SIDExB')
    parser.add_argument('--turns', type=int, default=2, help='how often each has its turn')
    parser.add_argument('--runs', type=int, default=5, help='calls that are timed in a turn')
    parser.add_argument('--only', default='', help='part of the name of what is compared')
    parser.add_argument('--peer', default='../shared/bench/torch_peer.py', help="the peer's file")
    parser.add_argument('--peer_venv', default='.venv-peer', help='where PyTorch is installed')
    options = parser.parse_args()
    peer = [str(install_peer(Path(options.peer_venv))), options.peer]
    commands = {
        'ours, float32': [sys.executable, '-m', 'benchmarks.step'],
        'ours, OpenVINO in bfloat16': [
            sys.executable, '-m', 'benchmarks.engines', '--engine=openvino-bf16'
        ],
    } | {name: [*peer, *flags] for name, flags in _PEERS.items()}  # fmt: skip
    commands = {k: v for k, v in commands.items() if options.only in k or k == _BASE}
    print(f'{machine.name_cpu()}\n')
    for case in options.sizes:
        size, batch = case.split('x')
        arguments = ['--size', size, '--batch', batch, '--runs', str(options.runs)]
        turns = {name: [] for name in commands}
        for _ in range(options.turns):
            for name, command in commands.items():
                turns[name].append(run([*command, *arguments]))
        print_table(f'{batch} x {size}²', turns)


def print_table(title: str, turns: dict[str, list[dict[str, float]]]) -> None:
    """Prints median seconds over the turns of each, and their ratio to the peer's in float32."""
    print(f'| {title} | training step, s | ratio | inference, s | ratio |\n|---|---|---|---|---|')
    seconds = {
        name: [
            statistics.median(turn[measure] for turn in own) if measure in own[0] else None
            for measure in MEASURES
        ]
        for name, own in turns.items()
    }
    for name, values in seconds.items():
        cells = []
        for value, base in zip(values, seconds[_BASE], strict=True):
            cells += ['', ''] if value is None else [f'{value:.3f}', f'{value / base:.2f}']
        print(f'| {name} | {" | ".join(cells)} |')
    print(flush=True)


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
