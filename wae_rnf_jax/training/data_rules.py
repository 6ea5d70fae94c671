"""What every key of a configuration's section `data` must be."""

from wae_rnf_jax.data.pieces import LEAST_PIECES
from wae_rnf_jax.data.sources import SOURCES
from wae_rnf_jax.data.special_words import SPECIAL_WORDS
from wae_rnf_jax.data.text import LABELS
from wae_rnf_jax.data.tokenizers import TOKENIZERS
from wae_rnf_jax.data.vocabulary_plan import is_tokenizer
from wae_rnf_jax.rules import NAME, POSITIVE, SEED, SWITCH, TEXT, Rule, one_of, three, whole

_SMALLEST_SIZE = len(SPECIAL_WORDS) + 1

DATA_RULES: dict[str, Rule] = {
    "source": one_of(*SOURCES),
    "path": TEXT,
    "fractions": Rule(
        "three numbers above 0 whose sum is 1 (training, validation, test)",
        lambda v: three("", POSITIVE).allows(v) and abs(sum(v) - 1) < 1e-6,
    ),
    "text_field": NAME,
    "label_field": TEXT,
    "group_field": TEXT,
    "label": one_of(*LABELS),
    "dataset": TEXT,
    "text_feature": NAME,
    "splits": three("names", NAME),
    "tokenizer": Rule(
        f"one of {', '.join(TOKENIZERS)}, or a .json file",
        lambda v: isinstance(v, str) and is_tokenizer(v),
    ),
    "vocab_size": whole(LEAST_PIECES),
    "lower_case": SWITCH,
    "nfc": SWITCH,
    "min_count": whole(1),
    "max_size": Rule(
        f"0 (no limit) or a whole number of at least {_SMALLEST_SIZE}, since "
        f"{len(SPECIAL_WORDS)} words are special",
        lambda v: v == 0 or whole(_SMALLEST_SIZE).allows(v),
    ),
    "max_words": whole(0),
    "vocabulary": TEXT,
    "seed": SEED,
    "num_sentences": three("whole numbers of at least 1", whole(1)),
    "cache_dir": NAME,
    "num_workers": whole(0),
    "num_buckets": whole(1),
}
