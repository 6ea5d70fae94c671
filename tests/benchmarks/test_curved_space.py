"""What a regularizer is worth: the rows of runs, and what counts as new and likely."""

from functools import partial

import pytest

from benchmarks import curved_space
from wae_rnf_jax.evaluation.splits import token_split
from wae_rnf_jax.runs.trained_model import load_trained_model


@pytest.fixture(scope="module")
def workdir(checkout_with_run):
    return checkout_with_run / "runs" / "reviews"


def test_a_run_is_measured(workdir):
    row = curved_space.row_of(workdir, None, 0.0, num_codes=6, num_pairs=1)
    assert row["run"] == "reviews"
    assert row["sd before"] > 0 < row["sd after"]
    assert -1 <= row["correlation"] <= 1
    assert 0 < row["geodesic / straight"] <= 1.001


def test_ends_and_sentences_of_training_are_not_new(workdir):
    trained = load_trained_model(workdir)
    known = trained.vocabulary.decode(token_split(trained, "train").sentence(0))
    made_up = " ".join([known, known, known])
    paths = [(["an end", "another end"], [known, "an end", made_up, made_up])]
    limits = (-1.0, 1e9)
    shares = [curved_space.new_and_likely(trained, trained, paths, limit=x) for x in limits]
    assert shares == [0.0, 0.5]


def test_a_row_is_kept_for_a_start_with_the_same_settings(tmp_path):
    path = tmp_path / "vae_0.json"
    rows = iter([{"kl": 1.0}, {"kl": 2.0}])
    measure = partial(next, rows)
    assert curved_space.kept_row(path, {"num_pairs": 3}, measure) == {"kl": 1.0}
    assert curved_space.kept_row(path, {"num_pairs": 3}, measure) == {"kl": 1.0}
    assert curved_space.kept_row(path, {"num_pairs": 4}, measure) == {"kl": 2.0}


def test_seeds_of_a_system_are_one_row():
    rows = [
        {"run": "vae_0", "kl": 1.0, "correlation": None},
        {"run": "vae_1", "kl": 2.0, "correlation": 0.5},
        {"run": "wae_nf_0", "kl": 4.0, "correlation": None},
    ]
    assert curved_space.by_system(rows) == [
        {"system": "vae", "runs": 2, "kl": "1.500 ± 0.707", "correlation": "0.500"},
        {"system": "wae_nf", "runs": 1, "kl": "4.000", "correlation": None},
    ]
