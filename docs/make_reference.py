"""Makes the reference of the library from its docstrings: python docs/make_reference.py [FOLDER].

FOLDER is docs/reference unless given.
"""

import sys
from pathlib import Path
from unittest import mock

import pdoc

import wae_rnf_jax


def make_reference(folder: Path) -> None:
    """Writes the pages into a folder, which is made if missing."""
    # The package loads a name when it is asked for; pdoc looks only at what is loaded.
    names = (*wae_rnf_jax.__all__, *wae_rnf_jax._WITH_FLAX)
    loaded = {name: getattr(wae_rnf_jax, name) for name in names}
    pdoc.render.configure(docformat="google")
    with mock.patch.dict(vars(wae_rnf_jax), loaded, __all__=names):
        pdoc.pdoc("wae_rnf_jax", output_directory=folder)


if __name__ == "__main__":
    default = Path(__file__).parent / "reference"
    make_reference(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
