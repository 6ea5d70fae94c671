import jax
import pytest

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.beam_search import beam_search
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.evaluation.generation import ancestral_samples, greedy_search


@pytest.fixture(scope="module")
def tiny(make_tiny_model):
    return make_tiny_model(latent_dim=3, num_flow_steps=2, seed=3, spread=1.6)


@pytest.fixture(scope="module")
def codes():
    return jax.random.normal(jax.random.key(3), (40, 3))


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(max_length=8),
        Decoding("sample", max_length=8, temperature=1.2, top_p=0.9, seed=3),
        Decoding("beam", max_length=8, beam_width=3),
    ],
)
def test_text_does_not_depend_on_the_batch_size(tiny, vocabulary, codes, decoding):
    together = decoded_sentences(*tiny, vocabulary, codes, decoding=decoding)
    parts = decoded_sentences(*tiny, vocabulary, codes, decoding=decoding, batch_size=7)
    assert len(together) == len(codes)
    assert len(set(together)) > 2
    assert parts == together
    assert set(" ".join(together).split()) <= set(vocabulary.words) - {"<pad>", "<bos>", "<eos>"}


def test_text_of_each_strategy_is_that_of_its_search(tiny, vocabulary, codes):
    key = jax.random.key(3)
    for decoding, generation in (
        (Decoding(max_length=8), greedy_search(*tiny, codes, max_length=8)),
        (
            Decoding("sample", max_length=8, temperature=1.2, top_p=0.9, seed=3),
            ancestral_samples(*tiny, codes, key, max_length=8, temperature=1.2, top_p=0.9),
        ),
        (
            Decoding("beam", max_length=8, beam_width=3),
            beam_search(*tiny, codes, max_length=8, beam_width=3),
        ),
    ):
        rows = zip(generation.tokens.tolist(), generation.lengths.tolist(), strict=True)
        expected = tuple(vocabulary.decode(row[:length]) for row, length in rows)
        assert decoded_sentences(*tiny, vocabulary, codes, decoding=decoding) == expected


@pytest.mark.parametrize(
    "setting",
    [
        {"strategy": "best"},
        {"max_length": 0},
        {"temperature": -0.5},
        {"top_p": 1.5},
        {"beam_width": 0},
        {"length_penalty": -1.0},
    ],
)
def test_wrong_settings_are_named(tiny, vocabulary, codes, setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        decoded_sentences(*tiny, vocabulary, codes, decoding=Decoding(**setting))
