"""What the documents hold: their code blocks, the files these make, the changes they show."""

import re
from pathlib import Path
from typing import NamedTuple

from command_runs import ROOT


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    code: str
    file: str  # in back-quotes on the line before the block, where that ends in a colon; or ""


def blocks(document: str, language: str) -> list[Block]:
    """The blocks of one language, in order; `document` is a path in the checkout."""
    text = (ROOT / document).read_text()
    fences = re.finditer(r"([^\n]*)\n\n```(\w+)\n(.*?)```", text, re.DOTALL)
    found = [
        Block(fence[2], fence[3], name[1] if (name := re.search(r"`([^`]+)`:$", fence[1])) else "")
        for fence in fences
    ]
    assert len(found) == text.count("\n```") / 2, f"{document}: a block without an empty line above"
    return [block for block in found if block.language == language]


def apply_change(diff: str, folder: Path) -> int:
    """Applies a unified diff to the files of a folder; returns how many lines it adds.

    Lines are found by what they say, not by their number, and must be there exactly once.
    """
    added = 0
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        header, *hunks = re.split(r"^@@.*\n", part, flags=re.MULTILINE)
        path = folder / re.search(r"^\+\+\+ b/(\S+)", header, re.MULTILINE)[1]
        is_new = header.startswith("/dev/null")
        assert path.exists() != is_new, f"{path}: is it new?"
        text = "" if is_new else path.read_text()
        for hunk in hunks:
            lines = [(line[:1] or " ", line[1:] + "\n") for line in hunk.splitlines()]
            old, new = ("".join(s for mark, s in lines if mark in " " + own) for own in "-+")
            assert is_new or text.count(old) == 1, f"{path} does not hold, once:\n{old}"
            text = new if is_new else text.replace(old, new)
            added += sum(mark == "+" for mark, _ in lines)
        path.write_text(text)
    return added
