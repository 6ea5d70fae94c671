"""The `wae-rnf` command: parses flags, checks them, calls the library."""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags

from wae_rnf_jax.errors import InputError, TrainingFailed
from wae_rnf_jax.training.compilation import enable_compilation_cache

USAGE_ERROR = 2
_DECODING_FLAGS = {"strategy", "max_length", "temperature", "top_p", "beam_width", "length_penalty"}


class Command(NamedTuple):
    """One subcommand: what it is for, its flags, and what it calls."""

    summary: str
    define_flags: Callable[[flags.FlagValues], None]
    takes_config: bool
    run: Callable[[flags.FlagValues], int | None]  # returns an exit code, None for 0


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code.

    Codes: 0 done, 1 the training failed, 2 bad input, 130 interrupted by the keyboard.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    absl_logging.set_verbosity(absl_logging.WARNING)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if arguments else USAGE_ERROR
    name, *rest = arguments
    try:
        if name not in COMMANDS:
            raise InputError(f"unknown command {name!r}: one of {', '.join(COMMANDS)}")
        values = flags.FlagValues()
        COMMANDS[name].define_flags(values)
        if COMMANDS[name].takes_config:
            # The overrides among the arguments become flags of their own, --config.KEY.
            config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=[name, *rest])
        if {"-h", "--help"} & set(rest):
            print(_command_help(name, values))
            return 0
        _parse(name, values, rest)
        enable_compilation_cache()
        return COMMANDS[name].run(values) or 0
    except InputError as error:
        print(f"wae-rnf: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("wae-rnf: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output left (`| head`): nothing is wrong. Python would complain again
        # when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parse(name: str, values: flags.FlagValues, arguments: list[str]) -> None:
    _find_config_file(arguments)
    try:
        left = values([f"wae-rnf {name}", *arguments])[1:]
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        message = str(error).strip().splitlines()[0]
        raise InputError(f"{message} (see `wae-rnf {name} --help`)") from error
    if left:
        raise InputError(f"unexpected argument {left[0]!r} (see `wae-rnf {name} --help`)")


def _find_config_file(arguments: list[str]) -> None:
    """Checks that the configuration's file exists, and makes its neighbours importable.

    Config files import each other as `configs.…`, so the folder above goes on the module path.
    """
    for argument, following in itertools.pairwise([*arguments, ""]):
        if argument == "--config" or argument.startswith("--config="):
            path = Path(argument.partition("=")[2] or following).resolve()
            if not path.is_file():
                raise InputError(f"--config: there is no file {path}")
            roots = [parent.parent for parent in path.parents if parent.name == "configs"]
            sys.path[:0] = [str(root) for root in roots[-1:]]


def _overview() -> str:
    lines = ["usage: wae-rnf COMMAND [--flag=value …]", ""]
    lines += [f"  {name:12} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", "`wae-rnf COMMAND --help` lists a command's flags."])


def _command_help(name: str, values: flags.FlagValues) -> str:
    lines = [f"usage: wae-rnf {name} [--flag=value …]", "", COMMANDS[name].summary, ""]
    for flag in sorted(values):
        if flag not in ("config",):
            lines.append(f"  --{flag}: {values[flag].help} (default: {values[flag].default})")
        else:
            lines.append(
                "  --config: configuration file; --config.KEY=VALUE changes one key, every one of "
                "which configs/default.py explains"
            )
    return "\n".join(lines)


def _required_path(values: flags.FlagValues, name: str) -> Path:
    if not values[name].value:
        raise InputError(f"--{name} is missing: name a folder")
    return Path(values[name].value).expanduser()


def _checked_config(values: flags.FlagValues):
    from wae_rnf_jax.training.state import check_config

    config = values["config"].value
    if config is None:
        raise InputError("--config is missing: name a file, such as configs/grammar/wae_rnf.py")
    check_config(config)
    return config


def _define_nothing(values: flags.FlagValues) -> None:
    """No flag but the configuration."""


