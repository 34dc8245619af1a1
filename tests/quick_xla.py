"""How the tests' programs are compiled: their data are tiny, so compiling well takes longer."""

from importlib.metadata import version

# JAX 0.11.1 took the switch away, and refuses flags that it does not know
_EMITTERS = tuple(map(int, version('jax').split('.')[:2])) < (0, 11)

QUICK = {'xla_backend_optimization_level': 0}
# what users get, for the few tests that are about what the compiler does
THOROUGH = {'xla_backend_optimization_level': 3}
if _EMITTERS:
    QUICK['xla_cpu_use_fusion_emitters'] = False
    THOROUGH['xla_cpu_use_fusion_emitters'] = True
XLA_FLAGS = ' '.join(f'--{name}={str(value).lower()}' for name, value in QUICK.items())
