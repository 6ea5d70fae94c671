"""Flags and inputs that several commands share."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from absl import flags

from wae_rnf_jax.errors import InputError, warn

_DECODING_FLAGS = {"strategy", "max_length", "temperature", "top_p", "beam_width", "length_penalty"}
_STRATEGY_READING = {  # flag -> the strategy that reads it
    "temperature": "sample",
    "top_p": "sample",
    "beam_width": "beam",
    "length_penalty": "beam",
}
_NAMED_WORDS = 20  # of those that a vocabulary lacks


def prepare_process() -> None:
    """Sets what only a program may set: precision, place of compiled code, use of freed memory.

    The library itself changes no setting of JAX or of the process.
    """
    import jax

    from wae_rnf_jax.commands.compilation import enable_compilation_cache
    from wae_rnf_jax.commands.memory import keep_freed_memory

    jax.config.update("jax_enable_x64", False)  # models are of float32, on resuming too
    keep_freed_memory()
    enable_compilation_cache()
    # Texts are shared out among processes (data.num_workers), not among a library's threads.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def define_workdir(values: flags.FlagValues) -> None:
    """Defines `--workdir`."""
    flags.DEFINE_string(
        "workdir", None, "folder of the run; may be gs://BUCKET/FOLDER", flag_values=values
    )


def define_input(values: flags.FlagValues) -> None:
    """Defines `--input`."""
    flags.DEFINE_string(
        "input",
        "-",
        "file of sentences, one per line; empty lines are skipped; - is standard input",
        flag_values=values,
    )


def define_likelihood(values: flags.FlagValues) -> None:
    """Defines how a likelihood is estimated: `--num_samples`, `--seed`, sizes of the batches."""
    integer = {"lower_bound": 1, "flag_values": values}
    flags.DEFINE_integer("num_samples", 500, "draws of the code per sentence, S", **integer)
    flags.DEFINE_float(
        "proposal_scale",
        1.0,
        "width of the distribution that codes are drawn from, as a multiple of the posterior's; "
        "above 1, the bound is tighter where posteriors are too narrow",
        flag_values=values,
    )
    flags.DEFINE_integer("batch_size", 32, "sentences per batch", **integer)
    flags.DEFINE_integer("memory_limit_rows", 256, "(draw, sentence) pairs per batch", **integer)
    define_seed(values, "seed of the draws")


def define_seed(values: flags.FlagValues, text: str) -> None:
    """Defines `--seed`, in the range in which every seed gives draws of its own."""
    flags.DEFINE_integer("seed", 0, text, lower_bound=0, upper_bound=2**32 - 1, flag_values=values)


def likelihood_settings(values: flags.FlagValues) -> dict[str, Any]:
    """What `define_likelihood`'s flags were set to."""
    names = ("num_samples", "proposal_scale", "batch_size", "memory_limit_rows", "seed")
    return {name: values[name].value for name in names}


def define_decoding(values: flags.FlagValues, strategy: str = "greedy") -> None:
    """Defines `--workdir` and how codes become sentences."""
    from wae_rnf_jax.evaluation.decoding import STRATEGIES, Decoding

    default = Decoding()
    define_workdir(values)
    flags.DEFINE_enum("strategy", strategy, STRATEGIES, "decoding strategy", flag_values=values)
    for name, text in (
        ("max_length", "maximum number of tokens to predict"),
        ("beam_width", "width of beam search"),
    ):
        flags.DEFINE_integer(name, getattr(default, name), text, flag_values=values)
    for name, text in (
        ("temperature", "temperature of sample; 0 is greedy"),
        ("top_p", "share of the probability mass that sample draws from"),
        ("length_penalty", "exponent of the length normalization in beam search"),
    ):
        flags.DEFINE_float(name, getattr(default, name), text, flag_values=values)
    flags.DEFINE_boolean(
        "unk", True, "whether <unk> may be produced; --unk=false forbids it", flag_values=values
    )
    define_seed(values, "seed of the draws")


def decoding(values: flags.FlagValues) -> dict[str, Any]:
    """The settings that `define_decoding`'s flags were set to, checked."""
    from wae_rnf_jax.evaluation.decoding import Decoding, check_decoding

    settings = {name: values[name].value for name in _DECODING_FLAGS}
    chosen = Decoding(**settings, allow_unknown=values["unk"].value, seed=values["seed"].value)
    try:
        check_decoding(chosen)
    except InputError as error:
        raise InputError(f"--{error}") from error
    for name, reader in _STRATEGY_READING.items():
        if settings[name] != getattr(Decoding(), name) and chosen.strategy != reader:
            raise InputError(
                f"--{name} is {settings[name]}, but nothing in this run reads it: it is read only "
                f"if --strategy is {reader}, and --strategy is {chosen.strategy}"
            )
    return chosen._asdict()


