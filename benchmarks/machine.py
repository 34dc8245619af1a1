"""The machine that figures come from."""

import os
from pathlib import Path

# of what Linux says of a CPU, what decides how fast a network is
_FEATURES = {'amx_bf16': 'AMX', 'avx512_bf16': 'AVX-512 in bfloat16', 'avx512f': 'AVX-512'}


def name_cpu() -> str:
    """Names the processor, its cores at hand, and the best that it has for networks."""
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    told = {
        key.strip(): value.strip() for key, _, value in (line.partition(':') for line in lines)
    }
    features = told.get('flags', '').split()
    best = next((name for flag, name in _FEATURES.items() if flag in features), 'no AVX-512')
    return f'{told.get("model name", "unknown")}, {os.cpu_count()} cores, {best}'
