"""The networks as ONNX graphs, written from our own variables (needs the `[export]` extra).

What `ocelot_jax.models` says in Flax is said here in ONNX: same names, same order, maps as
[B,C,H,W]. Nothing but inference: no dropout, batch normalisation is part of the convolution
before it.
"""

from ocelot_jax.interop.onnx_graph.networks import to_onnx

__all__ = ['to_onnx']
