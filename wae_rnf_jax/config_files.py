"""Files of configurations: one's own, and those of the package, found by name wherever it is.

A configuration is a Python file with `get_config()`. Those of the package lie in `configs/` of a
checkout and travel with an installed package; any file imports them as `configs.…`.
"""

import functools
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from wae_rnf_jax.errors import InputError, did_you_mean, first_line

__all__ = ["loaded_config", "shipped_folder", "shipped_names"]


@functools.cache
def shipped_folder() -> Path:
    """The folder of the package's own configurations."""
    package = Path(__file__).parent
    places = (package / "configs", package.parent / "configs")
    return next(place for place in places if (place / "default.py").is_file())


def shipped_names() -> list[str]:
    """Names of the package's own configurations, such as ``grammar/wae_rnf``."""
    folder = shipped_folder()
    files = sorted(folder.glob("*/*.py"))
    return [f"{file.parent.name}/{file.stem}" for file in files if file.stem != "base"]


def loaded_config(name: str) -> Any:
    """Loads a configuration.

    Args:
      name: a file; or one of `shipped_names`, also as configs/NAME.py.

    Returns:
      What its `get_config` returns.

    Raises:
      InputError: there is no such file, or it does not define a configuration.
    """
    path = _path(name)
    _make_importable(path)
    try:
        names = runpy.run_path(str(path))
        config = names["get_config"]() if "get_config" in names else None
    except Exception as error:  # a configuration is a program: anything may go wrong in it
        message = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"--config: {path} cannot be loaded: {message}") from error
    if not hasattr(config, "to_dict"):
        raise InputError(
            f"--config: {path} must define get_config() and return the configuration, an "
            "ml_collections.ConfigDict, from it"
        )
    return config


def _path(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path.resolve()
    shipped = name.removeprefix("configs/").removesuffix(".py")
    if shipped in shipped_names():
        return shipped_folder() / f"{shipped}.py"
    nearest = did_you_mean(shipped, shipped_names())
    raise InputError(
        f"--config: {name} is neither a file ({path.resolve()} does not exist) nor a configuration "
        f"of the package, such as grammar/wae_rnf{nearest}"
    )


def _make_importable(path: Path) -> None:
    """Puts the folder `configs` that a file is in, and the package's, behind the name `configs`.

    What lies beside that folder can be imported too.
    """
    own = [parent for parent in path.parents if parent.name == "configs"][-1:]
    package = Path(__file__).parent  # whose modules are not to be found by their last names
    beside = [str(folder.parent) for folder in own if folder.parent != package]
    sys.path[:0] = [folder for folder in beside if folder not in sys.path]
    module = sys.modules.setdefault("configs", ModuleType("configs"))
    folders = [*map(str, [*own, shipped_folder()]), *getattr(module, "__path__", ())]
    module.__path__ = list(dict.fromkeys(folders))
