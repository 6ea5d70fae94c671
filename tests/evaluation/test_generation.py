import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.beam_search import beam_search
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.evaluation.generation import _nucleus, ancestral_samples, greedy_search
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from wae_rnf_jax.models.bound import BoundModel

LENGTH = 4
ALLOWED = (UNK_ID, 4, 5, 6, 7)


@pytest.fixture(scope="module")
def tiny(make_tiny_model):
    """Weights under which the best sentences are neither all empty nor all cut."""
    return make_tiny_model(latent_dim=3, num_flow_steps=2, seed=2, spread=1.6)


@pytest.fixture(scope="module")
def trained(tiny, trained_of):
    return trained_of(tiny)


@pytest.fixture(scope="module")
def codes():
    return jax.random.normal(jax.random.key(3), (40, 3))


@pytest.fixture(scope="module")
def tree(tiny, codes):
    """Log-probabilities [B, V] of the next word after each prefix of allowed words."""
    step = jax.jit(tiny.decode_step)
    carry = jax.jit(lambda z: tiny.start(z, LENGTH))(codes)
    nodes = {}

    def grow(prefix, carry, word):
        carry, logits = step(carry, jnp.full((len(codes),), word, jnp.int32), codes)
        logits = np.asarray(logits, np.float64)
        nodes[prefix] = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        if len(prefix) + 1 < LENGTH:
            for following in ALLOWED:
                grow((*prefix, following), carry, following)

    grow((), carry, BOS_ID)
    return nodes


def sentence_log_prob(tree, row, words, *, finished):
    total = sum(tree[words[:i]][row, word] for i, word in enumerate(words))
    return total + (tree[words][row, EOS_ID] if finished else 0.0)


def rows_of(generation):
    return [
        tuple(tokens[:length].tolist())
        for tokens, length in zip(
            np.asarray(generation.tokens), np.asarray(generation.lengths), strict=True
        )
    ]


