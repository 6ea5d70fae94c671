"""What libraries write on standard error: warnings and errors, unless told otherwise.

Only the command changes it: importing or calling the library changes no logger.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from absl import logging as absl_logging

from wae_rnf_jax.errors import standard_error


@contextmanager
def library_logging(level: str) -> Iterator[None]:
    """Sets the level of JAX's loggers and of absl's, which Orbax, Grain and TFDS write to.

    Args:
      level: "error", "warning", "info" or "debug".
    """
    import jax

    if level == "warning":  # what `main` has set, and JAX by itself
        yield
        return
    logger = logging.getLogger("absl")
    before = absl_logging.get_verbosity(), jax.config.jax_logging_level
    # Without a handler of its own, nothing below a warning is written.
    handler = logging.StreamHandler(standard_error)
    handler.setFormatter(logging.Formatter("%(levelname)s %(module)s: %(message)s"))
    logger.addHandler(handler)
    absl_logging.set_verbosity(level)
    jax.config.update("jax_logging_level", level.upper())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        absl_logging.set_verbosity(before[0])
        jax.config.update("jax_logging_level", before[1])
