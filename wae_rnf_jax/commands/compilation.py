"""JAX's persistent compilation cache, which spares a short run most of its start-up.

Only the command turns it on: importing or calling the library changes no setting of JAX.
"""

import os
import tempfile
from pathlib import Path

from wae_rnf_jax.errors import warn

DIRECTORY = "~/.cache/wae_rnf_jax/jax"
MIN_COMPILE_SECONDS = (
    0.2  # what compiles faster is not kept; JAX's own bound of 1 suits large models
)


def enable_compilation_cache() -> None:
    """Keeps compiled programs in `~/.cache/wae_rnf_jax/jax`, unless JAX was told of another place.

    `JAX_COMPILATION_CACHE_DIR` names another folder, and `JAX_ENABLE_COMPILATION_CACHE=false` turns
    the cache off. Where the folder cannot be written, that is said, and all is compiled anew.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" in os.environ or not jax.config.jax_enable_compilation_cache:
        return
    try:
        directory = Path(DIRECTORY).expanduser().resolve()  # JAX's keys hold the path
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        warn(
            f"compiled programs are not cached, since {DIRECTORY} cannot be written ({error}): set "
            "JAX_COMPILATION_CACHE_DIR to another folder"
        )
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", MIN_COMPILE_SECONDS)
