"""Probabilistic context-free grammars without recursion, and what can be said of them exactly.

A grammar is a function from a symbol to its rules. Every quantity below is a recursion over that
function, so that sampling, parsing and entropy cannot disagree about what the grammar is. The
recursions are those of Booth and Thompson, "Applying Probability Measures to Abstract Languages"
(1973); a grammar without recursion needs no fixed point.
"""

from __future__ import annotations

import functools
import hashlib
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Hashable
from itertools import accumulate
from typing import NamedTuple

__all__ = ["ProbabilisticGrammar", "Rule", "choice"]

# A terminal is a str, a nonterminal any other hashable value.
Symbol = Hashable


class Rule(NamedTuple):
    """One way to rewrite a symbol.

    Attributes:
      probability: of this rule among the symbol's rules.
      body: terminals (str) and nonterminals (anything else) it is rewritten to.
    """

    probability: float
    body: tuple[Symbol, ...]


def choice(options: dict[tuple[Symbol, ...], float]) -> tuple[Rule, ...]:
    """Rules with probabilities in proportion to weights.

    >>> choice({("the",): 3.0, ("a",): 1.0})
    (Rule(probability=0.75, body=('the',)), Rule(probability=0.25, body=('a',)))

    Args:
      options: the weight, above 0, of each body.

    Returns:
      One rule a body.
    """
    total = math.fsum(options.values())
    return tuple(Rule(weight / total, body) for body, weight in options.items())


