"""Libraries that only an extra of the package brings."""

import importlib
from types import ModuleType

from wae_rnf_jax.errors import InputError

__all__ = ["extra_module"]


def extra_module(name: str, *, package: str, extra: str) -> ModuleType:
    """Imports a module, or says in one sentence what to install.

    Args:
      name: of the module, dotted.
      package: what brings it, by its name on the index.
      extra: of this package, which asks for it.

    Returns:
      The module.

    Raises:
      InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"this needs {package}, which is not installed: pip install 'wae-rnf-jax[{extra}]'"
        ) from error
