"""A trained model as a folder to hand on, with a model card."""

import re
import shutil
from pathlib import Path
from typing import Any

from wae_rnf_jax.data.corpora import save_evaluation_corpus
from wae_rnf_jax.data.tokenizers import tokenizer_name
from wae_rnf_jax.errors import InputError, warn
from wae_rnf_jax.evaluation.comparison import corpus_name, outdated, saved_results
from wae_rnf_jax.evaluation.report import draws_in_words
from wae_rnf_jax.runs.checkpoint import RestoredModel
from wae_rnf_jax.runs.exported import write_model
from wae_rnf_jax.runs.trained_model import TrainedModel
from wae_rnf_jax.runs.workdir import fingerprint, write_json
from wae_rnf_jax.storage.files import new_directory, new_file
from wae_rnf_jax.training.estimate import tree_size

_SHOWN = ("nll_iw", "ppl_iw", "kl", "mi", "au")
_METRICS = re.compile(r"^- (not evaluated|\w+ split, S = .*)$", re.MULTILINE)  # a line of a card


def export_model(
    trained: TrainedModel, workdir: Path, directory: Path, *, dtype: str = "float32"
) -> None:
    """Writes the folder that `runs/exported.py` describes.

    Args:
      trained: the model.
      workdir: where it comes from, for its results and metrics.
      directory: folder to make.
      dtype: what the parameters are rounded to. Rounded, they are another model, which the results
        of the run are not those of: they are left out, as are those of an earlier step.

    Raises:
      InputError: the folder is there already or cannot be written, or safetensors is missing.
    """
    with new_directory(directory) as temporary:
        if temporary is None:
            raise InputError(f"{directory} already exists: name a new folder")
        restored = RestoredModel(dict(trained.model.variables), trained.step, trained.centers)
        write_model(temporary, restored, run=fingerprint(trained.config), dtype=dtype)
        write_json(temporary / "config.json", trained.config)
        save_evaluation_corpus(trained.corpus, temporary / "corpus", splits=())
        results = saved_results(workdir) if dtype == "float32" else None
        if results and (note := outdated(str(workdir), results["settings"], trained.step)):
            warn(f"{note}: the results are left out")
            results = None
        for name in ("metrics.jsonl", *(["results.json"] if results is not None else [])):
            if (workdir / name).exists():
                shutil.copy(workdir / name, temporary / name)
        card = model_card(trained, directory.name, results, dtype=dtype)
        (temporary / "README.md").write_text(card, encoding="utf-8")


def update_card(directory: Path) -> Path | None:
    """Puts the metrics of an exported model's results.json in the place of those on its card.

    Args:
      directory: the model's folder. What else its card says, by whomever, stays.

    Returns:
      The card, or None where there is none to read.
    """
    card = directory / "README.md"
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # removed, or of another kind by now
        return None
    line = _metrics(saved_results(directory))
    with new_file(card) as file:
        file.write(_METRICS.sub(lambda found: line, text, count=1).encode())
    return card


def model_card(
    trained: TrainedModel, name: str, results: dict[str, Any] | None, *, dtype: str = "float32"
) -> str:
    """A short description of a model in Markdown.

    Args:
      trained: the model.
      name: of its folder.
      results: as `read_results` gives them, or None where it was not evaluated.
      dtype: of the stored parameters.

    Returns:
      The text.
    """
    config, labels = trained.config, trained.corpus.labels
    lines = [
        f"# {name}",
        "",
        f"A text autoencoder trained with wae_rnf_jax: system `{config['system']}`, step "
        f"{trained.step:,}.",
        "",
        f"- trained on: {corpus_name(trained.corpus, config['data'])}",
        f"- model: {_parts(trained)}, stored in {dtype}",
        f"- vocabulary: {trained.vocabulary.size:,} types of the tokenizer "
        f"`{tokenizer_name(trained.vocabulary.tokenizer)}`, in `corpus/`",
        *([f"- labels of the text: {', '.join(labels)}"] if labels else []),
        _metrics(results),
        "",
        "```python",
        "import wae_rnf_jax  # with the extra `export`",
        "",
        f'run = wae_rnf_jax.load_run("{name}")',
        "run.sample(10)",
        "```",
        "",
        "`config.json` has every setting. Sentences are read as the training text was. The model "
        "repeats what that text says, including its errors and biases, and the license of the text "
        "may apply to the word list and the weights.",
        "",
    ]
    return "\n".join(lines)


def _parts(trained: TrainedModel) -> str:
    config, latent_dim = trained.config, trained.model.latent_dim
    count = tree_size(trained.model.variables["params"])[0]
    decoder = f"decoder `{config['decoder']['name']}`, {count:,} parameters"
    if not latent_dim:
        return f"a language model, without a latent code; {decoder}"
    encoder, posterior = config["encoder"]["name"], config["posterior"]["name"]
    return f"encoder `{encoder}`, posterior `{posterior}` of {latent_dim} dimensions, {decoder}"


def _metrics(results: dict[str, Any] | None) -> str:
    if results is None:
        return "- not evaluated"
    metrics = results["metrics"]
    shown = ", ".join(f"`{name}` {metrics[name]:.4g}" for name in _SHOWN if name in metrics)
    return f"- {results['split']} split, {draws_in_words(metrics)}: {shown}"