class ProbabilisticGrammar:
    """A grammar given by its rules.

    Sentences are tuples of words. "The probability of a sentence" is the sum over its
    derivations; the grammar is unambiguous if each sentence has one, which `derivations` counts.
    """

    def __init__(self, rules: Callable[[Symbol], tuple[Rule, ...]], start: Symbol) -> None:
        """Sets up the grammar; no symbol may derive itself.

        Args:
          rules: the rules of each nonterminal.
          start: the symbol every sentence is derived from.
        """
        self.start = start
        self.rules = functools.cache(rules)
        self._cumulative = functools.cache(
            lambda symbol: list(accumulate(rule.probability for rule in self.rules(symbol)))
        )
        # Cached per grammar; a method under functools.cache would keep every grammar alive.
        self.entropy = functools.cache(self._entropy)
        self.total_probability = functools.cache(self._total_probability)
        self.num_derivations = functools.cache(self._num_derivations)
        self.length_range = functools.cache(self._length_range)
        self.terminals = functools.cache(self._terminals)

    def sample(self, generator: random.Random) -> tuple[tuple[str, ...], float]:
        """Draws a sentence.

        Args:
          generator: source of the random numbers.

        Returns:
          Its words, and the log-probability of the derivation drawn, in nats.
        """
        words: list[str] = []
        log_prob = 0.0
        stack = [self.start]
        while stack:
            symbol = stack.pop()
            if isinstance(symbol, str):
                words.append(symbol)
                continue
            rules, cumulative = self.rules(symbol), self._cumulative(symbol)
            drawn = bisect_right(cumulative, generator.random() * cumulative[-1])
            rule = rules[min(drawn, len(rules) - 1)]
            log_prob += math.log(rule.probability)
            stack.extend(reversed(rule.body))
        return tuple(words), log_prob

    def derivations(self, words: tuple[str, ...]) -> tuple[int, float]:
        """Number of derivations of a sentence and the sum of their probabilities.

        It reads the words alone. A symbol that must derive all the words is left aside if it
        cannot: its terminals do not include them, or its lengths do not. This only saves time.

        Args:
          words: the sentence.

        Returns:
          Their number (0 if the sentence is not of the language) and total probability.
        """
        spans: dict[tuple[Symbol, int], dict[int, tuple[int, float]]] = {}

        def ends(symbol: Symbol, begin: int) -> dict[int, tuple[int, float]]:
            """Count and probability of the derivations of words[begin:end], by end."""
            if isinstance(symbol, str):
                matches = begin < len(words) and words[begin] == symbol
                return {begin + 1: (1, 1.0)} if matches else {}
            key = (symbol, begin)
            if key not in spans:
                spans[key] = self._rule_ends(symbol, begin, ends)
            return spans[key]

        return self._whole(self.start, words, ends)

    def _whole(self, symbol: Symbol, words: tuple[str, ...], ends: Callable) -> tuple[int, float]:
        """`derivations` of all the words from one symbol, down chains of single symbols."""
        count, probability = 0, 0.0
        for rule in self.rules(symbol):
            if len(rule.body) == 1 and not isinstance(rule.body[0], str):
                part = (0, 0.0)
                if self._may_derive(rule.body[0], words):
                    part = self._whole(rule.body[0], words, ends)
            else:
                part = self._body_ends(rule.body, 0, ends).get(len(words), (0, 0.0))
            count += part[0]
            probability += rule.probability * part[1]
        return count, probability

    def _may_derive(self, symbol: Symbol, words: tuple[str, ...]) -> bool:
        shortest, longest = self.length_range(symbol)
        return shortest <= len(words) <= longest and self.terminals(symbol).issuperset(words)

    def _rule_ends(
        self, symbol: Symbol, begin: int, ends: Callable
    ) -> dict[int, tuple[int, float]]:
        found: dict[int, tuple[int, float]] = {}
        for rule in self.rules(symbol):
            for end, (count, probability) in self._body_ends(rule.body, begin, ends).items():
                before = found.get(end, (0, 0.0))
                found[end] = (before[0] + count, before[1] + rule.probability * probability)
        return found

    @staticmethod
    def _body_ends(
        body: tuple[Symbol, ...], begin: int, ends: Callable
    ) -> dict[int, tuple[int, float]]:
        reached = {begin: (1, 1.0)}
        for symbol in body:
            following: dict[int, tuple[int, float]] = {}
            for middle, (count, probability) in reached.items():
                for end, (more, factor) in ends(symbol, middle).items():
                    before = following.get(end, (0, 0.0))
                    following[end] = (before[0] + count * more, before[1] + probability * factor)
            reached = following
        return reached

    def sentences(self, symbol: Symbol | None = None) -> list[tuple[tuple[str, ...], float]]:
        """Every derivation's words and probability; for small grammars.

        Args:
          symbol: what to derive from; the start symbol if None.

        Returns:
          A list as long as there are derivations.
        """
        symbol = self.start if symbol is None else symbol
        if isinstance(symbol, str):
            return [((symbol,), 1.0)]
        derived = []
        for rule in self.rules(symbol):
            partial = [((), rule.probability)]
            for part in rule.body:
                continuations = self.sentences(part)
                partial = [
                    (words + more, probability * factor)
                    for words, probability in partial
                    for more, factor in continuations
                ]
            derived.extend(partial)
        return derived

    def _entropy(self, symbol: Symbol) -> float:
        """Entropy of the derivations from ``symbol``, in nats."""
        if isinstance(symbol, str):
            return 0.0
        return math.fsum(
            rule.probability
            * (-math.log(rule.probability) + math.fsum(map(self.entropy, rule.body)))
            for rule in self.rules(symbol)
        )

    def _total_probability(self, symbol: Symbol) -> float:
        """Sum of the probabilities of all derivations from ``symbol``."""
        if isinstance(symbol, str):
            return 1.0
        return math.fsum(
            rule.probability * math.prod(map(self.total_probability, rule.body))
            for rule in self.rules(symbol)
        )

    def _num_derivations(self, symbol: Symbol) -> int:
        """Number of derivations from ``symbol``."""
        if isinstance(symbol, str):
            return 1
        return sum(math.prod(map(self.num_derivations, rule.body)) for rule in self.rules(symbol))

    def _length_range(self, symbol: Symbol) -> tuple[int, int]:
        """Fewest and most words derived from ``symbol``."""
        if isinstance(symbol, str):
            return 1, 1
        parts = [[self.length_range(part) for part in rule.body] for rule in self.rules(symbol)]
        return (
            min(sum(shortest for shortest, _ in body) for body in parts),
            max(sum(longest for _, longest in body) for body in parts),
        )

    def _terminals(self, symbol: Symbol) -> frozenset[str]:
        """Every word that a derivation from ``symbol`` may hold."""
        if isinstance(symbol, str):
            return frozenset((symbol,))
        return frozenset().union(
            *(self.terminals(part) for rule in self.rules(symbol) for part in rule.body)
        )

    def fingerprint(self) -> str:
        """SHA-256 over all rules that can be reached, in hexadecimal."""
        digest = hashlib.sha256()
        seen: set[Symbol] = set()
        stack = [self.start]
        while stack:
            symbol = stack.pop()
            if isinstance(symbol, str) or symbol in seen:
                continue
            seen.add(symbol)
            rules = self.rules(symbol)
            digest.update(repr((symbol, [tuple(rule) for rule in rules])).encode())
            for rule in rules:
                stack.extend(rule.body)
        return digest.hexdigest()
