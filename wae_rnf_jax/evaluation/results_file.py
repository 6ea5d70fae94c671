"""The file of what an evaluation found, `results.json`."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wae_rnf_jax.evaluation.report import NLL_PAPER_NOTE, Metrics
from wae_rnf_jax.storage.files import new_file


def write_results(
    path: str | os.PathLike[str], *, split: str, settings: Mapping[str, Any], metrics: Metrics
) -> None:
    """Writes the results of an evaluation; the file is either the old or the new one, whole.

    Args:
      path: the file, `results.json` in a run's directory.
      split: name of the split.
      settings: what the evaluation was told: draws, seed, step of the model and the like.
      metrics: as `evaluate_split` returns them; one that is not finite is written as null.
    """
    content = {"split": split, "settings": dict(settings), "metrics": dict(metrics)}
    if "nll_paper" in metrics:
        content["note"] = NLL_PAPER_NOTE
    with new_file(Path(path)) as file:
        file.write(f"{json_text(content)}\n".encode())


def json_text(content: Any) -> str:
    """JSON in which a number that is not finite is null.

    Args:
      content: dictionaries, lists, text and numbers.

    Returns:
      Indented text without a final newline.

    >>> print(json_text({"metrics": [1.5, math.nan]}))
    {
      "metrics": [
        1.5,
        null
      ]
    }
    """
    return json.dumps(_finite(content), indent=2, allow_nan=False, ensure_ascii=False)


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def read_results(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what `write_results` wrote, in this version or in 0.1.

    Args:
      path: the file.

    Returns:
      `split`, `settings` and `metrics`, a null metric as NaN.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    metrics = content.pop("figures", None) or content["metrics"]  # the name in version 0.1
    content["metrics"] = {
        name: math.nan if value is None else value for name, value in metrics.items()
    }
    return content
