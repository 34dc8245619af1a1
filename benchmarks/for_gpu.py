"""Compiles programs for an NVIDIA H100 where there is none: `python -m benchmarks.for_gpu`.

XLA compiles for a GPU that it is told of, without a driver; what it cannot compile ends the
process there as on the GPU itself. Nothing runs, and no kernels are timed against each other.
Prints one JSON line a program: seconds, memory that it needs, operations at its top level.
`--dump DIR` keeps the compiled programs.

Beside JAX its plugin of the same version must be installed, CUDA itself need not be:
`pip install jax-cuda12-plugin==VERSION jax-cuda12-pjrt==VERSION`. JAX 0.10.2 wants
`XLA_FLAGS=--xla_gpu_enable_triton_gemm=false` here, for it finds tiles by timing alone.
"""

import argparse
import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks import workload
from ocelot_jax.inference import detection
from ocelot_jax.inference.engines import network
from ocelot_jax.models import factory
from ocelot_jax.training import state as train_state
from ocelot_jax.training.optimizer import create_optimizer
from ocelot_jax.training.step import create_device_step

# As NVIDIA's data sheet and CUDA's `deviceQuery` have it.
H100 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 12 }
gpu_device_info {
  name: "NVIDIA H100 80GB HBM3"  device_vendor: "NVIDIA Corporation"
  cuda_compute_capability { major: 9 }
  core_count: 132  fpus_per_core: 128  clock_rate_ghz: 1.98  device_address_bits: 64
  threads_per_warp: 32  threads_per_block_limit: 1024  threads_per_core_limit: 2048
  thread_dim_limit_x: 1024  thread_dim_limit_y: 1024  thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  shared_memory_per_core: 233472  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448  l2_cache_size: 52428800
  device_memory_size: 84942979072  memory_bandwidth: 3352320000000
  driver_version: "13.0.0"  runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0"  dnn_version: "9.12.0"
}
"""
Program = tuple[Callable[..., Any], tuple[Any, ...]]


def main() -> None:
    """Compiles what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--configs', nargs='+', default=[workload.CONFIG])
    parser.add_argument('--programs', nargs='+', default=[*PROGRAMS], choices=PROGRAMS)
    parser.add_argument('--size', type=int, default=256, help='side of both patches, pixels')
    parser.add_argument('--batch', type=int, default=4, help='pairs')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
    parser.add_argument('--dump', type=Path, help='folder for the compiled programs')
    options = parser.parse_args()
    # there are no libraries of CUDA whose versions it could look at
    os.environ.setdefault('JAX_SKIP_CUDA_CONSTRAINTS_CHECK', '1')
    place = on_gpu()
    for name in options.configs:
        config = workload.create_config(options.size, options.batch, augmented=True, name=name)
        config.model.dtype = options.dtype
        batch = jax.eval_shape(lambda config=config: workload.random_batch(config, options.size))
        for program in options.programs:
            start = time.perf_counter()
            compiled = compile_for(place, *PROGRAMS[program](config, batch))
            seconds = time.perf_counter() - start
            text = compiled.as_text()
            figures = {
                'seconds': round(seconds, 1),
                'memory_gb': round(compiled.memory_analysis().temp_size_in_bytes / 1e9, 3),
                'operations': text[text.index('\nENTRY') :].count(' = '),
            }
            print(json.dumps({'config': name, 'program': program} | figures), flush=True)
            if options.dump:
                options.dump.mkdir(parents=True, exist_ok=True)
                (options.dump / f'{Path(name).stem}_{program}.txt').write_text(text)


def on_gpu() -> NamedSharding:
    """Where arrays would lie on such a GPU."""
    topology = topologies.get_topology_desc(platform='cuda', target_config=H100, topology='1x1x1')
    return NamedSharding(Mesh(np.array(topology.devices), ('gpu',)), PartitionSpec())


def compile_for(
    place: NamedSharding, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> jax.stages.Compiled:
    """Compiles a function of arrays of such shapes."""
    placed = jax.tree.map(
        lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=place), arguments
    )
    return jax.jit(function).trace(*placed).lower(lowering_platforms=('cuda',)).compile()


def inference(config: ml_collections.ConfigDict, batch: Any) -> Program:
    """Probabilities of both patches."""
    model = factory.create_model(config)
    compute = functools.partial(network.probabilities, model)
    return compute, (factory.abstract_variables(model), batch)


def training_step(config: ml_collections.ConfigDict, batch: Any) -> Program:
    """A step of one device, with augmentation; a map over one device is left out."""
    model = factory.create_model(config, train_state.AXIS)
    tx = create_optimizer(config, 100)
    step = create_device_step(config, model, tx, workload.CELL_MPP, 100)
    state = jax.eval_shape(
        lambda variables: train_state.create(variables, tx=tx, averaged=False),
        factory.abstract_variables(model),
    )
    mapped = jax.vmap(step, (None, None, 0), (0, None), axis_name=train_state.AXIS, axis_size=1)
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), batch)
    return mapped, (jax.ShapeDtypeStruct((), jnp.int32), state, batch)


def finding_cells(config: ml_collections.ConfigDict, batch: Any) -> Program:
    """Detection in a batch's probabilities."""
    shape = (*batch['cell_image'].shape[:3], 1 + len(config.data.cell_classes))
    find = functools.partial(
        detection.detect, sigma=3.0, min_distance=15, threshold=0.5, max_cells=2048
    )
    return find, (jax.ShapeDtypeStruct(shape, jnp.float32),)


PROGRAMS = {'inference': inference, 'detection': finding_cells, 'training': training_step}


if __name__ == '__main__':
    main()