def required(values: flags.FlagValues, name: str, what: str) -> str:
    """The value of a flag that must be given; `what` says what to give."""
    if not values[name].value:
        raise InputError(f"--{name} is missing: {what}")
    return values[name].value


def workdir_path(values: flags.FlagValues) -> Path:
    """The folder that `--workdir` names, to read from; a remote one is fetched."""
    return local_workdir(required(values, "workdir", "name a folder"))


def local_workdir(name: str, flag: str = "workdir") -> Path:
    """The folder that a flag names, to read from; a remote one is fetched."""
    from wae_rnf_jax.runs import remote

    return remote.local_workdir(name, flag)


def in_given_names(message: str, workdirs: Iterable[Path], names: Iterable[str]) -> str:
    """A message that names workdirs as the user did, and not by the folders they are fetched to."""
    for workdir, name in zip(workdirs, names, strict=True):
        message = message.replace(str(workdir), name) if "://" in name else message
    return message


def published(values: flags.FlagValues, path: Path) -> str:
    """Where a file of the workdir is, for the user; into a remote workdir, it is copied."""
    from wae_rnf_jax.runs.remote import publish_file

    return publish_file(values["workdir"].value, path)


def path_of(name: str) -> Path:
    """The path that a flag names, ~ expanded where there is such a home."""
    from wae_rnf_jax.storage.files import home_expanded

    return Path(home_expanded(name))


def check_folder(folder: Path, flag: str) -> None:
    """Refuses a folder that cannot be written to, before anything is computed for it."""
    if not folder.is_dir():
        raise InputError(f"--{flag}: there is no folder {folder}")
    with writing(folder, flag), tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def writing(path: Path, flag: str) -> Iterator[None]:
    """Says of what cannot be written which flag named it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--{flag}: {path} cannot be written: {reason}") from error


def trained_run(values: flags.FlagValues):
    """The trained model that `--workdir` holds."""
    return open_run(workdir_path(values))


def open_run(workdir: Path):
    """The trained model in a folder of this machine."""
    from wae_rnf_jax.runs.trained_model import load_trained_model
    from wae_rnf_jax.trained import Run

    return Run(load_trained_model(workdir))


def checked_config(values: flags.FlagValues):
    """The configuration, checked."""
    from wae_rnf_jax.training.config_check import check_config

    config = values["config"].value
    check_config(config, overridden=values["config"].override_values)
    return config


def added_argument(config, key: str) -> bool:
    """Adds the key of an argument that a section's definitions take; returns whether one does."""
    from wae_rnf_jax.training.config_check import add_argument

    return add_argument(config, key)


def given_sentence(values: flags.FlagValues, name: str) -> str:
    """The sentence that a flag holds, checked."""
    from wae_rnf_jax.data.vocabulary import first_reserved_word

    words = required(values, name, f'give a sentence, --{name}="…"').split()
    if not words:
        raise InputError(f"--{name} contains no words: give a sentence")
    reserved = first_reserved_word(words)
    if reserved is not None:
        raise InputError(
            f"--{name}: the word {reserved} is reserved and may not appear in a sentence"
        )
    return " ".join(words)


def input_sentences(values: flags.FlagValues) -> list[str]:
    """The sentences that `--input` names, words parted by single blanks, empty lines left out."""
    from wae_rnf_jax.data.text import text_records

    name = values["input"].value
    if name == "-" and sys.stdin is None:
        raise InputError("--input: standard input is closed: name a file, or pipe sentences in")
    try:
        source = sys.stdin.buffer if name == "-" else path_of(name)
        lines = [" ".join(record.text.split()) for record in text_records(source, label="none")]
    except InputError as error:
        raise InputError(f"--input: {error}") from error
    sentences = [line for line in lines if line]
    if not sentences:
        raise InputError(f"--input: {name} contains no sentences: give one per line")
    if empty := len(lines) - len(sentences):
        warn(f"--input: empty lines skipped: {empty:,}")
    return sentences


def report_form(sentences: Sequence[str], run) -> None:
    """Says on standard error where sentences are not like those that a run was trained on."""
    limit, encode = run.config["data"]["max_words"], run.vocabulary.encode
    longer = sum(len(encode(sentence)) > limit for sentence in sentences) if limit else 0
    if longer:
        warn(
            f"{longer:,} of {len(sentences):,} sentences are longer than {limit} words, at which "
            "training and `evaluate` cut them (data.max_words); here they are not cut"
        )


def report_unknown(unknown: Iterable[Sequence[str]]) -> None:
    """Says on standard error which words the vocabulary lacks, by name up to a line of them."""
    words = sorted({word for of_sentence in unknown for word in of_sentence})
    if words:
        more = len(words) - _NAMED_WORDS
        rest = f" and {more:,} more" if more > 0 else ""
        print(f"read as <unk>: {', '.join(words[:_NAMED_WORDS])}{rest}", file=sys.stderr)
