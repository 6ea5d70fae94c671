"""The words of the built-in corpus, and how they are inflected.

They were chosen for this project; no text of others went into them.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ENGLISH", "Lexicon", "Topic", "past", "plural"]


class Topic(NamedTuple):
    """Words of one topic, the most frequent first; all nouns and verbs are regular.

    Attributes:
      agents: nouns that act, singular.
      objects: nouns acted on, singular.
      verbs: transitive, base form.
      places: phrases of preposition, article and noun.
    """

    agents: tuple[str, ...]
    objects: tuple[str, ...]
    verbs: tuple[str, ...]
    places: tuple[str, ...]


class Lexicon(NamedTuple):
    """All words of a grammar but auxiliaries and pronouns, the most frequent first.

    Attributes:
      topics: the topics by name.
      determiners: for each number.
      openings: phrases for each tense.
      adjectives: before nouns, for each sentiment.
      states: after "because she was", for each sentiment.
      manners: adverbs for each sentiment.
    """

    topics: dict[str, Topic]
    determiners: dict[str, tuple[str, ...]]
    openings: dict[str, tuple[str, ...]]
    adjectives: dict[str, tuple[str, ...]]
    states: dict[str, tuple[str, ...]]
    manners: dict[str, tuple[str, ...]]


def _topic(agents: str, objects: str, verbs: str, places: str) -> Topic:
    return Topic(
        *(tuple(words.split()) for words in (agents, objects, verbs)),
        tuple(place.strip() for place in places.split(",")),
    )


# "a" stands before nouns and adjectives, so none of them begins with a vowel.
ENGLISH = Lexicon(
    topics={
        "kitchen": _topic(
            "cook baker waiter chef guest butcher brewer dishwasher",
            "soup cake pie salad stew sauce pancake sausage",
            "serve taste prepare burn order devour",
            "in the kitchen, at the table, near the oven, in the cellar, behind the counter",
        ),
        "school": _topic(
            "teacher student pupil tutor professor scholar librarian principal",
            "book lesson poem story letter map notebook puzzle",
            "study explain copy discuss review memorize",
            "in the classroom, in the library, at the desk, in the hallway, near the blackboard",
        ),
        "farm": _topic(
            "farmer shepherd gardener rancher milkmaid beekeeper miller neighbor",
            "cow horse goat pumpkin tractor fence turnip barrel",
            "count tend trade fetch gather weigh",
            "in the field, in the barn, near the pond, behind the stable, on the hill",
        ),
        "music": _topic(
            "singer pianist drummer composer dancer violinist guitarist conductor",
            "song melody ballad symphony waltz lullaby hymn concerto",
            "play perform rehearse record practice compose",
            "on the stage, in the studio, at the concert, in the theater, near the piano",
        ),
        "hospital": _topic(
            "doctor nurse patient surgeon dentist therapist pharmacist medic",
            "medicine pill bandage needle vaccine wheelchair thermometer scalpel",
            "examine request replace label dispense sterilize",
            "in the clinic, at the bedside, in the ward, near the ambulance, in the laboratory",
        ),
        "sea": _topic(
            "sailor diver captain pirate swimmer merchant lifeguard skipper",
            "boat ship net raft canoe shell rope lantern",
            "launch haul tow rescue board salvage",
            "at the harbor, on the beach, in the bay, on the deck, near the reef",
        ),
        "court": _topic(
            "judge lawyer detective clerk prosecutor juror sheriff bailiff",
            "case verdict contract document statement motive warrant testimony",
            "reject accept dispute dismiss present challenge",
            "in the courtroom, at the trial, in the office, at the station, behind the bench",
        ),
        "sport": _topic(
            "player coach runner champion goalkeeper referee striker rookie",
            "match race medal trophy game tournament title prize",
            "watch enjoy celebrate finish remember claim",
            "in the stadium, at the gym, on the track, in the arena, in the park",
        ),
    },
    determiners={
        "singular": ("the", "a", "this", "every"),
        "plural": ("the", "some", "many", "these", "two", "several"),
    },
    openings={
        "past": ("yesterday", "last week", "last night", "long ago"),
        "present": ("today", "now", "these days", "every day"),
        "future": ("tomorrow", "soon", "next week", "next year"),
    },
    adjectives={
        "good": tuple("good wonderful lovely brilliant charming perfect splendid fine".split()),
        "bad": tuple("bad terrible horrible boring miserable dreadful nasty worthless".split()),
    },
    states={
        "good": tuple("happy proud glad cheerful calm grateful".split()),
        "bad": tuple("sad tired nervous jealous bitter frustrated".split()),
    },
    manners={
        "good": tuple("happily gladly proudly cheerfully calmly gratefully".split()),
        "bad": tuple("sadly badly nervously jealously bitterly reluctantly".split()),
    },
)


def plural(noun: str) -> str:
    """Plural of a regular noun.

    >>> plural("pumpkin"), plural("story"), plural("waltz"), plural("boy")
    ('pumpkins', 'stories', 'waltzes', 'boys')
    """
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "z", "ch", "sh")) else "s")


def past(verb: str) -> str:
    """Past tense of a regular verb that doubles no letter.

    >>> past("taste"), past("copy"), past("enjoy"), past("tow")
    ('tasted', 'copied', 'enjoyed', 'towed')
    """
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return verb + ("d" if verb.endswith("e") else "ed")
