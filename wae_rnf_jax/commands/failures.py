"""Exceptions whose cause lies outside the program, in a sentence; where to report all others."""

import os
import re
from importlib.metadata import PackageNotFoundError, metadata

from wae_rnf_jax.errors import first_line

_DISTRIBUTION = "wae-rnf-jax"
_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|out of memory", re.IGNORECASE)


def outside_cause(error: Exception, *, takes_less: str) -> str | None:
    """One sentence for an exception that is not the program's fault; None for one that is.

    Args:
      error: as it reached the command line.
      takes_less: what to lower where memory runs out.
    """
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error))
    ):
        return f"out of memory ({first_line(error)}): lower {takes_less}"
    if isinstance(error, RuntimeError | AssertionError):  # which JAX raises without a device
        return _no_device()
    return None


def _no_device() -> str | None:
    import jax

    try:
        jax.devices()
    except Exception as error:
        wanted = os.environ.get("JAX_PLATFORMS")
        asked = f"for JAX_PLATFORMS={wanted}" if wanted else "to compute on"
        reason = f" ({first_line(error)})" if str(error) else ""
        return (
            f"JAX finds no device {asked}{reason}: install {_DISTRIBUTION}[cuda] or "
            f"{_DISTRIBUTION}[tpu], or set JAX_PLATFORMS=cpu"
        )
    return None


def report_request() -> str:
    """What is said below the traceback of an error of the program itself."""
    try:
        about = metadata(_DISTRIBUTION)
    except PackageNotFoundError:  # run from a checkout that is not installed
        version, urls = "", {}
    else:
        version = f" {about['Version']}"
        urls = dict(url.split(", ", 1) for url in about.get_all("Project-URL") or ())
    place = next((urls[name] for name in ("Issues", "Repository") if name in urls), "")
    where = f" at {place}" if place else " to its authors"
    return (
        f"This is a bug in {_DISTRIBUTION}{version}: please report it{where}, with all of the "
        "output above."
    )
