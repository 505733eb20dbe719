"""Excel's workbooks: made by other programs, or byte by byte; hostile ones are refused with the reason."""

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.bulk.formats import xlsx
from afterglow.bulk.report_text import column_lines
from afterglow.bulk.sidecar import from_json
from afterglow.bulk.sources import FileSource, file_source
from afterglow.bulk.types import Compression, FileFormat, ImportRejected, Plan, decode_plan
from afterglow.settings import Settings
from tests.bulk import workbooks
from tests.bulk.files import TARGET, ImportFixture
from tests.bulk.workbooks import parts, row, sheet

FIXTURES = Path(__file__).parent / "workbook_fixtures"
"""Written by openpyxl 3.1.5, pandas 3.1.1 and XlsxWriter 3.3.1."""
HEADER = row(1, "id", "embedding", "value")


def stored(at: ImportFixture) -> dict[str, object]:
    """Document and metadata by id."""
    return {name: record[1:] for name, record in at.contents().items()}


def test_a_workbook_of_openpyxl(at: ImportFixture) -> None:
    """An empty sheet first; numbers, booleans, dates, text that looks like a number, an error, a note beside."""
    report = at.run(FIXTURES / "openpyxl.xlsx")
    assert (report.state, report.reason, report.rows, report.rejected) == ("done", None, 2, 0)
    first = {"year": 1924, "price": 12.5, "sold": True, "when": "1924-11-28", "at": "2024-05-01T12:30:00"}
    second = {"year": 1927, "price": 8.0, "sold": False, "when": "1927-01-02", "at": "2024-05-02T00:00:01"}
    assert stored(at) == {
        "1": ("Zauberberg – 山", {**first, "zip": "01067", "tags": ["a", "b"]}),
        "2": ("A line\nand & another\r", {**second, "zip": "10115", "stock": 3}),
    }
    metadata = "year, price, sold, when, at, zip, tags, stock"
    assert column_lines(report) == [
        f"columns: id from ID; embedding from Embedding; document from Text; metadata from {metadata}",
        "ignored: 'sheet Notes' (only the first sheet with rows is read)",
        "values taken as empty: #N/A in column stock in 1 rows; column M, which has no header in 1 rows",
    ]


def test_a_workbook_of_pandas_with_its_index(at: ImportFixture) -> None:
    """`DataFrame.to_excel`: lists become text, whole floats are written as 4."""
    report = at.run(FIXTURES / "pandas.xlsx")
    assert (report.rows, report.ignored) == (2, {"": "the index of a pandas DataFrame"})
    assert stored(at) == {"x": (None, {"year": 1999, "rating": 4.0}), "y": (None, {"year": 2001, "rating": 4.5})}


def test_a_workbook_of_xlsxwriter(at: ImportFixture) -> None:
    """A table that begins in column B, vectors over columns, a format of dates, formulas with their values."""
    report = at.run(FIXTURES / "xlsxwriter.xlsx")
    assert (report.rows, report.columns["embedding"], report.ignored) == (2, "e0 … e2", {})
    assert stored(at) == {
        "a": ("one", {"day": "2024-01-01", "total": 3.5}),
        "b": ("two", {"day": "2024-01-02", "total": 12.0}),
    }


def test_a_sheet_by_its_name(at: ImportFixture, tmp_path: Path) -> None:
    """Each sheet is an import of its own; without a name it is the first, and then plans are as they were."""
    sheets = {name: sheet(row(1, "id", "embedding"), row(2, name, "[1, 2]")) for name in ("First", "Second", "ÄRA")}
    path = workbooks.write(tmp_path / "a.xlsx", parts({**sheets, "Empty": sheet()}))
    report = at.run(path)
    plan = at.context.store.plan(TARGET, report.id)
    assert plan is not None
    assert b'"sheet"' not in plan.encode()
    for name, expected in (("Second", "Second"), ("ära", "ÄRA"), ("FIRST", "First")):
        report = at.run(path, from_json({"sheet": name}))
        assert (report.state, report.rows, expected in stored(at)) == ("done", 1, True)
        assert set(report.ignored.values()) == {"another sheet was chosen"}
        assert f"sheet {expected}" not in report.ignored
    for name, reason in (
        ("Third", "a.xlsx has no sheet 'Third', only 'First', 'Second', 'ÄRA', 'Empty'"),
        ("Empty", "a.xlsx: 'Empty' has no rows"),
    ):
        report = at.run(path, from_json({"sheet": name}))
        assert (report.state, report.reason) == ("failed", reason)


