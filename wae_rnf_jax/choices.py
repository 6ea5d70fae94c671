"""What a section of a configuration chooses: the name of a definition, and its arguments."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Choice"]


class Choice(NamedTuple):
    """A name in a table of definitions, with arguments; hashable, as a static part of a model.

    >>> Choice.of({"name": "dilated_cnn", "dilations": [1, 2, 4]})
    Choice(name='dilated_cnn', arguments=(('dilations', (1, 2, 4)),))
    """

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> "Choice":
        """The choice that a section makes, whose lists, which JSON makes of tuples, become tuples.

        Args:
          section: `name`, and the arguments by their names.
        """
        arguments = {key: _frozen(value) for key, value in section.items() if key != "name"}
        return cls(section["name"], tuple(sorted(arguments.items())))

    def build(self, table: Mapping[str, Callable], **given: Any) -> Any:
        """Calls what the table has under the name, with the arguments and those given."""
        return table[self.name](**dict(self.arguments), **given)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
