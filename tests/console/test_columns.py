"""The console's import finds the columns that `afterglow import` finds, and its report has the same lines."""

import json
from pathlib import Path

import pytest

from afterglow.bulk.report_text import column_lines
from tests.bulk.files import import_fixture
from tests.bulk.small_files import run
from tests.console.conftest import Console
from tests.support.browser import PROGRAM

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")]

HEADERS = [
    "id,embedding,document,year",
    ",ID,emb,text,year",
    "uuid,title_vector,content_vector,Document,text",
    "_id,values,metadata,n",
    "id,vectors,payload,page_content",
    "Unnamed: 0,id,embedding,__index_level_0__",
]


@pytest.mark.parametrize("header", HEADERS)
def test_columns_of_a_csv(header: str, console: Console, tmp_path: Path) -> None:
    vector_columns = ("emb", "embedding", "vectors", "values", "content_vector", "title_vector")
    row = ['"[1, 2]"' if name in vector_columns else "1" for name in header.split(",")]
    text = f"{header}\n{','.join(row)}\n"
    (tmp_path / "a.csv").write_text(text)
    with import_fixture() as at:
        report = run(at, tmp_path / "a.csv")
    expression = (
        "(async () => { const { columnLines, columnsOf } = await import('/console/columns.js');"
        f"return columnLines(columnsOf(module.rowsOf('a.csv', {json.dumps(text)}).map(item => item.row))) }})()"
    )
    assert report.rows == 1
    assert console.module(expression, "import.js") == column_lines(report)


def test_ignored_columns_are_no_metadata(console: Console) -> None:
    text = ',id,content_vector,title_vector,document,text\n0,x,"[1, 2]","[3, 4]",d,t\n'
    expression = f"module.rowsOf('a.csv', {json.dumps(text)}).map(item => module.record(item.row))"
    expected = {"id": "x", "document": "d", "embedding": [1, 2], "metadata": {"text": "t"}}
    assert console.module(expression, "import.js") == [expected]


def test_values_that_are_no_objects_have_no_columns(console: Console) -> None:
    expression = "[null, 3, []].map(row => module.record(row))"
    nothing = {"document": None, "embedding": None, "metadata": None}
    assert console.module(expression, "import.js") == [nothing] * 3
