"""What a setting may be: rules in words, each with its test, and how a definition states them.

A function's argument, or a module's field, that a configuration sets is annotated with its rule:
`mmd_weight: NotNegative`. The check of a configuration reads the annotations, so that a new key
touches its definition and its documentation and nothing else.
"""

import inspect
import math
import typing
from collections.abc import Callable, Collection
from typing import Annotated, Any, NamedTuple

__all__ = [
    "Rule",
    "Setting",
    "number",
    "one_of",
    "settings",
    "three",
    "whole",
]


class Rule(NamedTuple):
    """What a value must be: in words, after "it must be", and as a test."""

    words: str
    allows: Callable[[Any], bool]

    def __repr__(self) -> str:
        return f"Rule({self.words!r})"


class Setting(NamedTuple):
    """One argument that a configuration sets: its rule, and its default if it has one."""

    rule: Rule
    default: Any = inspect.Parameter.empty

    @property
    def has_default(self) -> bool:
        """Whether it may be left out."""
        return self.default is not inspect.Parameter.empty


def whole(least: int, most: float = math.inf) -> Rule:
    """A whole number in a range."""
    words = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
    return Rule(f"a whole number {words}", lambda v: type(v) is int and least <= v <= most)


def number(words: str, test: Callable[[float], bool]) -> Rule:
    """A finite number that passes a test."""
    return Rule(words, lambda v: type(v) in (int, float) and math.isfinite(v) and test(v))


def one_of(*names: str) -> Rule:
    """One of some names."""
    return Rule(f"one of {', '.join(names)}", lambda v: isinstance(v, str) and v in names)


def three(what: str, item: Rule) -> Rule:
    """One value for each of the training, validation and test split."""
    return Rule(
        f"three {what} (training, validation, test)",
        lambda v: isinstance(v, tuple | list) and len(v) == 3 and all(map(item.allows, v)),
    )


SWITCH = Rule("True or False", lambda v: isinstance(v, bool))
TEXT = Rule("text", lambda v: isinstance(v, str) and "\0" not in v)  # which no path may hold
NAME = Rule("non-empty text", lambda v: TEXT.allows(v) and bool(v.strip()))
SEED = whole(0, 2**32 - 1)  # of greater ones JAX drops the upper half
FINITE = number("a number", lambda v: True)
POSITIVE = number("above 0", lambda v: v > 0)
NOT_NEGATIVE = number("at least 0", lambda v: v >= 0)
SHARE = number("at least 0 and below 1", lambda v: 0 <= v < 1)
FROM_0_TO_1 = number("from 0 to 1", lambda v: 0 <= v <= 1)
INTEGER = Rule("a whole number", lambda v: type(v) is int)
ANYTHING = Rule("a value", lambda v: True)


def several(words: str, item: Rule) -> Rule:
    """One value or more, each under a rule."""
    return Rule(
        f"a list of {words}",
        lambda v: isinstance(v, tuple | list) and bool(v) and all(map(item.allows, v)),
    )


SIZES = several("whole numbers of at least 1", whole(1))
COUNTS = several("whole numbers of at least 0", whole(0))
WEIGHTS = several("numbers from 0 to 1", FROM_0_TO_1)

Size = Annotated[int, whole(1)]
Count = Annotated[int, whole(0)]
Sizes = Annotated[tuple[int, ...], SIZES]
Counts = Annotated[tuple[int, ...], COUNTS]
Weights = Annotated[tuple[float, ...], WEIGHTS]
Share = Annotated[float, SHARE]
Positive = Annotated[float, POSITIVE]
NotNegative = Annotated[float, NOT_NEGATIVE]
Finite = Annotated[float, FINITE]
Switch = Annotated[bool, SWITCH]

_BY_TYPE = {bool: SWITCH, str: TEXT, float: FINITE, int: INTEGER}


def settings(definition: Callable, *, given: Collection[str] = ()) -> dict[str, Setting]:
    """The arguments of a function, or the fields of a module, that a configuration sets.

    Args:
      definition: the function or class.
      given: arguments that come from the run and not from a configuration.

    Returns:
      By name, in their order; one without a rule is checked by its type.
    """
    hints = typing.get_type_hints(definition, include_extras=True)
    return {
        name: Setting(_rule(hints.get(name)), parameter.default)
        for name, parameter in inspect.signature(definition).parameters.items()
        if name not in given
    }


def _rule(annotation: Any) -> Rule:
    if typing.get_origin(annotation) is Annotated:
        return next(part for part in annotation.__metadata__ if isinstance(part, Rule))
    return _BY_TYPE.get(annotation, ANYTHING)
