"""The parts of a model that some procedures update, or draw anew, apart from each other."""

from collections.abc import Mapping

import jax

PARTS = ("encoder", "decoder", "embedding")
_OF_MODULE = {
    "encoder": "encoder",
    "encoder_embedding": "encoder",
    "posterior": "encoder",
    "flow_stack": "encoder",
    "decoder": "decoder",
    "output_layer": "decoder",
}


def part_labels(params: Mapping) -> dict:
    """Returns the part of every parameter.

    An embedding that encoder and decoder share is a part of its own; one that is the decoder's
    alone is the decoder's.

    Args:
      params: a `TextAutoencoder`'s.

    Returns:
      A pytree like it, of names in `PARTS`.
    """
    own = "decoder" if "encoder_embedding" in params else "embedding"
    of_module = {**_OF_MODULE, "embedding": own}
    return {
        module: jax.tree.map(lambda _, module=module: of_module[module], tree)
        for module, tree in params.items()
    }
