"""Generation: sentences per second, beside a Python loop over steps.

python -m benchmarks.generate [--num_sentences=256] [--output=FILE.json]

An untrained decoder hardly ever predicts `<eos>`, so the benchmark's makes each sentence as long
as one of the corpus: how much the end of a sentence saves depends on it. The loop calls one jitted
step at a time and looks whether all sentences of the batch have ended, as one would write it, with
`jax.random.categorical` for a sample. It finds the same sentences, or samples of the same lengths,
which is checked.
"""

import dataclasses
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import measurement, workload
from benchmarks.evaluate import typical_sentences
from wae_rnf_jax.commands.memory import keep_freed_memory
from wae_rnf_jax.data.corpora import Corpus
from wae_rnf_jax.data.vocabulary import SPECIAL_WORDS, Vocabulary
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, PAD_ID
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.runs.trained_model import TrainedModel


@partial(jax.tree_util.register_dataclass, data_fields=("model",), meta_fields=())
@dataclasses.dataclass(frozen=True)
class GivenLengths:
    """A model that ends a sentence after as many words as its code's first number says."""

    model: BoundModel

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.model.vocab_size

    def start(self, zk: jax.Array, max_length: int) -> tuple:
        """The model's own carry, and how many words are left."""
        return self.model.start(zk, max_length), jnp.round(zk[:, 0]).astype(jnp.int32)

    def decode_step(self, carry: tuple, token: jax.Array, zk: jax.Array) -> tuple:
        """The model's own step, but for the logit of the end."""
        carry, left = carry
        carry, logits = self.model.decode_step(carry, token, zk)
        end = jnp.where(left <= 0, 1e4, -1e4).astype(logits.dtype)
        return (carry, left - 1), logits.at[:, EOS_ID].set(end)


@partial(jax.jit, static_argnames="max_length")
def _start(model: GivenLengths, zk: jax.Array, max_length: int):
    return model.start(zk, max_length)


@partial(jax.jit, static_argnames="random")
def _step(model: GivenLengths, carry, words, zk, keys, number, *, random: bool):
    carry, logits = model.decode_step(carry, words, zk)
    scores = jax.nn.log_softmax(logits).at[:, jnp.array([PAD_ID, BOS_ID])].set(-jnp.inf)
    if random:
        step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        return carry, jax.vmap(jax.random.categorical)(step_keys, scores)
    return carry, jnp.argmax(scores, -1)


def loop_over_steps(
    trained: TrainedModel,
    zk: jax.Array,
    *,
    decoding: Decoding,
    batch_size: int,
) -> tuple[str, ...]:
    """The sentences of the codes, [N] of them, one step of one batch after the other."""
    model, texts = trained.model, []
    for first in range(0, len(zk), batch_size):
        codes = zk[first : first + batch_size]
        keys = example_keys(jax.random.key(decoding.seed), first + jnp.arange(len(codes)))
        carry = _start(model, codes, decoding.max_length)
        words = jnp.full(len(codes), BOS_ID)
        sentences = [[] for _ in codes]
        ended = np.zeros(len(codes), bool)
        for number in range(decoding.max_length):
            carry, words = _step(
                *(model, carry, words, codes, keys, number),
                random=decoding.strategy == "sample",
            )
            found = np.asarray(words)
            ended |= found == EOS_ID
            for row in np.flatnonzero(~ended):
                sentences[row].append(int(found[row]))
            if ended.all():
                break
        texts.extend(map(trained.vocabulary.decode, sentences))
    return tuple(texts)


def codes_with_lengths(lengths: np.ndarray, latent_dim: int, *, longest: int) -> jax.Array:
    """Codes [N, Z] in random order, whose first number is the length of their sentence."""
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(len(lengths), latent_dim))
    codes[:, 0] = np.minimum(rng.permutation(lengths), longest)
    return jnp.asarray(codes, jnp.float32)


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--num_sentences", type=int, default=256)
    flags.add_argument("--batch_size", type=int, default=64)
    flags.add_argument("--max_length", type=int, default=60)
    arguments = flags.parse_args(argv)
    if arguments.smoke:
        arguments.num_sentences, arguments.batch_size, arguments.max_length = 7, 3, 6
    keep_freed_memory()
    size = workload.sizes(arguments.smoke)
    split, origin = workload.drawn_split(size)
    split = typical_sentences(split, arguments.num_sentences, size.vocab_size)
    model = GivenLengths(workload.untrained_model("wae_rnf", size))
    names = (f"w{i}" for i in range(size.vocab_size - len(SPECIAL_WORDS)))
    corpus = Corpus(Vocabulary((*SPECIAL_WORDS, *names)), None, split, split, "")
    trained = TrainedModel({}, corpus, model, 0, None)
    longest = arguments.max_length - 1
    zk = codes_with_lengths(split.lengths, size.latent_dim, longest=longest)
    rows = []
    for strategy in ("greedy", "sample"):
        decoding = Decoding(strategy, max_length=arguments.max_length)
        common = {"decoding": decoding, "batch_size": arguments.batch_size}
        candidates = {
            "loop": partial(loop_over_steps, trained, zk, **common),
            "program": partial(decoded_sentences, trained, zk, **common),
        }
        loop, program = (candidate() for candidate in candidates.values())
        if strategy == "sample":  # drawn in another way, from the same distributions
            loop, program = ([len(s.split()) for s in sentences] for sentences in (loop, program))
        if loop != program:
            raise AssertionError("the loop's sentences are not the program's")
        samples = measurement.interleaved(candidates, repetitions=arguments.repetitions, warm_ups=0)
        for name, taken in samples.items():
            times, cpu_times = measurement.speedup(taken, samples["loop"])
            rows.append(
                {
                    "strategy": strategy,
                    "candidate": name,
                    "sentences/s": len(zk) / taken.seconds,
                    "the same, a cpu second": len(zk) / taken.cpu_seconds,
                    "faster than the loop by": times,
                    "by cpu time": cpu_times,
                }
            )
    note = (
        f"{len(zk)} sentences at quantiles of {origin}, cut at {longest}; "
        f"{arguments.batch_size} at once; V {size.vocab_size}"
    )
    measurement.report("Generation", rows, notes=[note], output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
