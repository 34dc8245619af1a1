"""Cell detection with tissue context: OCELOT (CVPR 2023) in JAX and Flax."""