def test_a_plan_remembers_its_sheet(tmp_path: Path) -> None:
    sheets = {name: sheet(row(1, "id", "embedding"), row(2, name, "[1]")) for name in ("First", "Second")}
    source = of(tmp_path / "a.xlsx", parts(sheets))
    plan = replace(plan_of(source, 10), sheet="Second")
    assert decode_plan(plan.encode(), "plan") == plan
    (chunk,) = xlsx.read_chunks(source, plan, plan.ranges[0], position=0, lines_read=0, settings=Settings())
    assert chunk.batch is not None
    assert list(chunk.batch.ids) == ["Second"]


def of(path: Path, content: dict[str, str]) -> FileSource:
    found = file_source(workbooks.write(path, content))
    assert found is not None
    return found


def plan_of(source: FileSource, batch_rows: int) -> Plan:
    made = xlsx.inspect(source, Compression.NONE, from_json({}), Settings())
    where = (source.key, source.name, source.size, source.version, None, TARGET, "c", made.dimension, FileFormat.XLSX)
    rest = (Compression.NONE, made.columns, ",", made.header, "", batch_rows, made.ranges, 0.0)
    return Plan("p", *where, *rest)


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_reading_continues_after_any_row(batch_rows: int, tmp_path: Path) -> None:
    """Positions are Excel's row numbers; gaps and rows without a value do not matter."""
    numbers = [3, 4, 7, 8, 900]
    rows = [HEADER, row(2), *(row(number, None, "[1, 2]", number) for number in numbers)]
    source = of(tmp_path / "a.xlsx", parts({"Data": sheet(*rows)}))
    plan = plan_of(source, batch_rows)

    def read(position: int, lines: int) -> Iterator[tuple[list[str], int]]:
        chunks = xlsx.read_chunks(
            source, plan, plan.ranges[0], position=position, lines_read=lines, settings=Settings()
        )
        for chunk in chunks:
            yield ([] if chunk.batch is None else list(chunk.batch.ids)), chunk.end

    whole = [name for names, _ in read(0, 0) for name in names]
    assert whole == [f"a.xlsx#{number}" for number in numbers]
    position, found = 0, list[str]()
    while step := next(read(position, position), None):
        found += step[0]
        position = step[1]
    assert (found, position) == (whole, 900)


def test_types_of_columns(at: ImportFixture, tmp_path: Path) -> None:
    """A fraction after whole numbers is kept; text among numbers is text from the first rows on, refused later."""
    rows: list[list[object]] = [["id", "embedding", "n", "mixed", "digits", "metadata"]]
    rows += [[f"k{at}", "[1, 2]", 1, 5 if at else "A1", "17", '{"deep": 1}'] for at in range(201)]
    rows += [["late", "[1, 2]", 2.5, 7.5, "18", None], ["bad", "[1, 2]", "many", 1, "1", None]]
    report = at.run(workbooks.write_rows(tmp_path / "a.xlsx", rows))
    assert (report.rows, report.rejected) == (202, 1)
    found = stored(at)
    assert found["k1"] == (None, {"n": 1, "mixed": "5", "digits": "17", "deep": 1})
    assert found["late"] == (None, {"n": 2.5, "mixed": "7.5", "digits": "18"})
    (problem,) = at.errors(report)
    assert problem["line"] == 204
    assert problem["reason"] == "column n holds 'many', where others hold int: a sidecar can set the type"


