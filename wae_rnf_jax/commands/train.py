"""`wae-rnf train`: a run in its workdir, begun or resumed."""

import signal
import sys

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import TrainingFailed


def _run(values: flags.FlagValues) -> int:
    from wae_rnf_jax.training.loop import Interrupted, train

    try:
        train(options.checked_config(values), options.workdir_path(values))
    except Interrupted as stop:
        print(f"wae-rnf: {stop}", file=sys.stderr)
        return 128 + stop.signum if stop.signum == signal.SIGINT else 0
    except TrainingFailed as failure:
        print(f"wae-rnf: {failure}", file=sys.stderr)
        return 1
    return 0


COMMAND = Command(
    summary="Train a model, or resume its training.",
    examples=(
        "wae-rnf train --config=configs/grammar/wae_rnf.py --workdir=runs/grammar/wae_rnf",
        "wae-rnf train --config=configs/grammar/lm.py --workdir=runs/grammar/lm",
        "wae-rnf train --config=configs/grammar/vae.py --workdir=runs/short "
        "--config.train.num_epochs=2",
    ),
    run=_run,
    define_flags=options.define_workdir,
    takes_config=True,
)
