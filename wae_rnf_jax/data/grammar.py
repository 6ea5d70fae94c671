"""The built-in corpus: simple English drawn from a grammar whose probabilities are known.

Each sentence has latent factors that govern all of it: a topic (which nouns, verbs and places), a
tense, the subject's number, a polarity (said or denied), and a sentiment wherever it judges. They
are drawn first, then a form, then the words, by falling weight within each list:

    last week the good farmers who traded the pumpkins did not count the goats in the barn

Every sentence has exactly one derivation, so its log-probability is known, and with the entropy
a model's negative log-likelihood can be held against the truth. The grammar is made for this
project; no text of others went into it.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from wae_rnf_jax.data.lexicon import ENGLISH, Lexicon, past, plural
from wae_rnf_jax.data.probabilistic_grammar import ProbabilisticGrammar, Rule, choice

__all__ = [
    "GrammarSentence",
    "english_grammar",
    "grammar_entropy",
    "grammar_fingerprint",
    "grammar_log_prob",
    "grammar_sentences",
]

TENSES = {"past": 0.5, "present": 0.3, "future": 0.2}
NUMBERS = {"singular": 0.55, "plural": 0.45}
POLARITIES = {"affirmative": 0.75, "negative": 0.25}
SENTIMENTS = {"good": 0.6, "bad": 0.4}
EXTENSIONS = {"": 0.4, "relative": 0.2, "coordination": 0.2, "reason": 0.2}
TAILS = {"": 0.4, "place": 0.35, "manner": 0.25}
OPENING, SUBJECT_ADJECTIVE, OBJECT_ADJECTIVE = 0.4, 0.35, 0.3


class GrammarSentence(NamedTuple):
    """A sentence drawn from the grammar.

    Attributes:
      text: its words, separated by a space.
      log_prob: its exact log-probability, in nats.
      topic: its topic's name.
    """

    text: str
    log_prob: float
    topic: str


def _ranked(phrases: tuple[str, ...]) -> tuple[Rule, ...]:
    """A choice among phrases, the r-th with weight 1/r (Zipf's law)."""
    return choice({tuple(phrase.split()): 1 / rank for rank, phrase in enumerate(phrases, 1)})


def _weighted(name: str, weights: dict, *features: object) -> tuple[Rule, ...]:
    """A choice of one more feature of the symbol ``name``."""
    return choice({((name, *features, value),): weight for value, weight in weights.items()})


class Form(NamedTuple):
    """Which optional parts a sentence has; ``extension`` and ``tail`` may be empty."""

    opening: bool
    subject_adjective: bool
    object_adjective: bool
    extension: str
    tail: str

    @property
    def judges(self) -> bool:
        """Whether some word shows the sentiment; only then is one drawn."""
        return (
            self.subject_adjective
            or self.object_adjective
            or self.extension == "reason"
            or self.tail == "manner"
        )


def _forms() -> dict[Form, float]:
    yes_no = (True, False)
    weights = {}
    for form in itertools.starmap(
        Form, itertools.product(yes_no, yes_no, yes_no, EXTENSIONS, TAILS)
    ):
        flags = zip(form[:3], (OPENING, SUBJECT_ADJECTIVE, OBJECT_ADJECTIVE), strict=True)
        weight = math.prod(share if present else 1 - share for present, share in flags)
        weights[form] = weight * EXTENSIONS[form.extension] * TAILS[form.tail]
    return weights


class _Rules:
    """The rules of English over a lexicon; a symbol is a tuple of a name and its features."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.forms = _forms()

    def __call__(self, symbol: tuple) -> tuple[Rule, ...]:
        name, *features = symbol
        return getattr(self, name)(*features)

    def sentence(self) -> tuple[Rule, ...]:
        topics = {topic: 1 / (rank + 3) for rank, topic in enumerate(self.lexicon.topics)}
        return _weighted("tensed", topics)

    def tensed(self, topic: str) -> tuple[Rule, ...]:
        return _weighted("numbered", TENSES, topic)

    def numbered(self, topic: str, tense: str) -> tuple[Rule, ...]:
        return _weighted("polar", NUMBERS, topic, tense)

    def polar(self, topic: str, tense: str, number: str) -> tuple[Rule, ...]:
        return _weighted("formed", POLARITIES, topic, tense, number)

    def formed(self, *factors: str) -> tuple[Rule, ...]:
        return _weighted("judging", self.forms, *factors)

    def judging(self, topic: str, tense: str, number: str, polarity: str, form: Form) -> tuple:
        sentiments = SENTIMENTS if form.judges else {"": 1.0}
        return choice(
            {
                self._clause(topic, tense, number, polarity, form, sentiment): weight
                for sentiment, weight in sentiments.items()
            }
        )

    def _clause(
        self, topic: str, tense: str, number: str, polarity: str, form: Form, sentiment: str
    ) -> tuple:
        verb = ("verb", topic, tense, number, polarity)
        body = [("opening", tense)] if form.opening else []
        body += [("determiner", number)]
        body += [("adjective", sentiment)] if form.subject_adjective else []
        body += [("agent", topic, number)]
        if form.extension == "relative":
            body += ["who", ("verb", topic, tense, number, "affirmative"), ("object", topic, "")]
        body += [verb, ("object", topic, sentiment if form.object_adjective else "")]
        body += {"": [], "place": [("place", topic)], "manner": [("manner", sentiment)]}[form.tail]
        if form.extension == "coordination":
            body += ["and", verb, ("object", topic, "")]
        if form.extension == "reason":
            body += ["because", ("copula", tense, number), ("state", sentiment)]
        return tuple(body)

    def opening(self, tense: str) -> tuple[Rule, ...]:
        return _ranked(self.lexicon.openings[tense])

    def determiner(self, number: str) -> tuple[Rule, ...]:
        return _ranked(self.lexicon.determiners[number])

    def adjective(self, sentiment: str) -> tuple[Rule, ...]:
        return _ranked(self.lexicon.adjectives[sentiment])

    def manner(self, sentiment: str) -> tuple[Rule, ...]:
        return _ranked(self.lexicon.manners[sentiment])

    def place(self, topic: str) -> tuple[Rule, ...]:
        return _ranked(self.lexicon.topics[topic].places)

    def agent(self, topic: str, number: str) -> tuple[Rule, ...]:
        nouns = self.lexicon.topics[topic].agents
        return _ranked(nouns if number == "singular" else tuple(map(plural, nouns)))

    def object(self, topic: str, sentiment: str) -> tuple[Rule, ...]:
        return _weighted("numbered_object", NUMBERS, topic, sentiment)

    def numbered_object(self, topic: str, sentiment: str, number: str) -> tuple[Rule, ...]:
        adjective = (("adjective", sentiment),) if sentiment else ()
        noun = (*adjective, ("thing", topic, number))
        if number == "singular":
            return choice({(("determiner", number), *noun): 1.0})
        return choice({(("determiner", number), *noun): 0.6, noun: 0.4})

    def thing(self, topic: str, number: str) -> tuple[Rule, ...]:
        nouns = self.lexicon.topics[topic].objects
        return _ranked(nouns if number == "singular" else tuple(map(plural, nouns)))

    def verb(self, topic: str, tense: str, number: str, polarity: str) -> tuple[Rule, ...]:
        bases = self.lexicon.topics[topic].verbs
        if tense == "future":
            will = "will" if polarity == "affirmative" else "will not"
            return _ranked(tuple(f"{will} {base}" for base in bases))
        if polarity == "negative":
            do = {"past": "did", "present": "does" if number == "singular" else "do"}[tense]
            return _ranked(tuple(f"{do} not {base}" for base in bases))
        if tense == "past":
            return _ranked(tuple(map(past, bases)))
        # The third person takes the same ending as the plural of a noun.
        return _ranked(tuple(map(plural, bases)) if number == "singular" else bases)

    def copula(self, tense: str, number: str) -> tuple[Rule, ...]:
        singular = number == "singular"
        be = {
            "past": "was" if singular else "were",
            "present": "is" if singular else "are",
            "future": "will be",
        }[tense]
        return choice(
            {(who, *be.split()): 1.0 for who in (("she", "he") if singular else ("they",))}
        )

    def state(self, sentiment: str) -> tuple[Rule, ...]:
        states = self.lexicon.states[sentiment]
        return choice(
            {
                (*degree, state): share / rank
                for degree, share in (((), 0.7), (("very",), 0.3))
                for rank, state in enumerate(states, 1)
            }
        )


def english_grammar(lexicon: Lexicon = ENGLISH) -> ProbabilisticGrammar:
    """The grammar over a lexicon.

    Args:
      lexicon: its words; a smaller one gives a language small enough to enumerate.

    Returns:
      The grammar.
    """
    return ProbabilisticGrammar(_Rules(lexicon), start=("sentence",))


@functools.cache
def _built_in() -> ProbabilisticGrammar:
    return english_grammar()


@functools.cache
def _topic_of_word() -> dict[str, str]:
    grammar = _built_in()
    return {
        word: topic
        for topic in ENGLISH.topics
        for number in NUMBERS
        for word in grammar.terminals(("agent", topic, number))
    }


def grammar_sentences(num_sentences: int, *, seed: int, split: str) -> Iterator[GrammarSentence]:
    """Draws sentences from the built-in grammar.

    >>> for sentence in grammar_sentences(2, seed=0, split="train"):
    ...     print(f"{sentence.topic}: {sentence.text}")
    sport: some goalkeepers who finish these games claim this wonderful prize in the stadium
    kitchen: the chefs taste some soups badly

    Args:
      num_sentences: how many.
      seed: the same seed and split give the same sentences, on every machine.
      split: name of the split; splits of one seed are independent of each other.

    Yields:
      The sentences.
    """
    generator = random.Random(f"{seed} {split}")
    grammar, topics = _built_in(), _topic_of_word()
    for _ in range(num_sentences):
        words, log_prob = grammar.sample(generator)
        topic = next(topics[word] for word in words if word in topics)
        yield GrammarSentence(" ".join(words), log_prob, topic)


def grammar_log_prob(sentence: str) -> float:
    """Exact log-probability of a sentence, found from its words alone.

    >>> round(grammar_log_prob("the chefs taste some soups badly"), 3)
    -18.622
    >>> grammar_log_prob("the chefs tastes some soups badly")
    -inf

    Args:
      sentence: words separated by white space.

    Returns:
      Nats; −inf for what the grammar cannot say.
    """
    _, probability = _built_in().derivations(tuple(sentence.split()))
    return math.log(probability) if probability > 0 else -math.inf


def grammar_entropy() -> float:
    """Exact entropy of a sentence of the built-in grammar, in nats, in closed form.

    >>> round(grammar_entropy(), 4)
    23.1096
    """
    grammar = _built_in()
    return grammar.entropy(grammar.start)


def grammar_fingerprint() -> str:
    """SHA-256 over the built-in grammar's rules: it changes when any sentence's probability can."""
    return _built_in().fingerprint()
