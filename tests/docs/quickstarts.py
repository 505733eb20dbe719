"""The sections of docs/quickstarts.md: a program, and what it prints."""

import re

from tests.docs.generated import DOCS

PAGE = DOCS / "quickstarts.md"
_SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_PROGRAM = re.compile(r"^```(?:python|js|sh)\n(.*?)^```\n+```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def programs() -> dict[str, tuple[str, str]]:
    """Program and output of each section, by its heading; a section without a program is left out."""
    sections = {heading: _PROGRAM.search(text) for heading, text in _SECTION.findall(PAGE.read_text())}
    return {heading: (found[1], found[2]) for heading, found in sections.items() if found}