def _define_workdir(values: flags.FlagValues) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values)


def _define_evaluation(values: flags.FlagValues) -> None:
    _define_workdir(values)
    integer = {"lower_bound": 1, "flag_values": values}
    flags.DEFINE_enum("split", "test", ["valid", "test"], "sentences", flag_values=values)
    flags.DEFINE_integer("num_samples", 500, "draws of the code a sentence, S", **integer)
    flags.DEFINE_integer("batch_size", 32, "sentences at once", **integer)
    flags.DEFINE_integer("memory_limit_rows", 256, "(draw, sentence) pairs at once", **integer)
    flags.DEFINE_integer("seed", 0, "of the draws", flag_values=values)


def _define_decoding(values: flags.FlagValues, strategy: str = "greedy") -> None:
    from wae_rnf_jax.evaluation.decoding import STRATEGIES, Decoding

    default = Decoding()
    _define_workdir(values)
    flags.DEFINE_enum("strategy", strategy, STRATEGIES, "of decoding", flag_values=values)
    for name, text in (("max_length", "most tokens predicted"), ("beam_width", "of beam")):
        flags.DEFINE_integer(name, getattr(default, name), text, flag_values=values)
    for name, text in (
        ("temperature", "of sample; 0 is greedy"),
        ("top_p", "share of the probability that sample keeps"),
        ("length_penalty", "exponent of beam's length normalisation"),
    ):
        flags.DEFINE_float(name, getattr(default, name), text, flag_values=values)
    flags.DEFINE_boolean("unk", True, "<unk> may be produced", flag_values=values)
    flags.DEFINE_integer("seed", 0, "of the draws", flag_values=values)


def _define_sample(values: flags.FlagValues) -> None:
    _define_decoding(values, strategy="sample")
    flags.DEFINE_integer("num", 10, "sentences", lower_bound=1, flag_values=values)


def _define_reconstruct(values: flags.FlagValues) -> None:
    _define_decoding(values)
    flags.DEFINE_string(
        "input", "-", "file of sentences, one a line; - is standard input", flag_values=values
    )


def _define_interpolate(values: flags.FlagValues) -> None:
    _define_decoding(values)
    flags.DEFINE_string("start", None, "the first sentence", flag_values=values)
    flags.DEFINE_string("end", None, "the last sentence", flag_values=values)
    flags.DEFINE_integer(
        "num_points", 7, "sentences, the ends included", lower_bound=2, flag_values=values
    )


def _decoding(values: flags.FlagValues):
    from wae_rnf_jax.evaluation.decoding import Decoding

    settings = {name: values[name].value for name in _DECODING_FLAGS}
    return Decoding(**settings, allow_unknown=values["unk"].value, seed=values["seed"].value)


def _load(values: flags.FlagValues):
    from wae_rnf_jax.training.workdir import load_run

    return load_run(_required_path(values, "workdir"))


def _prepare(values: flags.FlagValues) -> None:
    from wae_rnf_jax.data.batches import bucket_bounds, epoch_plan, padding_share
    from wae_rnf_jax.training.loop import open_corpus

    config = _checked_config(values)
    corpus = open_corpus(config)
    print(f"vocabulary: {corpus.vocabulary.size} types, specials included")
    for name in ("train", "valid", "test"):
        split = getattr(corpus, name)
        words = int(split.lengths.sum())
        line = f"{name}: {len(split)} sentences, {words} words"
        if split.log_probs is not None:
            line += f", exact mean NLL {-float(split.log_probs.mean()):.3f} nats"
        print(line)
    lengths = corpus.train.lengths
    plan = epoch_plan(
        lengths,
        bounds=bucket_bounds(lengths, num_buckets=config.data.num_buckets),
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        epoch=0,
    )
    print(f"padding: {padding_share(lengths, plan):.1%} of the training batches' tokens")


