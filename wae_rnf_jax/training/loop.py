"""The training loop: batches through the mapped step, validation, checkpoints, interruption."""

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from wae_rnf_jax.data.batches import num_batches_per_epoch, training_batches
from wae_rnf_jax.data.corpora import Corpus
from wae_rnf_jax.errors import TrainingFailed, first_line, tell, warn
from wae_rnf_jax.functional._keys import key_of_data, random_key
from wae_rnf_jax.jobs.agreement import (
    check_agreement,
    config_facts,
    corpus_facts,
    program_facts,
)
from wae_rnf_jax.jobs.processes import from_first, gathered, is_first, together
from wae_rnf_jax.jobs.signals import SIGNAL, Interrupted, StopSignals
from wae_rnf_jax.models.autoencoder import text_autoencoder
from wae_rnf_jax.runs.checkpoint import Checkpoints, NotSaved, Progress, newest_step
from wae_rnf_jax.runs.lock import sole_use
from wae_rnf_jax.runs.metrics import Compilations, MetricsLog
from wae_rnf_jax.runs.trackers import tracker_sinks
from wae_rnf_jax.runs.workdir import fingerprint, open_workdir, write_json
from wae_rnf_jax.training.annealing import annealing
from wae_rnf_jax.training.corpus import open_corpus
from wae_rnf_jax.training.flags import NO_FLAGS, Origin, StartFlags
from wae_rnf_jax.training.nans import NotANumber, nan_checked_train_step
from wae_rnf_jax.training.parallel import (
    axis_name,
    check_batch_size,
    mapped_eval_step,
    mapped_train_step,
    replicate,
    split_rows,
)
from wae_rnf_jax.training.profiling import StepTrace, planned_trace
from wae_rnf_jax.training.recipe import Recipe, TrainState
from wae_rnf_jax.training.state import build_recipe, initial_state, run_warnings
from wae_rnf_jax.training.step import after_bound
from wae_rnf_jax.training.transfer import Transfer, planned_transfer
from wae_rnf_jax.training.unread import is_read
from wae_rnf_jax.training.validation import split_metrics


def train(
    config: ConfigDict,
    workdir: Path,
    *,
    origin: Origin | None = None,
    flags: StartFlags = NO_FLAGS,
    published: Callable[[], None] | None = None,
) -> Path:
    """Trains to the end of `config.train.num_epochs`, or resumes and then does.

    Args:
      config: the whole configuration, checked.
      workdir: made if missing; a run found there is resumed if its configuration is the same.
      origin: another run whose model this one starts from, if any; once there is a checkpoint, it
        is only compared with the one that the run began from.
      flags: what this start is asked for beside training.
      published: called on process 0 after each checkpoint, to copy it to another place.

    Returns:
      The workdir.

    Raises:
      InputError: the workdir is in use, holds a run of another configuration or origin, or no
        whole checkpoint; the origin does not fit; or the devices do not divide the batch.
      Interrupted: after SIGINT or SIGTERM, the state saved.
      TrainingFailed: the loss is no number, or the last state could not be saved; the last good
        checkpoint is kept.
    """
    check_agreement(_start_facts(config, origin, flags))
    check_batch_size(config.train.batch_size, config.train.accumulate, config.train.mmd_group)
    with together():
        corpus = open_corpus(config.data.to_dict())
    check_agreement(corpus_facts(corpus))
    with ExitStack() as held:
        held.enter_context(jax.enable_x64(False))  # a run has one precision, whatever the mode is
        own = None
        with together():
            if is_first():
                checkpoints, transfer = _opened_run(config, workdir, corpus, origin, held)
                own = _OwnWorkdir(checkpoints, transfer, published or (lambda: None))
        debugging = flags.debug_nans or jax.config.jax_debug_nans
        flags = flags._replace(debug_nans=debugging)
        try:
            with jax.debug_nans(debugging):
                _Trainer(config, corpus, workdir, own, flags).run()
        except (TrainingFailed, FloatingPointError) as error:
            good = f"; last good checkpoint: {own.last_good()}" if own else ""
            kind = type(error) if isinstance(error, TrainingFailed) else NotANumber
            raise kind(f"{first_line(error)}{good}") from error
    return workdir