@pytest.mark.parametrize(
    ("code", "number", "expected"),
    [
        ("General", "45000.5", 45000.5),
        ("yyyy-mm-dd", "45000", "2023-03-15"),
        ("[$-407]d. mmm yy;@", "45000.5", "2023-03-15T12:00:00"),
        ("hh:mm", "0.75", "18:00:00"),
        ("yyyy", "1", "1900-01-01"),
        ("yyyy", "61", "1900-03-01"),
        ("yyyy", "-3", -3),
        ("[" * 4_000_000, "3", 3),
        ("0", "1" * 500, "1" * 500),
        ("yyyy", "1e300", 1e300),
        ('0.0 "days"', "3", 3),
        (r"0\d", "3", 3),
        ("[Red]0.00", "3", 3),
    ],
)
def test_dates_are_numbers_of_a_style(
    code: str, number: str, expected: object, at: ImportFixture, tmp_path: Path
) -> None:
    escaped = code.replace('"', "&quot;")
    styles = (
        f'<styleSheet><numFmts><numFmt numFmtId="164" formatCode="{escaped}"/></numFmts><cellStyleXfs>'
        '<xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/></cellXfs></styleSheet>'
    )
    data = sheet(HEADER, row(2, "a", "[1]", f'<c s="1"><v>{number}</v></c>'))
    path = workbooks.write(tmp_path / "a.xlsx", parts({"Data": data}, others={"styles": styles}))
    assert at.run(path).rows == 1
    assert stored(at) == {"a": (None, {"value": expected})}


def test_dates_from_1904_on(at: ImportFixture, tmp_path: Path) -> None:
    styles = '<styleSheet><cellXfs><xf numFmtId="14"/></cellXfs></styleSheet>'
    data = sheet(HEADER, row(2, "a", "[1]", "<c><v>1</v></c>"))
    content = parts({"Data": data}, properties='<workbookPr date1904="1"/>', others={"styles": styles})
    at.run(workbooks.write(tmp_path / "a.xlsx", content))
    assert stored(at) == {"a": (None, {"value": "1904-01-02"})}


def test_shared_text_without_how_it_is_spoken(at: ImportFixture, tmp_path: Path) -> None:
    spoken = "<si><r><t>東</t></r><r><t>京 </t></r><rPh><t>トウキョウ</t></rPh></si>"
    texts = f"<sst>{spoken}<si><t>_xD83D_ _x0041_</t></si></sst>"
    data = sheet(
        HEADER,
        row(2, "a", "[1]", '<c t="s"><v>0</v></c>'),
        row(3, "b", "[1]", '<c t="s"><v>1</v></c>'),
        row(4, "c", "[1]", '<c t="s"/>'),
    )
    at.run(workbooks.write(tmp_path / "a.xlsx", parts({"Data": data}, others={"sharedStrings": texts})))
    assert stored(at) == {"a": (None, {"value": "東京 "}), "b": (None, {"value": "_xD83D_ A"}), "c": (None, None)}


def test_an_embedding_that_excel_cut(at: ImportFixture, tmp_path: Path) -> None:
    cut = ("[" + "0.123456789, " * 4_000)[:32_767]
    path = workbooks.write_rows(tmp_path / "a.xlsx", [["id", "embedding"], ["a", "[1, 2]"], ["b", cut]])
    report = at.run(path)
    assert (report.rows, report.rejected) == (1, 1)
    assert at.errors(report)[0]["reason"] == "the embedding was cut as it was written: a cell holds 32767 characters"


def test_other_sheets_are_reported(at: ImportFixture, tmp_path: Path) -> None:
    """Of many sheets some are named; a part that is listed often is read once; rows of buttons are no rows."""
    buttons = sheet(HEADER, row(2, "a", "[1]", 5)).replace("</worksheet>", "<from><row>0</row></from></worksheet>")
    content = parts({"First": buttons, **{f"S{number}": sheet(row(1, 1)) for number in range(30)}})
    repeated = '<sheet name="Again" r:id="r1"/>' * 5_000
    content[MAIN] = content[MAIN].replace("</sheets>", f"{repeated}</sheets>")
    report = at.run(workbooks.write(tmp_path / "a.xlsx", content))
    assert (report.rows, stored(at)) == (1, {"a": (None, {"value": 5})})
    assert list(report.ignored) == [*(f"sheet S{number}" for number in range(20)), "10 further sheets"]


