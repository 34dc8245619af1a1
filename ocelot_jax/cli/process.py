"""How a command's process is set up."""

import os
import sys
from pathlib import Path
from typing import Any

from ocelot_jax.io import disk
from ocelot_jax.io.errors import InputError


def use_huge_pages() -> None:
    """Starts the program anew with working memory in huge pages, where the C library is glibc.

    A training step takes and returns gigabytes. In pages of 4 KiB the kernel's work on them is a
    quarter of the step on two CPU cores. glibc reads the setting at the start of a process alone;
    where the variable is set already, it is left as it is.
    """
    if sys.platform != 'linux' or 'GLIBC_TUNABLES' in os.environ:
        return
    os.environ['GLIBC_TUNABLES'] = 'glibc.malloc.hugetlb=1'
    os.execv(sys.executable, sys.orig_argv)


def keep_compilations(folder: Path) -> None:
    """Keeps compiled programs in `<folder>/compilation_cache`, for the next start to find.

    A folder that `JAX_COMPILATION_CACHE_DIR` names is used instead; where nothing can be written,
    as beside another's runs, none is.
    """
    import jax  # slow to load, and the flags are read before

    config: Any = jax.config  # whose type has no options
    if not config.jax_compilation_cache_dir and os.access(disk.nearest_folder(folder), os.W_OK):
        config.update('jax_compilation_cache_dir', str(folder / 'compilation_cache'))
        # small programs too: what takes less than the default second adds up
        config.update('jax_persistent_cache_min_compile_time_secs', 0.1)


def check_devices() -> None:
    """Checks that there is a device, which `JAX_PLATFORMS` may want of a kind that is not here.

    Raises:
        InputError: there is none.
    """
    import jax  # slow to load, and the flags are read before

    config: Any = jax.config  # whose type has no options
    wanted = config.jax_platforms
    try:
        jax.devices()
    # of a kind that no plugin offers, JAX says so by an assertion that fails
    except (RuntimeError, AssertionError) as error:
        said = f' ({error})' if str(error) else ''
        raise InputError(
            f'JAX_PLATFORMS: {wanted!r}: JAX finds no such device{said}; want cpu or nothing, or '
            "for NVIDIA GPUs JAX with its plugin: pip install 'ocelot_jax[cuda12]'"
        ) from error