def _start_facts(
    config: ConfigDict, origin: Origin | None, flags: StartFlags
) -> dict[str, str | int | float]:
    """What all processes must have been started with."""
    return {
        **program_facts(),
        **config_facts(json.loads(config.to_json_best_effort())),
        "--init_from": f"{origin.workdir} {','.join(origin.parts)}" if origin else "",
        "--debug_nans": str(flags.debug_nans),
    }


class _OwnWorkdir(NamedTuple):
    """What process 0 alone has: the run on disk."""

    checkpoints: Checkpoints
    transfer: Transfer | None  # of another run's model, while there is no checkpoint
    published: Callable[[], None]  # to be called after each checkpoint

    def last_good(self) -> str:
        good = self.checkpoints.latest_step()
        return "none" if good is None else f"step {good}, in {self.checkpoints.directory}"


def _opened_run(
    config: ConfigDict, workdir: Path, corpus: Corpus, origin: Origin | None, held: ExitStack
) -> tuple[Checkpoints, Transfer | None]:
    """Locks the workdir, until `held` is left, and opens it."""
    resolved = json.loads(config.to_json_best_effort())
    resolved["data_fingerprint"] = corpus.fingerprint
    transfer = None
    if origin is not None:
        resolved["init_from"] = origin._asdict()
        if newest_step(workdir / "checkpoints") is None:
            model = text_autoencoder(config.to_dict(), vocab_size=corpus.vocabulary.size)
            transfer = planned_transfer(origin, model, corpus.vocabulary)
    held.enter_context(sole_use(workdir))
    # A run keeps what it began with of settings that nothing in it reads: they name it too.
    kept = open_workdir(workdir, resolved, corpus, is_read=partial(is_read, config=resolved))
    return Checkpoints(workdir, run=fingerprint(kept)), transfer


