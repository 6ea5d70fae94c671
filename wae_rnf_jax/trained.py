"""A trained model as an object: sentences in, codes and sentences out.

Letters: N sentences or codes, Z latent, P points of a path.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation import attributes, latent_space, scoring, splits
from wae_rnf_jax.evaluation import decoding as decoders
from wae_rnf_jax.evaluation.latent_space import Codes, Interpolation
from wae_rnf_jax.evaluation.splits import Split
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.runs.remote import local_workdir
from wae_rnf_jax.runs.trained_model import TrainedModel, load_trained_model

__all__ = ["Codes", "Interpolation", "Run", "Split", "load_run"]


def load_run(workdir: str | os.PathLike[str]) -> "Run":
    """The trained model that a workdir holds.

    What was compiled for one model serves every other of the same configuration, so that loading
    a run again compiles nothing.

    Args:
      workdir: folder of a `wae-rnf train` or `wae-rnf export`, also ``gs://BUCKET/FOLDER``.

    Returns:
      The model that evaluation takes, by ``train.select`` of its configuration.

    Raises:
      InputError: the folder holds no run, or no whole checkpoint.

    >>> run = load_run("runs/reviews")
    >>> run.latent_dim, run.labels
    (2, ('good', 'bad'))
    """
    try:
        return Run(load_trained_model(local_workdir(os.fspath(workdir))))
    except InputError as error:
        raise InputError(str(error).removeprefix("--workdir: ")) from error


@dataclass(frozen=True, repr=False)
class Run:
    """A trained model with its vocabulary and its splits, as `load_run` gives it.

    Sentences are text, as the run's tokenizer reads it (by default, words between blanks). Methods
    that decode take the settings of decoding by name: `strategy` ("greedy", "sample" or "beam"),
    `max_length` (tokens, the end counted), `temperature` and `top_p` (of "sample"), `beam_width`
    and `length_penalty` (of "beam"), `allow_unknown` (whether ``<unk>`` may be produced), `seed`.

    >>> run = load_run("runs/reviews")
    >>> codes = run.encode(["the food was good", "the food was bad"])
    >>> codes.zk.shape, codes.posterior.mean.shape
    ((2, 2), (2, 2))
    >>> middle = codes.zk.mean(0)
    >>> len(run.decode(middle[None], max_length=8))
    1
    >>> texts, labels = run.split("test")
    >>> texts[0], labels[0]
    ('the food was good', 'good')

    Attributes:
      trained: what the functions of `wae_rnf_jax.evaluation` take.
    """

    trained: TrainedModel

    def __repr__(self) -> str:
        words = f"{self.vocabulary.size:,} words"
        return f"<Run: {self.config['system']} at step {self.step}, Z = {self.latent_dim}, {words}>"

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, nested dictionaries as the workdir's config.json has them."""
        return self.trained.config

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that the model knows."""
        return self.trained.vocabulary

    @property
    def model(self) -> TextAutoencoder:
        """The Flax module: ``run.model.apply(run.variables, …, method="infer")``."""
        return self.trained.model.module

    @property
    def variables(self) -> dict[str, Any]:
        """Parameters and batch statistics, as Flax's `apply` takes them."""
        return dict(self.trained.model.variables)

    @property
    def latent_dim(self) -> int:
        """Z; 0 for a language model."""
        return self.trained.model.latent_dim

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the training text; empty where it has none."""
        return self.trained.corpus.labels

    @property
    def step(self) -> int:
        """The step of training that the model was saved at."""
        return self.trained.step

    def split(self, name: str) -> Split:
        """The sentences of a split, and their labels.

        Args:
          name: "train", "valid" or "test"; the workdir holds the last two, and the first is read
            from the cache of prepared corpora.

        Returns:
          `sentences` and `labels`, the second None where the text has none.

        Raises:
          InputError: there is no such split, or the cache no longer has it.
        """
        return splits.split_text(self.trained, name)

    def encode(self, sentences: Sequence[str], *, batch_size: int = 64) -> Codes:
        """The codes of sentences.

        Args:
          sentences: N texts, none empty.
          batch_size: sentences at once.

        Returns:
          `posterior`, `z0` [N, Z], `zk` [N, Z], and per sentence the `unknown` words, which are
          read as ``<unk>``.

        Raises:
          InputError: for no sentence, an empty one, one with a reserved word such as ``<eos>``,
            or a language model.
        """
        several = _several(sentences)
        return latent_space.encode_sentences(self.trained, several, batch_size=batch_size)

    def decode(
        self, codes: Codes | jax.Array | np.ndarray, *, batch_size: int = 64, **decoding: Any
    ) -> list[str]:
        """The sentences that codes decode to.

        Args:
          codes: as `encode` gives them, or an array [N, Z] like its `zk`; where the model's codes
            lie on a sphere, the nearest points of it are decoded.
          batch_size: codes at once; changes no sentence.
          **decoding: settings of decoding by name, which `Run` lists.

        Returns:
          N sentences.

        Raises:
          InputError: for codes of another shape or that are no numbers, or a wrong setting.
        """
        zk = _checked_codes(codes.zk if isinstance(codes, Codes) else codes, self.latent_dim)
        zk = self.trained.model.prior.projected(zk)
        chosen = _decoding(decoding)
        texts = decoders.decoded_sentences(self.trained, zk, decoding=chosen, batch_size=batch_size)
        return list(texts)

    def reconstruct(self, sentences: Sequence[str], **decoding: Any) -> list[str]:
        """What sentences become on the way through their codes.

        Args:
          sentences: N texts.
          **decoding: settings of decoding by name, which `Run` lists.

        Returns:
          N sentences.

        Raises:
          InputError: as `encode` and `decode`.
        """
        return self.decode(self.encode(sentences), **decoding)

    def sample(self, num: int, **decoding: Any) -> list[str]:
        """Sentences from draws of the prior.

        Args:
          num: how many; more of them begin with the same ones.
          **decoding: settings of decoding by name, which `Run` lists; words are drawn unless
            `strategy` says otherwise, and `seed`, 0 unless given, is that of the codes too.

        Returns:
          The sentences.

        Raises:
          InputError: for a wrong setting.
        """
        chosen = _decoding({"strategy": "sample", **decoding})
        return list(latent_space.prior_sentences(self.trained, num, decoding=chosen))

    def interpolate(
        self, start: str, end: str, *, path: str = "straight", num_points: int = 7, **decoding: Any
    ) -> Interpolation:
        """Sentences along a path between the codes of two sentences.

        Args:
          start: a sentence.
          end: another.
          path: "straight"; "spherical", along a great circle; or "geodesic", of locally least
            Fisher–Rao length.
          num_points: P, the ends included.
          **decoding: settings of decoding by name, which `Run` lists.

        Returns:
          `sentences`, `shares` [P] of the way, `codes` [P, Z], and the `unknown` words of the
          two ends.

        Raises:
          InputError: as `encode` and `decode`, for an unknown path or fewer than 2 points.
        """
        chosen = _decoding(decoding)
        return latent_space.interpolate_sentences(
            self.trained, start, end, num_points=num_points, path=path, decoding=chosen
        )

    def label_difference(self, start: str, end: str, *, split: str = "valid") -> jax.Array:
        """The mean code of one label's sentences less another's, to be added to codes.

        Args:
          start: the label to move away from.
          end: the label to move towards.
          split: whose sentences it is the mean of.

        Returns:
          [1, Z], of codes zk.

        Raises:
          InputError: the text has no such labels, or the split no sentence of one of them.

        >>> run = load_run("runs/reviews")
        >>> codes = run.encode(["the food was bad"])
        >>> shifted = run.decode(codes.zk + 1.5 * run.label_difference("bad", "good"))
        """
        return attributes.label_difference(self.trained, start, end, split=split)

    def score(
        self,
        sentences: Sequence[str],
        *,
        num_samples: int = 500,
        proposal_scale: float = 1.0,
        seed: int = 0,
    ) -> np.ndarray:
        """How likely sentences are; words that the model does not know are read as ``<unk>``.

        Args:
          sentences: N texts; `encode` tells their unknown words.
          num_samples: draws of the code a sentence; a language model needs none.
          proposal_scale: width of the distribution that codes are drawn from, as a multiple of
            the posterior's; above 1 the bound is tighter where posteriors are too narrow.
          seed: of the draws.

        Returns:
          Negative log-likelihoods in nats, the end counted, float64 [N]: importance-weighted
          over the draws, exact for a language model.

        Raises:
          InputError: for no sentence, one with a reserved word, or a proposal_scale that is not
            positive or, with codes on a sphere, not 1.
        """
        return scoring.score_sentences(
            self.trained,
            _several(sentences),
            num_samples=num_samples,
            proposal_scale=proposal_scale,
            num_buckets=self.config["data"]["num_buckets"],
            seed=seed,
        ).nll


def _several(sentences: Sequence[str]) -> list[str]:
    if isinstance(sentences, str):
        raise InputError(f"{sentences!r} is one string: give a list, as in [{sentences!r}]")
    return list(sentences)


def _decoding(settings: dict[str, Any]) -> decoders.Decoding:
    unknown = settings.keys() - set(decoders.Decoding._fields)
    if unknown:
        raise InputError(
            f"there is no decoding setting {min(unknown)!r}: the settings are "
            f"{', '.join(decoders.Decoding._fields)}"
        )
    return decoders.Decoding(**settings)


def _checked_codes(codes: Any, latent_dim: int) -> jax.Array:
    """Codes [N, Z] in single precision, as the decoder takes them."""
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != latent_dim or codes.dtype.kind not in "iuf":
        raise InputError(
            f"codes are {codes.dtype} of shape {list(codes.shape)}: this model takes real numbers "
            f"of shape [N, {latent_dim}], one row per sentence"
        )
    with np.errstate(over="ignore"):
        codes = codes.astype(np.float32)
    if not np.isfinite(codes).all():
        raise InputError(
            "codes contain NaN, an infinite number or one beyond single precision: all must be "
            "finite in float32"
        )
    return jnp.asarray(codes)
