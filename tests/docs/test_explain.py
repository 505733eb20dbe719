"""docs/explain.md: its example has the form of a response, and every field of it is described."""

import re

import jsonschema  # type: ignore[import-untyped]
import orjson

from afterglow.api.openapi import document
from afterglow.api.v2.routes import ROUTES
from tests.docs.generated import DOCS


def test_the_example_is_a_response() -> None:
    text = (DOCS / "explain.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    components = document(ROUTES)["components"]
    jsonschema.validate(orjson.loads(block), {"$ref": "#/components/schemas/Explanation", "components": components})
    names = ("Explanation", "ExplainedSearch", "ExplainedGroup")
    fields = {field for name in names for field in components["schemas"][name]["properties"]}
    table = text.partition("| field | meaning |")[2]
    assert fields <= set(re.findall(r"`(\w+)`", table)) | {"row_groups"}