class _Trainer:
    """One run: what its parts share while it lasts."""

    def __init__(
        self,
        config: ConfigDict,
        corpus: Corpus,
        workdir: Path,
        own: _OwnWorkdir | None,
        flags: StartFlags,
    ) -> None:
        self.config, self.corpus, self.workdir = config, corpus, workdir
        self.own, self.flags = own, flags
        batch_size = config.train.batch_size
        self.steps_per_epoch = num_batches_per_epoch(len(corpus.train), batch_size)
        asked_for = config.train.num_epochs * self.steps_per_epoch
        self.recipe: Recipe = build_recipe(
            config,
            corpus.vocabulary.size,
            steps_per_epoch=self.steps_per_epoch,
            axis_name=axis_name(),
        )
        self.eval_every = config.train.eval_every or self.steps_per_epoch
        self.save_every = config.train.checkpoint_every or self.eval_every
        self.annealing = annealing(
            self.recipe, config.kl_weight.to_dict(), asked_for, eval_every=self.eval_every
        )
        backend = config.train.backend
        make_step = nan_checked_train_step if flags.debug_nans else mapped_train_step
        self.train_step = make_step(self.recipe, backend=backend)
        self.eval_step = mapped_eval_step(self.recipe, backend=backend)
        self.unsaved: NotSaved | None = None  # why the newest state is not on disk
        self.validated = False  # by this process, for which validation is compiled then
        self.state, self.rng, self.progress = self._first_state()
        self.steps_asked_for = asked_for
        self.num_steps = self.recipe.procedure.num_steps(self.state, asked_for)

    def _first_state(self) -> tuple[TrainState, jax.Array, Progress]:
        with together():
            rng = random_key(self.config.train.seed)
            state = initial_state(self.config, self.recipe, jax.random.fold_in(rng, 0))
            rng, progress = jax.random.fold_in(rng, 1), Progress()
            if self.own is not None:
                state, rng, progress = self._state_on_disk(state, rng) or (state, rng, progress)
        state, key_data = from_first((state, jax.random.key_data(rng)))
        progress = Progress(*gathered(progress)[0])
        return replicate(state), replicate(key_of_data(key_data)), progress

    def _state_on_disk(
        self, state: TrainState, rng: jax.Array
    ) -> tuple[TrainState, jax.Array, Progress] | None:
        """What the workdir, or another run's model, says in place of a fresh state."""
        transfer = self.own.transfer
        if transfer is None:
            return self.own.checkpoints.restore(state, rng)
        write_json(self.workdir / "init_from.json", transfer.record())
        if not self.flags.quiet:
            tell("\n".join(transfer.lines()))
        return transfer.into(state, self.recipe.optimizer), rng, Progress()

    def run(self) -> None:
        """Steps until the end, the patience or a signal."""
        first = int(self.state.step)
        ended = first >= self.num_steps or self._out_of_patience()
        if ended and not self._is_due(first):
            if self.own:
                tell(f"{self.workdir}: already trained ({first} steps)")
            return
        log = MetricsLog(
            self.workdir,
            first_step=first,
            num_steps=self.num_steps,
            interval=self.config.train.log_every,
            quiet=self.flags.quiet,
            write=self.own is not None,
            more_sinks=partial(
                tracker_sinks, self.flags.trackers, self.workdir, self.config.to_dict()
            ),
        )
        if self.own and self.config.model.latent_dim:
            self.annealing.tell(log.say)
            steps = {"asked_for": self.steps_asked_for, "num_steps": self.num_steps}
            for warning in run_warnings(self.config, self.recipe, **steps):
                warn(warning)
        trace = planned_trace(
            self.workdir / "profile",
            self.corpus.train,
            batch_size=self.config.train.batch_size,
            num_buckets=self.config.data.num_buckets,
            seed=self.config.train.seed,
            first=first,
            num_steps=self.num_steps,
            num_traced=self.flags.profile if self.own else 0,
        )
        try:
            with StopSignals() as signals:
                if self._is_due(first):  # a signal came before it
                    self._validate_and_save(first, log, evaluate=True)
                if not self._out_of_patience():
                    self._steps(first, log, trace, signals)
            if self.unsaved:
                raise NotSaved(f"{self.unsaved}: make room, and the same command continues")
        finally:
            trace.close()
            log.close()
            if report := trace.report():
                tell(report)

    def _steps(self, first: int, log: MetricsLog, trace: StepTrace, signals: StopSignals) -> None:
        batches = training_batches(
            self.corpus.train,
            batch_size=self.config.train.batch_size,
            num_buckets=self.config.data.num_buckets,
            seed=self.config.train.seed,
            start=first,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        compilations = Compilations(self.corpus.train.lengths, self.config.data.num_buckets)
        on_cpu = jax.default_backend() == "cpu"
        step = first
        while step < self.num_steps:  # which a procedure may move
            step += 1
            batch = split_rows(signals.told(next(batches)))
            trace.begin(step)
            with (
                jax.profiler.StepTraceAnnotation("train", step_num=step),
                log.set_aside(compilations.next(batch["tokens"].shape[-1])),
            ):
                self.state, metrics = self.train_step(self.state, batch, self.rng)
                if on_cpu:  # collectives of several CPU devices can deadlock with steps in flight
                    jax.block_until_ready(metrics)
            trace.end(step, self.state)
            reduced_signal = metrics.pop(SIGNAL, None)
            log.add(step, metrics)
            if signum := signals.heard(reduced_signal):
                self._stop_on_signal(signum, step, log)
            evaluate = self._is_due(step)
            if evaluate or step % self.save_every == 0:
                log.flush()
                self._validate_and_save(step, log, evaluate=evaluate)
                if self._out_of_patience():
                    log.say(
                        f"step {step}: no better bound in {self.progress.without_gain} validations"
                    )
                    break
                if self.unsaved and self.own and step < self.num_steps:
                    warn(f"{self.unsaved}; training continues, and the next checkpoint tries again")

    def _is_due(self, step: int) -> bool:
        """Whether a validation is: of step 0, or one that has been validated, none is."""
        at_time = step == self.num_steps or step % self.eval_every == 0
        return at_time and step not in (0, self.progress.validated_step)

    def _validate_and_save(self, step: int, log: MetricsLog, *, evaluate: bool) -> None:
        before = self.progress
        best = evaluate and self._validate(step, log)
        self._save(log, best=best)
        if best and self.unsaved:  # on disk, the best is the one before
            self.progress = before._replace(without_gain=0, validated_step=step)

    def _save(self, log: MetricsLog, *, best: bool = False) -> None:
        log.wait()  # a resumed run does not write these lines again
        failure = None
        with together():
            if self.own is not None:
                try:
                    self.own.checkpoints.save(self.state, self.rng, self.progress, best=best)
                except NotSaved as error:
                    failure = str(error)
                else:
                    self.own.published()
        failure = gathered(failure)[0]
        self.unsaved = NotSaved(failure) if failure else None

    def _stop_on_signal(self, signum: int, step: int, log: MetricsLog) -> None:
        log.flush()
        self._save(log)
        if self.unsaved:
            raise NotSaved(f"stopped at step {step} of {self.num_steps}, but {self.unsaved}")
        raise Interrupted(
            signum,
            f"stopped and saved at step {step} of {self.num_steps}; the same command resumes it",
        )

    def _out_of_patience(self) -> bool:
        patience = self.config.train.patience
        return bool(patience) and self.progress.without_gain >= patience

    def _validate(self, step: int, log: MetricsLog) -> bool:
        """Measures the bound on the validation split; returns whether it is the best so far.

        Only bounds at λ's maximum are compared, where the procedure allows it: before, the bound is
        not what is optimized.
        """
        with log.set_aside("" if self.validated else "compiling the validation"):
            values = self.validation_metrics()
        self.validated = True
        log.write("valid", step, values)
        log.restart_clock()
        procedure = self.recipe.procedure
        kl_weight = float(self.recipe.kl_weight_of(self.state))
        comparable = kl_weight >= self.annealing.highest - 1e-6 and procedure.selects(self.state)
        bound, best = values["neg_elbo"], self.progress.best_bound
        is_best = comparable and math.isfinite(bound) and (best is None or bound < best)
        if is_best:
            self.progress = Progress(bound, step, 0)
        elif comparable:
            self.progress = self.progress._replace(without_gain=self.progress.without_gain + 1)
        shown = ", ".join(f"{k} {v:.3f}" for k, v in values.items())
        log.say(f"step {step} (epoch {step / self.steps_per_epoch:.3g}): {shown}")
        self._after_validation(step, values, log, comparable=comparable)
        return is_best

    def _after_validation(
        self, step: int, values: dict[str, float], log: MetricsLog, *, comparable: bool
    ) -> None:
        """Lowers the learning rate where it is time to, and lets the procedure act."""
        state, procedure = self.state, self.recipe.procedure
        if comparable:
            state = after_bound(state, values["neg_elbo"], recipe=self.recipe)
        restart = False
        if procedure.event is not None:
            key = jax.random.fold_in(self.rng, 1)
            state, restart = procedure.event(state, key, values, recipe=self.recipe)
        if state is not self.state:
            self.state = replicate(jax.device_get(state))
        if restart:
            self.progress = Progress()
            log.say(f"step {step}: the next stage begins")
        num_steps = procedure.num_steps(self.state, self.steps_asked_for)
        if num_steps != self.num_steps:
            self.num_steps = num_steps
            log.expect(num_steps)
        self.progress = self.progress._replace(validated_step=step)

    def validation_metrics(self) -> dict[str, float]:
        """Returns the `split_metrics` of the validation split."""
        return split_metrics(
            self.eval_step,
            self.state,
            jax.random.fold_in(self.rng, 0),
            self.corpus.valid,
            batch_size=self.config.train.batch_size,
            num_buckets=self.config.data.num_buckets,
        )
