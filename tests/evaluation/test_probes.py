"""Labels told from codes, against codes and labels whose relation is known."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation import probes

NAMES = ("cold", "warm", "gray")


def labelled_split(seed: int, count: int) -> TokenSplit:
    """A sentence is of label 0 where it holds word 4, of label 1 elsewhere."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(5, 8, size=rng.integers(2, 6)).tolist() for _ in range(count)]
    labels = np.asarray(rng.random(count) < 0.6, np.int32)
    for row, label in zip(rows, labels, strict=True):
        row += [] if label else [4]
    split = TokenSplit.from_sentences(rows, vocab_size=8)
    return replace(split, labels=labels)


@pytest.fixture
def labelled(trained):
    """A model of labelled text whose training split is at hand."""
    splits = {"train": labelled_split(0, 400), "test": labelled_split(1, 90)}
    return trained._replace(corpus=replace(trained.corpus, labels=NAMES[:2], **splits))


@pytest.fixture
def codes_that(monkeypatch):
    """Puts codes in place of the model's: by label, or of noise alone."""

    def tell(signal: float) -> None:
        def codes(trained, split, rows):
            noise = np.random.default_rng(len(rows)).normal(size=(len(rows), 3))
            return noise * [1, 1, 100] + signal * np.asarray(split.labels)[rows][:, None]

        monkeypatch.setattr(probes, "_codes", codes)

    return tell


def test_codes_that_hold_the_label_tell_it(labelled, codes_that):
    codes_that(30.0)
    metrics = probes.probe_metrics(labelled)
    assert metrics["probe_accuracy"] == metrics["probe_f1"] == 1.0
    assert metrics["bow_accuracy"] == metrics["bow_f1"] == 1.0
    expected = np.asarray(labelled.corpus.test.labels)
    assert metrics["majority_accuracy"] == np.mean(expected == 1)
    share = np.mean(expected == 1)
    assert metrics["majority_f1"] == pytest.approx(share / (1 + share))
    assert (metrics["num_probe_train"], metrics["num_probe"]) == (400, 90)
    assert metrics["num_labels"] == 2


def test_codes_of_noise_tell_nothing(labelled, codes_that):
    codes_that(0.0)
    metrics = probes.probe_metrics(labelled)
    accuracy = metrics["probe_accuracy"]
    assert abs(accuracy - metrics["majority_accuracy"]) < 0.12
    assert metrics["probe_accuracy_se"] == pytest.approx((accuracy * (1 - accuracy) / 90) ** 0.5)
    assert metrics["cluster_nmi"] < 0.1


def test_clusters_agree_with_labels_that_lie_apart(labelled, codes_that):
    codes_that(1e4)
    assert probes.probe_metrics(labelled)["cluster_nmi"] == pytest.approx(1.0)


def test_no_clusters_agree_with_a_single_label(labelled, codes_that):
    codes_that(1e4)
    same = replace(labelled.corpus.test, labels=np.zeros(90, np.int32))
    labelled = labelled._replace(corpus=replace(labelled.corpus, test=same))
    assert "cluster_nmi" not in probes.probe_metrics(labelled)


def test_the_codes_are_those_of_the_sentences(labelled):
    metrics = probes.probe_metrics(labelled, num_train=100, seed=2)
    assert metrics["num_probe_train"] == 100
    assert metrics == probes.probe_metrics(labelled, num_train=100, seed=2)
    rows = np.array([3, 5])
    found = probes._codes(labelled, labelled.corpus.test, rows)
    assert found.shape == (2, 3)
    counts = probes._word_counts(labelled.corpus.test, 8, rows).toarray()
    for row, of_sentence in zip(rows, counts, strict=True):
        ids = labelled.corpus.test.sentence(row)
        np.testing.assert_array_equal(of_sentence, np.bincount(ids, minlength=8))


def test_sentences_without_a_label_are_left_out(labelled, codes_that):
    codes_that(30.0)
    splits = {"train": labelled.corpus.train, "test": labelled.corpus.test}
    unlabelled = {name: np.arange(len(split)) % 3 == 0 for name, split in splits.items()}
    corpus = replace(
        labelled.corpus,
        labels=(*NAMES[:2], "(none)"),
        **{
            name: replace(split, labels=np.where(unlabelled[name], 2, split.labels))
            for name, split in splits.items()
        },
    )
    metrics = probes.probe_metrics(labelled._replace(corpus=corpus), num_train=200)
    assert (metrics["num_labels"], metrics["num_probe_train"], metrics["num_probe"]) == (2, 200, 60)
    assert metrics["probe_accuracy"] == metrics["bow_accuracy"] == 1.0
    expected = splits["test"].labels[~unlabelled["test"]]
    assert metrics["majority_accuracy"] == np.mean(expected == 1)

    none = replace(splits["test"], labels=np.full(90, 2, np.int32))
    unknown = labelled._replace(corpus=replace(corpus, test=none))
    with pytest.raises(InputError, match="no sentence of the test split has a label"):
        probes.probe_metrics(unknown)


def test_what_cannot_be_probed_is_refused(trained, labelled, monkeypatch):
    with pytest.raises(InputError, match="no labels"):
        probes.probe_metrics(trained)
    train = replace(labelled.corpus.train, labels=np.zeros(400, np.int32))
    same = labelled._replace(corpus=replace(labelled.corpus, train=train))
    with pytest.raises(InputError, match="all have the same label"):
        probes.probe_metrics(same)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(InputError, match=r"needs scikit-learn.*pip install 'wae-rnf-jax\[probe\]'"):
        probes.probe_metrics(labelled)
