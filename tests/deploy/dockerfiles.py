"""Parses a Dockerfile into stages and instructions; supports the syntax that ours use."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word, such as `RUN`, and the rest of the line, continuation lines joined."""

    word: str
    text: str

    def words(self) -> list[str]:
        """The rest of the line as words: a JSON array, or split as a shell does."""
        return [str(word) for word in json.loads(self.text)] if self.text.startswith("[") else shlex.split(self.text)


@dataclass(slots=True)
class Stage:
    """The instructions from one FROM to the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def texts(self, word: str) -> list[str]:
        """The text of every instruction with this word."""
        return [instruction.text for instruction in self.instructions if instruction.word == word]

    def last(self, word: str) -> Instruction:
        """The last instruction with this word, which overrides the earlier ones."""
        return [instruction for instruction in self.instructions if instruction.word == word][-1]


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile; the defaults of the arguments before the first stage are substituted."""
    parsed: list[Stage] = []
    arguments: dict[str, str] = {}
    for instruction in _instructions(path.read_text()):
        if instruction.word == "ARG" and not parsed:
            name, _, default = instruction.text.partition("=")
            arguments[name] = default
        elif instruction.word == "FROM":
            base, _, name = instruction.text.partition(" AS ")
            parsed.append(Stage(re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base), name))
        else:
            parsed[-1].instructions.append(instruction)
    return parsed


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        yield Instruction(word, rest.strip())
