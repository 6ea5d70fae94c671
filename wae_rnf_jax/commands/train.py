"""`wae-rnf train`: a run in its workdir, begun or resumed."""

import os
import sys
from contextlib import ExitStack

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.commands.dry_run import print_dry_run
from wae_rnf_jax.commands.job import define_job, job_of
from wae_rnf_jax.errors import InputError, TrainingFailed, tell


def _define_flags(values: flags.FlagValues) -> None:
    options.define_workdir(values)
    flags.DEFINE_boolean(
        "dry_run",
        False,
        "only check the configuration and report what the run will need: batches, parameters, "
        "memory, FLOPs; takes no workdir",
        flag_values=values,
    )
    flags.DEFINE_string(
        "init_from",
        None,
        "workdir of another run whose model to start from; words are matched by name",
        flag_values=values,
    )
    flags.DEFINE_list(
        "init_parts",
        [],
        "what to take from it, such as embedding,decoder or decoder/lstm; if not given, all that "
        "both models have",
        flag_values=values,
    )
    flags.DEFINE_list(
        "seeds",
        [],
        "values of train.seed, as in 0,1,2: one run each, one after another, in the folders "
        "seed_0, seed_1, … of the workdir",
        flag_values=values,
    )
    flags.DEFINE_list(
        "track",
        [],
        "experiment trackers to write metrics to, besides TensorBoard: wandb, mlflow",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "profile",
        0,
        "number of steps to trace to profile/ in the workdir, once all is compiled; 0 for none",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "debug_nans",
        False,
        "stop at the first NaN and name its operation; slower, and takes more memory",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "stop_code",
        0,
        "exit code of a run that saved and stopped on SIGTERM, so that a scheduler can tell it "
        "from a finished one, whose code is 0; of several processes, only process 0 returns it",
        lower_bound=0,
        upper_bound=125,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "log_level",
        "warning",
        ["error", "warning", "info", "debug"],
        "how much libraries write to standard error; error also hides the progress of training",
        flag_values=values,
    )
    define_job(values)


def _run(values: flags.FlagValues) -> int:
    from wae_rnf_jax.commands.verbosity import library_logging
    from wae_rnf_jax.jobs.processes import is_first, member_of
    from wae_rnf_jax.jobs.signals import Interrupted

    job = job_of(values)
    if job is not None and values["dry_run"].value:
        raise InputError("--dry_run runs in one process: omit the flags of the job")
    with library_logging(values["log_level"].value):
        try:
            with member_of(job):
                _train(values)
        except Interrupted as stop:
            print(f"wae-rnf: {stop}", file=sys.stderr)
            # Process 0 alone: for the code of another, a scheduler might end it while it publishes.
            return stop.exit_code or is_first() * values["stop_code"].value
        except TrainingFailed as failure:
            print(f"wae-rnf: {failure}", file=sys.stderr)
            return 1
    return 0


def _train(values: flags.FlagValues) -> None:
    from wae_rnf_jax.jobs.processes import is_first, together
    from wae_rnf_jax.runs.remote import published_run, training_workdir
    from wae_rnf_jax.runs.trackers import check_trackers
    from wae_rnf_jax.training.flags import StartFlags
    from wae_rnf_jax.training.loop import train

    with together():
        config, origin = options.checked_config(values), _origin(values)
        if values["dry_run"].value:
            print_dry_run(config, origin)
            return
        if is_first():
            check_trackers(values["track"].value)
        name = options.required(values, "workdir", "name a folder")
        runs = _runs(name, config.train.seed, values["seeds"].value)
    given = {name: values[name].value for name in ("profile", "debug_nans")}
    quiet = values["log_level"].value == "error"
    start = StartFlags(**given, quiet=quiet, trackers=tuple(values["track"].value))
    for name, seed in runs:
        config.train.seed = seed
        if len(runs) > 1 and is_first() and not quiet:
            tell(f"seed {seed}, in {name}")
        with ExitStack() as held:
            with together():
                published = held.enter_context(published_run(name)) if is_first() else None
            train(config, training_workdir(name), origin=origin, flags=start, published=published)
            with together():
                held.close()  # what cannot be published at the end fails all


def _runs(workdir: str, seed: int, seeds: list[str]) -> list[tuple[str, int]]:
    """The workdirs to train in, one after the other, each with its seed."""
    if not seeds:
        return [(workdir, seed)]
    wrong = [text for text in seeds if not text.isdecimal() or int(text) >= 2**32]
    if wrong:
        raise InputError(
            f"--seeds: {wrong[0]!r} is not a whole number from 0 to {2**32 - 1}: give numbers, as "
            "in 0,1,2"
        )
    numbers = [int(text) for text in seeds]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"--seeds is {','.join(seeds)}: give each seed once")
    if "://" not in workdir and (options.path_of(workdir) / "config.json").exists():
        raise InputError(
            f"--workdir: {workdir} holds a run of one seed: with --seeds, name a folder for runs "
            "in seed_0, seed_1, …"
        )
    return [(f"{workdir.rstrip('/')}/seed_{number}", number) for number in numbers]


def _origin(values: flags.FlagValues):
    """The run to start from as `--init_from` and `--init_parts` name it, or None."""
    from wae_rnf_jax.training.flags import Origin

    workdir, parts = values["init_from"].value, values["init_parts"].value
    if workdir:
        # Compared on resuming: the same folder and parts, however they were typed.
        place = workdir.rstrip("/") if "://" in workdir else os.path.normpath(workdir)
        return Origin(place, tuple(sorted({p.strip("/ ") for p in parts})))
    if parts:
        raise InputError("--init_parts needs --init_from: name the workdir to take them from")
    return None


COMMAND = Command(
    summary="Train a model, or resume training.",
    examples=(
        "wae-rnf train --config=configs/grammar/wae_rnf.py --workdir=runs/grammar/wae_rnf",
        "wae-rnf train --config=configs/grammar/lm.py --workdir=runs/grammar/lm",
        "wae-rnf train --config=configs/grammar/vae.py --workdir=runs/short "
        "--config.train.num_epochs=2",
        "wae-rnf train --config=configs/grammar/vae.py --dry_run",
        "wae-rnf train --config=configs/grammar/vae.py --workdir=runs/grammar/vae --seeds=0,1,2",
        "wae-rnf train --config=configs/grammar/vae.py --workdir=runs/from_lm "
        "--init_from=runs/grammar/lm --init_parts=embedding,decoder,output_layer",
        "wae-rnf train --config=configs/grammar/vae.py --workdir=runs/traced --profile=10",
    ),
    run=_run,
    takes_less="--config.train.batch_size, or raise --config.train.accumulate",
    define_flags=_define_flags,
    takes_config=True,
)
