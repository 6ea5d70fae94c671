"""What decoded text is like: faithful, varied, new, fluent.

BLEU is that of sacrebleu, 0 to 100, of words as they stand: n-grams up to 4, the longest order that
occurs where sentences are shorter, exponential smoothing. Words outside the vocabulary are `<unk>`
on both sides of every comparison.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.evaluation.latent_space import split_codes
from wae_rnf_jax.evaluation.report import Metrics
from wae_rnf_jax.evaluation.scoring import score_sentences
from wae_rnf_jax.runs.trained_model import TrainedModel

# Self-BLEU compares every sentence with every other, and grows with their number: it is of so many
# sentences, so that it costs seconds and can be compared.
SELF_BLEU_SENTENCES = 200


def corpus_bleu(texts: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of texts, each against its reference (Papineni et al. 2002).

    Args:
      texts: words parted by blanks.
      references: as many.

    Returns:
      0 to 100.

    >>> round(corpus_bleu(["a b c d e"], ["a b c d f"]), 2)
    66.87
    """
    return _bleu().corpus_score(list(texts), [list(references)]).score


def self_bleu(texts: Sequence[str]) -> float:
    """How alike texts are: mean BLEU of each against all others (Zhu et al. 2018, Texygen).

    Args:
      texts: words parted by blanks.

    Returns:
      0 (nothing shared) to 100 (all the same); NaN for fewer than 2 texts.

    >>> self_bleu(["the cat sat on it", "the cat sat on it", "a dog ran far away"]) > 66.6
    True
    """
    if len(texts) < 2:
        return float("nan")
    bleu = _bleu()
    scores = [
        bleu.sentence_score(text, [*texts[:number], *texts[number + 1 :]]).score
        for number, text in enumerate(texts)
    ]
    return float(np.mean(scores))


def distinct_share(texts: Sequence[str], *, order: int) -> float:
    """Share of different n-grams among all n-grams of all texts (Li et al. 2016, distinct-n).

    Args:
      texts: words parted by blanks.
      order: n.

    Returns:
      0 to 1; NaN where no text has n words.

    >>> distinct_share(["a a b", "a b"], order=2)
    0.6666666666666666
    """
    ngrams = [
        tuple(words[first : first + order])
        for words in (text.split() for text in texts)
        for first in range(len(words) - order + 1)
    ]
    return len(set(ngrams)) / len(ngrams) if ngrams else float("nan")


def novel(texts: Sequence[str], vocabulary: Vocabulary, training: TokenSplit) -> np.ndarray:
    """Whether texts are, word for word, no sentence of the training split.

    Args:
      texts: words parted by blanks.
      vocabulary: of the split.
      training: the split; it is read as a stream.

    Returns:
      bool [N].
    """
    rows = [tuple(vocabulary.encode(text)) for text in texts]
    wanted = set(rows)
    sentences = (tuple(training.sentence(i).tolist()) for i in range(len(training)))
    seen = {sentence for sentence in sentences if sentence in wanted}
    return np.array([row not in seen for row in rows], bool)


def reconstruction_metrics(
    trained: TrainedModel,
    split: TokenSplit,
    *,
    num_sentences: int | None = None,
    max_length: int,
) -> Metrics:
    """BLEU of greedy reconstructions against the sentences they are of.

    Args:
      trained: a model with a latent code.
      split: the sentences.
      num_sentences: only the first so many; None for all.
      max_length: most tokens predicted, the end counted.

    Returns:
      `recon_bleu`, 0 to 100, and `num_reconstructions`.
    """
    number = len(split) if num_sentences is None else min(num_sentences, len(split))
    decode = trained.vocabulary.decode
    sentences = [decode(split.sentence(row).tolist()) for row in range(number)]
    codes = split_codes(trained, split, range(number))
    found = decoded_sentences(trained, codes, decoding=Decoding(max_length=max_length))
    return {"recon_bleu": corpus_bleu(found, sentences), "num_reconstructions": number}


def diversity_metrics(samples: Sequence[str]) -> Metrics:
    """How varied samples are.

    Args:
      samples: words parted by blanks.

    Returns:
      `distinct_1`, `distinct_2` and `distinct_3`, shares of different n-grams; `self_bleu` of the
      first `num_self_bleu` samples, 0 to 100; `num_generated`.
    """
    few = samples[:SELF_BLEU_SENTENCES]
    return {
        **{f"distinct_{order}": distinct_share(samples, order=order) for order in (1, 2, 3)},
        "self_bleu": self_bleu(few),
        "num_self_bleu": len(few),
        "num_generated": len(samples),
    }


def judged_metrics(judge: TrainedModel, samples: Sequence[str]) -> Metrics:
    """How likely a language model finds samples: low for fluent text, and for dull text too.

    Args:
      judge: the language model.
      samples: words parted by blanks; each is scored with its end, also where it was cut.

    Returns:
      `sample_lm_nll`, mean nats a sample, and `sample_lm_ppl`, perplexity per predicted token.
    """
    # Few lengths to pad to: for a thousand samples, compiling costs more than padding.
    scores = score_sentences(judge, samples, num_buckets=3)
    return {"sample_lm_nll": float(scores.nll.mean()), "sample_lm_ppl": scores.perplexity}


def _bleu() -> Any:
    from sacrebleu.metrics import BLEU

    # The text is tokenized already: `force` says so, else sacrebleu warns about it.
    return BLEU(tokenize="none", force=True, effective_order=True)
