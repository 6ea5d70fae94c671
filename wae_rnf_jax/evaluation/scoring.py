"""How likely given sentences are, one by one.

Letters: N sentences, S samples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.likelihood import per_sentence_likelihood
from wae_rnf_jax.runs.trained_model import TrainedModel


class Scores(NamedTuple):
    """The likelihood of sentences.

    Attributes:
      nll: float64 [N], nats: importance-weighted over S draws, exact for a language model.
      num_tokens: [N], predicted tokens: the words and the end.
      unknown: per sentence, the words that the vocabulary lacks and that were read as `<unk>`.
    """

    nll: np.ndarray
    num_tokens: np.ndarray
    unknown: tuple[tuple[str, ...], ...]

    @property
    def nll_per_token(self) -> np.ndarray:
        """Nats per predicted token, [N]."""
        return self.nll / self.num_tokens

    @property
    def perplexity(self) -> float:
        """Per predicted token, over all sentences."""
        return float(np.exp(self.nll.sum() / self.num_tokens.sum()))


def score_sentences(
    trained: TrainedModel,
    sentences: Sequence[str],
    *,
    num_samples: int = 500,
    proposal_scale: float = 1.0,
    batch_size: int = 32,
    memory_limit_rows: int = 256,
    num_buckets: int = 12,
    seed: int = 0,
) -> Scores:
    """The negative log-likelihood of each sentence, in their order.

    Args:
      trained: a model.
      sentences: text; one without words is the immediate end.
      num_samples: draws of z0 per sentence, S; a model without a latent code needs and gets 1.
      proposal_scale: see `evaluate_split`.
      batch_size: sentences per batch.
      memory_limit_rows: most (draw, sentence) pairs decoded at once.
      num_buckets: most lengths to pad to; each is compiled once.
      seed: of the draws, which are keyed by the sentence's place.

    Returns:
      The scores.

    Raises:
      InputError: for no sentence, one that holds a reserved word such as `<eos>`, or a
        proposal_scale that `check_proposal` refuses.
    """
    if not sentences:
        raise InputError("there is no sentence to score; give at least one")
    vocabulary = trained.vocabulary
    rows = [vocabulary.encode(sentence) for sentence in sentences]
    split = TokenSplit.from_sentences(rows, vocab_size=vocabulary.size)
    # A length of its own for each of a few sentences would cost more compiling than padding does.
    num_batches = -(-len(rows) // batch_size)
    metrics = per_sentence_likelihood(
        trained.model,
        split,
        num_samples=num_samples,
        proposal_scale=proposal_scale,
        batch_size=batch_size,
        memory_limit_rows=memory_limit_rows,
        num_buckets=min(num_buckets, num_batches),
        seed=seed,
    )
    unknown = tuple(vocabulary.unknown_words(sentence) for sentence in sentences)
    return Scores(metrics["nll_iw"].astype(np.float64), split.lengths + 1, unknown)
