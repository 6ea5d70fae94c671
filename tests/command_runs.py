"""A tiny text and the arguments that train on it, for the tests of the commands."""

from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
SENTENCES = ["the cat sat", "a dog ran far away", "the dog sat", "a cat ran", "birds sing"]
NUM_SENTENCES = {"train": 40, "valid": 9, "test": 7}
SMALL = {
    "data.source": "text",
    "data.num_buckets": 1,
    "model.embedding_dim": 8,
    "model.hidden_dim": 8,
    "model.dropout": 0.0,
    "train.batch_size": 8,
    "train.num_epochs": 2,
    "train.log_every": 2,
}
WITH_CODE = {"model.latent_dim": 2, "kl_weight.length": 5}
ON_SPHERE = {"model.latent_dim": 3}  # whose λ is a constant
OF_SYSTEM = {"lm": {}, "vmf": ON_SPHERE, "wae_vmf": ON_SPHERE}


def write_text(folder: Path) -> Path:
    """The three files, drawn from SENTENCES."""
    rng = np.random.default_rng(0)
    for name, count in NUM_SENTENCES.items():
        rows = [SENTENCES[i] for i in rng.integers(0, len(SENTENCES), count)]
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
    return folder


LABELLED = {
    "good": ["the food was good", "we love this place", "great service and great food"],
    "bad": ["the food was bad", "we hate this place", "rude service and cold food"],
}


def write_labelled_text(folder: Path, texts: dict[str, list[str]] | None = None) -> Path:
    """The three files, each line led by its label; all labels stand in each, the first first."""
    texts = LABELLED if texts is None else texts
    rows = zip(*([(label, t) for t in of_label] for label, of_label in texts.items()), strict=True)
    lines = [f"{label}\t{text}" for row in rows for label, text in row]
    for name, repetitions in (("train", 8), ("valid", 2), ("test", 2)):
        (folder / f"{name}.txt").write_text("\n".join(lines * repetitions) + "\n")
    return folder


def train_arguments(text_folder, workdir, system="vae", **changes):
    settings = {
        **SMALL,
        **OF_SYSTEM.get(system, WITH_CODE),
        "data.path": text_folder,
        "data.cache_dir": text_folder / "cache",
        **changes,
    }
    config = f"--config={ROOT}/configs/grammar/{system}.py"
    overrides = [f"--config.{key}={value}" for key, value in settings.items()]
    return ["train", config, f"--workdir={workdir}", *overrides]