SOUND = parts({"Data": sheet(HEADER, row(2, "a", "[1]", 5))})
MAIN = "xl/workbook.xml"
SHEET = "xl/worksheets/sheet0.xml"
ENTITY = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("part", "content", "expected"),
    [
        (SHEET, f"{ENTITY}<worksheet>&b;</worksheet>", "declares a document type, which no workbook has"),
        (MAIN, f"{ENTITY}<workbook/>", "declares a document type"),
        (SHEET, "<worksheet><sheetData>", "sheet0.xml is not XML: no element found"),
        (SHEET, sheet(HEADER, row(2), row(2)), "row 2 follows row 2"),
        (SHEET, sheet(row(1, '<c r="ZZZ1"><v>1</v></c>')), "row 1 has a cell 'ZZZ1'"),
        (SHEET, sheet(row(1, '<c t="s"><v>9</v></c>')), "row 1 has text 9, which is not there"),
        (SHEET, sheet(row(1, "id", "id")), "has no header of distinct names: 'id' several times"),
        (SHEET, sheet(row(1), row(2)), "a.xlsx has no sheet with rows"),
        (
            SHEET,
            sheet(row(1, "x", "y"), row(2, 1, 2)),
            "its columns are 'x', 'y', of which none holds lists of numbers",
        ),
        (SHEET, f'<worksheet a="{"x" * 5_000_000}"/>', "a tag of more than 4194304 bytes"),
        (SHEET, sheet(HEADER, row(2, "x" * 3000)), "row 2 has more than 2000 characters"),
        (SHEET, sheet(HEADER, *["<row/>" * 1_000_000] * 12), "expands to more than 67108864: AFTERGLOW_IMPORT_MAX_"),
    ],
)
def test_hostile_parts(part: str, content: str, expected: str, tmp_path: Path) -> None:
    source = of(tmp_path / "a.xlsx", {**SOUND, part: content})
    settings = replace(Settings(), import_max_line_bytes=2000)
    with pytest.raises(ImportRejected) as raised:
        xlsx.inspect(source, Compression.NONE, from_json({}), settings)
    assert expected in raised.value.message


def test_shared_text_is_bounded(tmp_path: Path) -> None:
    texts = "<sst>" + "<si><t>a</t></si>" * 2_000 + "</sst>"
    source = of(tmp_path / "a.xlsx", parts({"Data": sheet(HEADER)}, others={"sharedStrings": texts}))
    with pytest.raises(ImportRejected, match=r"more than 100000 bytes of text: save it as \.csv"):
        xlsx.inspect(source, Compression.NONE, from_json({}), replace(Settings(), import_memory_bytes=800_000))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is encrypted, or an old workbook"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save it as .xlsx or .csv, without a password"),
        ("a.xls", b"<html><table>", "a.xls is no whole Excel workbook: File is not a zip file; save it as"),
        ("a.xlsx", b"PK", "is no whole Excel workbook"),
    ],
)
def test_files_that_are_no_workbooks(
    name: str, content: bytes, expected: str, at: ImportFixture, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    report = at.run(tmp_path / name)
    assert report.state == "failed"
    assert expected in (report.reason or "")


def test_a_zip_without_a_workbook(tmp_path: Path) -> None:
    source = of(tmp_path / "a.xlsx", {"hello.txt": "x"})
    with pytest.raises(ImportRejected, match=r"no Excel workbook: it has no part _rels/\.rels"):
        xlsx.inspect(source, Compression.NONE, from_json({}), Settings())


def test_a_damaged_workbook_is_refused_at_every_byte(tmp_path: Path) -> None:
    """A cut, or a flipped bit, ends in a reason or in the same columns; never in another error."""
    whole = workbooks.write(tmp_path / "whole.xlsx", SOUND).read_bytes()
    path = tmp_path / "a.xlsx"
    for offset in range(0, len(whole), 13):
        for content in (whole[:offset], whole[:offset] + bytes([whole[offset] ^ 0x55]) + whole[offset + 1 :]):
            path.write_bytes(content)
            source = file_source(path)
            assert source is not None
            try:
                found = xlsx.inspect(source, Compression.NONE, from_json({}), Settings())
            except ImportRejected:
                continue
            assert found.columns.embedding == "embedding"


def test_the_sizes_in_the_directory_bind(tmp_path: Path) -> None:
    """A part that expands to more than its size says is not read further."""
    path = workbooks.write(tmp_path / "a.xlsx", SOUND, zipfile.ZIP_STORED)
    large = sheet(HEADER, row(2, "a", "[1]", 5), " " * 1_000_000)
    workbooks.write(path, {**SOUND, SHEET: large})
    size = len(large).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (2_000).to_bytes(4, "little")))
    source = file_source(path)
    assert source is not None
    with pytest.raises(ImportRejected, match=r"is damaged: part xl/worksheets/sheet0\.xml: Bad CRC-32"):
        xlsx.inspect(source, Compression.NONE, from_json({}), Settings())
