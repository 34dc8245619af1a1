"""The networks as ONNX graphs, written from our own variables (needs the `[export]` extra).

The modules mirror `ocelot_jax.models`: same names, same order, but maps are [B,C,H,W]. The graphs
are for inference: dropout is left out, and batch normalisation is folded into the convolution
before it.
"""

from ocelot_jax.interop.onnx_graph.networks import to_onnx

__all__ = ['to_onnx']
