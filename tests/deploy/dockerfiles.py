"""A Dockerfile as its stages and instructions: as much of the syntax as ours use."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: `RUN`, and what follows as it stands there, continued lines joined."""

    word: str
    text: str

    def words(self) -> list[str]:
        """What follows, by words: of the form in brackets, or as a shell splits them."""
        return [str(each) for each in json.loads(self.text)] if self.text.startswith("[") else shlex.split(self.text)


@dataclass(slots=True)
class Stage:
    """From one FROM to the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def texts(self, word: str) -> list[str]:
        """What follows each of these instructions."""
        return [each.text for each in self.instructions if each.word == word]

    def last(self, word: str) -> Instruction:
        """The one that counts, of instructions of which the last counts."""
        return [each for each in self.instructions if each.word == word][-1]


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, with the defaults of the arguments before the first filled in."""
    found: list[Stage] = []
    arguments: dict[str, str] = {}
    for each in _instructions(path.read_text()):
        if each.word == "ARG" and not found:
            name, _, default = each.text.partition("=")
            arguments[name] = default
        elif each.word == "FROM":
            base, _, name = each.text.partition(" AS ")
            found.append(Stage(re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base), name))
        else:
            found[-1].instructions.append(each)
    return found


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        yield Instruction(word, rest.strip())