def _train(values: flags.FlagValues) -> int:
    from wae_rnf_jax.training.loop import Interrupted, train

    try:
        train(_checked_config(values), _required_path(values, "workdir"))
    except Interrupted as stop:
        print(f"wae-rnf: {stop}", file=sys.stderr)
        return 128 + stop.signum if stop.signum == signal.SIGINT else 0
    except TrainingFailed as failure:
        print(f"wae-rnf: {failure}", file=sys.stderr)
        return 1
    return 0


def _evaluate(values: flags.FlagValues) -> None:
    from tqdm import tqdm

    from wae_rnf_jax.evaluation.likelihood import evaluate_split
    from wae_rnf_jax.evaluation.report import figure_table, write_results

    run = _load(values)
    split_name = values["split"].value
    names = ("num_samples", "batch_size", "memory_limit_rows", "seed")
    settings = {name: values[name].value for name in names}
    split = getattr(run.corpus, split_name)
    with tqdm(total=len(split), unit="sentence", dynamic_ncols=True) as bar:
        figures = evaluate_split(
            run.model,
            run.variables,
            split,
            num_buckets=run.config["data"]["num_buckets"],
            progress=lambda done, total: bar.update(done - bar.n),
            **settings,
        )
    system = run.config["system"]
    settings.update(system=system, step=run.step)
    path = _required_path(values, "workdir") / "results.json"
    write_results(path, split=split_name, settings=settings, figures=figures)
    print(f"{system}, step {run.step}, split {split_name}\n")
    print(figure_table(figures))
    print(f"\nwritten to {path}")


def _sample(values: flags.FlagValues) -> None:
    import jax

    from wae_rnf_jax.evaluation.decoding import decoded_sentences
    from wae_rnf_jax.evaluation.latent_space import prior_codes

    run = _load(values)
    key = jax.random.fold_in(jax.random.key(values["seed"].value), 1)
    codes = prior_codes(key, values["num"].value, run.model.latent_dim)
    for sentence in decoded_sentences(
        run.model, run.variables, run.corpus.vocabulary, codes, decoding=_decoding(values)
    ):
        print(sentence)


def _reconstruct(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.latent_space import reconstruct_sentences

    run = _load(values)
    sentences = _input_lines(values["input"].value)
    found = reconstruct_sentences(
        run.model, run.variables, run.corpus.vocabulary, sentences, decoding=_decoding(values)
    )
    _report_unknown(found.unknown)
    for sentence, reconstruction in zip(sentences, found.sentences, strict=True):
        print(f"{sentence}\n  -> {reconstruction}")


def _interpolate(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.latent_space import interpolate_sentences

    for name in ("start", "end"):
        if not values[name].value:
            raise InputError(f'--{name} is missing: give a sentence, --{name}="…"')
    run = _load(values)
    path = interpolate_sentences(
        run.model,
        run.variables,
        run.corpus.vocabulary,
        values["start"].value,
        values["end"].value,
        num_points=values["num_points"].value,
        decoding=_decoding(values),
    )
    _report_unknown(path.unknown)
    for sentence in path.sentences:
        print(sentence)


def _input_lines(name: str) -> list[str]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--input: {name} cannot be read: {error}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"--input: {name} holds no sentence: give one a line")
    return lines


def _report_unknown(unknown) -> None:
    words = sorted({word for of_sentence in unknown for word in of_sentence})
    if words:
        print(f"read as <unk>: {', '.join(words)}", file=sys.stderr)


COMMANDS = {
    "prepare": Command("Tokenise a corpus and say what it holds.", _define_nothing, True, _prepare),
    "train": Command("Train a model, or resume its training.", _define_workdir, True, _train),
    "evaluate": Command("Measure a model on a whole split.", _define_evaluation, False, _evaluate),
    "sample": Command("Write sentences from the prior.", _define_sample, False, _sample),
    "reconstruct": Command(
        "Send sentences through the code.", _define_reconstruct, False, _reconstruct
    ),
    "interpolate": Command(
        "Walk from sentence to sentence.", _define_interpolate, False, _interpolate
    ),
}


if __name__ == "__main__":
    sys.exit(main())
