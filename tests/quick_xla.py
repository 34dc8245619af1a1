"""How the tests' programs are compiled: their data are tiny, so compiling well takes longer."""

QUICK = {'xla_backend_optimization_level': 0, 'xla_cpu_use_fusion_emitters': False}
# what users get, for the few tests that are about what the compiler does
THOROUGH = {'xla_backend_optimization_level': 3, 'xla_cpu_use_fusion_emitters': True}
XLA_FLAGS = ' '.join(f'--{name}={str(value).lower()}' for name, value in QUICK.items())