def assert_well_formed(generation, tree):
    """Padding after the words, and the model's own log-probability of exactly what is there."""
    for row, words in enumerate(rows_of(generation)):
        assert np.all(np.asarray(generation.tokens)[row, len(words) :] == PAD_ID)
        assert not {PAD_ID, BOS_ID, EOS_ID} & set(words)
        finished = bool(generation.finished[row])
        assert finished or len(words) == LENGTH
        expected = sentence_log_prob(tree, row, words, finished=finished)
        np.testing.assert_allclose(generation.log_probs[row], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("allow_unknown", [True, False])
def test_greedy_takes_the_best_word_at_each_step(tiny, codes, tree, allow_unknown):
    generation = greedy_search(tiny, codes, max_length=LENGTH, allow_unknown=allow_unknown)
    assert_well_formed(generation, tree)
    words_and_end = [w for w in (*ALLOWED, EOS_ID) if allow_unknown or w != UNK_ID]
    for row, found in enumerate(rows_of(generation)):
        words = ()
        while len(words) < LENGTH:
            best = max(words_and_end, key=lambda word: tree[words][row, word])
            if best == EOS_ID:
                break
            words = (*words, best)
        assert found == words


def test_greedy_agrees_with_the_teacher_forced_likelihood(tiny, codes):
    generation = greedy_search(tiny, codes, max_length=8)
    nll = jax.jit(tiny.score)(codes, generation.tokens, generation.lengths)
    finished = np.asarray(generation.finished)
    assert finished.any()
    np.testing.assert_allclose(generation.log_probs[finished], -nll[finished], rtol=1e-4)


@pytest.mark.parametrize(
    "temperature, top_p",
    [(0.0, 1.0), (1e-4, 1.0), (1e-4, 0.5), (1.0, 1e-6), (1.0, 1e-46), (1e-38, 1.0)],
)
def test_sampling_without_spread_is_greedy(tiny, codes, temperature, top_p):
    greedy = greedy_search(tiny, codes, max_length=LENGTH)
    sampled = ancestral_samples(
        tiny,
        codes,
        jax.random.key(0),
        max_length=LENGTH,
        temperature=temperature,
        top_p=top_p,
    )
    assert rows_of(sampled) == rows_of(greedy)
    np.testing.assert_allclose(sampled.log_probs, greedy.log_probs, rtol=1e-6)


def distribution(tree, row, *, temperature, top_p):
    """Exact probabilities of all sentences that sampling may give, cut ones included."""
    probabilities = {}

    def walk(words, probability):
        if len(words) == LENGTH:
            probabilities[words] = probabilities.get(words, 0.0) + probability
            return
        scores = tree[words][row].copy()
        scores[[PAD_ID, BOS_ID]] = -np.inf
        share = np.exp(scores / temperature - np.max(scores / temperature))
        share /= share.sum()
        order = np.argsort(-share)
        kept = order[: 1 + np.searchsorted(np.cumsum(share[order]), top_p)]
        for word in kept:
            part = probability * share[word] / share[kept].sum()
            if word == EOS_ID:
                probabilities[words, EOS_ID] = part
            elif part > 0:
                walk((*words, int(word)), part)

    walk((), 1.0)
    return probabilities


@pytest.mark.parametrize("temperature, top_p", [(1.0, 1.0), (1.5, 0.7)])
def test_samples_follow_the_exact_distribution(tiny, codes, tree, temperature, top_p):
    count = 20_000
    generation = ancestral_samples(
        tiny,
        jnp.repeat(codes[:1], count, axis=0),
        jax.random.key(8),
        max_length=LENGTH,
        temperature=temperature,
        top_p=top_p,
    )
    seen = {}
    for words, finished in zip(rows_of(generation), np.asarray(generation.finished), strict=True):
        name = (words, EOS_ID) if finished else words
        seen[name] = seen.get(name, 0) + 1
    exact = distribution(tree, 0, temperature=temperature, top_p=top_p)
    assert len(exact) > 10
    assert set(seen) <= set(exact)
    for name, probability in exact.items():
        error = np.sqrt(probability * (1 - probability) / count)
        # 4.5 standard errors, and one more sentence: hundreds of sentences are looked at.
        assert abs(seen.get(name, 0) / count - probability) < 4.5 * error + 1 / count


def test_nucleus_is_the_smallest_set_that_reaches_its_share():
    nucleus = jax.jit(_nucleus)
    log_probs = np.log(np.float32([[0.1, 0.5, 0.15, 0.25], [0.25, 0.25, 0.25, 0.25]]))
    for top_p, expected in (
        (0.4, [[0, 1, 0, 0], [1, 1, 0, 0]]),
        (0.6, [[0, 1, 0, 1], [1, 1, 1, 0]]),
        (0.8, [[0, 1, 1, 1], [1, 1, 1, 1]]),
        (0.95, [[1, 1, 1, 1], [1, 1, 1, 1]]),
    ):
        np.testing.assert_array_equal(nucleus(log_probs, top_p), np.array(expected, bool))


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("allow_unknown", [True, False])
def test_wide_beam_finds_the_best_of_all_sentences(
    tiny, codes, tree, length_penalty, allow_unknown
):
    generation = beam_search(
        tiny,
        codes,
        max_length=LENGTH,
        beam_width=125,
        length_penalty=length_penalty,
        allow_unknown=allow_unknown,
    )
    assert_well_formed(generation, tree)
    words = [word for word in ALLOWED if allow_unknown or word != UNK_ID]
    sentences = [s for n in range(LENGTH) for s in itertools.product(words, repeat=n)]
    for row, found in enumerate(rows_of(generation)):
        scores = {
            s: sentence_log_prob(tree, row, s, finished=True)
            / ((5 + len(s) + 1) / 6) ** length_penalty
            for s in sentences
        }
        assert found == max(scores, key=scores.__getitem__)
    assert bool(generation.finished.all())


def reference_beam(tree, row, width, length_penalty):
    """The best sentence of a plain beam search over the tree, carried on to the last step."""
    live, best = [(0.0, ())], (-np.inf, None)
    for step in range(LENGTH):
        candidates = sorted(
            (
                (score + tree[words][row, word], words, word)
                for score, words in live
                for word in (*ALLOWED, EOS_ID)
            ),
            reverse=True,
        )
        for score, words, word in candidates[:width]:
            normalized = score / ((5 + step + 1) / 6) ** length_penalty
            if word == EOS_ID and normalized > best[0]:
                best = (normalized, words)
        unended = [(score, (*words, word)) for score, words, word in candidates if word != EOS_ID]
        live = unended[:width]
    return best[1] if best[1] is not None else live[0][1]


@pytest.mark.parametrize("width, length_penalty", [(2, 0.0), (2, 3.0), (3, 3.0)])
def test_narrow_beam_is_the_plain_beam_search(tiny, codes, tree, width, length_penalty):
    generation = beam_search(
        tiny, codes, max_length=LENGTH, beam_width=width, length_penalty=length_penalty
    )
    assert_well_formed(generation, tree)
    for row, found in enumerate(rows_of(generation)):
        assert found == reference_beam(tree, row, width, length_penalty)


@partial(
    jax.tree_util.register_dataclass, data_fields=(), meta_fields=("probabilities", "vocab_size")
)
@dataclasses.dataclass(frozen=True)
class Chain:
    """A decoder whose next word depends on the last one alone."""

    probabilities: tuple
    vocab_size: int = 8

    def start(self, zk, max_length):
        return zk

    def decode_step(self, carry, token, zk):
        table = np.full((8, 8), 1e-9)
        for previous, following, probability in self.probabilities:
            table[previous, following] = probability
        return carry, jnp.log(jnp.asarray(table, jnp.float32))[token]


def test_ends_among_the_candidates_do_not_narrow_the_beam():
    """Two ends head the second step; `5 7`, behind three others, has to be carried on."""
    steps = (
        (BOS_ID, 4, 0.50),
        (BOS_ID, 5, 0.49),
        (BOS_ID, 6, 0.01),
        (4, EOS_ID, 0.5),  # 0.25, the most probable sentence
        (4, 6, 0.3),  # 0.15
        (4, UNK_ID, 0.2),
        (5, EOS_ID, 0.5),  # 0.245
        (5, 7, 0.3),  # 0.147
        (5, UNK_ID, 0.2),
        (6, UNK_ID, 0.98),  # 0.147, and then no likely end
        (6, EOS_ID, 0.02),
        (7, EOS_ID, 0.99),  # 0.1455, best by length
        (7, UNK_ID, 0.01),
        (UNK_ID, UNK_ID, 0.99),
        (UNK_ID, EOS_ID, 0.01),
    )
    model, code = Chain(steps), jnp.zeros((1, 0))
    probable = beam_search(model, code, max_length=4, beam_width=2)
    assert rows_of(probable) == [(4,)]
    long = beam_search(model, code, max_length=4, beam_width=2, length_penalty=5.0)
    assert rows_of(long) == [(5, 7)]
    np.testing.assert_allclose(np.exp(long.log_probs), 0.49 * 0.3 * 0.99, rtol=1e-5)


def test_the_codes_are_a_fair_test_of_the_beam(tiny, codes):
    """Many best sentences have words; greedy search misses some; the penalty changes some."""
    greedy = rows_of(greedy_search(tiny, codes, max_length=LENGTH))
    beam = rows_of(beam_search(tiny, codes, max_length=LENGTH, beam_width=125))
    penalized = rows_of(
        beam_search(tiny, codes, max_length=LENGTH, beam_width=125, length_penalty=2.0)
    )
    assert np.mean([len(sentence) == LENGTH - 1 for sentence in beam]) > 0.3
    assert beam != greedy
    assert penalized != beam


def test_beam_of_one_is_greedy(tiny, codes):
    greedy = greedy_search(tiny, codes, max_length=8)
    beam = beam_search(tiny, codes, max_length=8, beam_width=1)
    assert rows_of(beam) == rows_of(greedy)
    np.testing.assert_array_equal(beam.finished, greedy.finished)
    np.testing.assert_allclose(beam.log_probs, greedy.log_probs, rtol=1e-5)


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_sentences_that_never_end_are_cut(tiny, codes, search):
    params = tiny.variables["params"]
    bias = params["output_layer"]["bias"].at[EOS_ID].set(-1e9)
    params = {**params, "output_layer": {**params["output_layer"], "bias": bias}}
    endless = BoundModel(tiny.module, {**tiny.variables, "params": params})
    if search == "greedy":
        generation = greedy_search(endless, codes, max_length=8)
    else:
        generation = beam_search(endless, codes, max_length=8, beam_width=3)
    assert not generation.finished.any()
    np.testing.assert_array_equal(generation.lengths, 8)
    assert np.all(np.asarray(generation.tokens) != PAD_ID)
    assert np.all(np.isfinite(generation.log_probs))


def test_settings_out_of_range_are_refused(tiny, codes):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="max_length"):
        greedy_search(tiny, codes, max_length=0)
    with pytest.raises(ValueError, match="batch_size"):
        greedy_search(tiny, codes, max_length=2, batch_size=0)
    with pytest.raises(ValueError, match="temperature"):
        ancestral_samples(tiny, codes, key, max_length=2, temperature=-1.0)
    with pytest.raises(ValueError, match="top_p"):
        ancestral_samples(tiny, codes, key, max_length=2, top_p=0.0)
    with pytest.raises(ValueError, match="beam_width"):
        beam_search(tiny, codes, max_length=2, beam_width=0)


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(max_length=8),
        Decoding("sample", max_length=8, temperature=1.2, top_p=0.9, seed=3),
        Decoding("beam", max_length=8, beam_width=3),
    ],
)
def test_text_does_not_depend_on_the_batch_size(trained, codes, decoding):
    together = decoded_sentences(trained, codes, decoding=decoding)
    parts = decoded_sentences(trained, codes, decoding=decoding, batch_size=7)
    assert len(together) == len(codes)
    assert len(set(together)) > 2
    assert parts == together
    assert set(" ".join(together).split()) <= set(trained.vocabulary.words) - {
        "<pad>",
        "<bos>",
        "<eos>",
    }


def test_text_of_each_strategy_is_that_of_its_search(tiny, trained, codes):
    key = jax.random.key(3)
    for decoding, generation in (
        (Decoding(max_length=8), greedy_search(tiny, codes, max_length=8)),
        (
            Decoding("sample", max_length=8, temperature=1.2, top_p=0.9, seed=3),
            ancestral_samples(tiny, codes, key, max_length=8, temperature=1.2, top_p=0.9),
        ),
        (
            Decoding("beam", max_length=8, beam_width=3),
            beam_search(tiny, codes, max_length=8, beam_width=3),
        ),
    ):
        expected = tuple(trained.vocabulary.decode(list(row)) for row in rows_of(generation))
        assert decoded_sentences(trained, codes, decoding=decoding) == expected


@pytest.mark.parametrize(
    "setting",
    [
        {"strategy": "best"},
        {"max_length": 0},
        {"temperature": -0.5},
        {"temperature": 1e39},
        {"max_length": 3_000_000_000},
        {"length_penalty": 60.0},
        {"top_p": 1.5},
        {"beam_width": 0},
        {"length_penalty": -1.0},
    ],
)
def test_wrong_settings_are_named(trained, codes, setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        decoded_sentences(trained, codes, decoding=Decoding(**setting))
