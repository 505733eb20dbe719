"""Excel workbooks, byte by byte: sound ones, and what no program writes."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def row(number: int, *values: object) -> str:
    """A row from column A on; None is an empty cell, text that begins with < is a cell as it is."""
    return f'<row r="{number}">' + "".join(_cell(value) for value in values) + "</row>"


def _cell(value: object) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value!r}</v></c>"
    text = str(value)
    return text if text.startswith("<") else f'<c t="inlineStr"><is><t>{escape(text)}</t></is></c>'


def sheet(*rows: str) -> str:
    """The part of a sheet."""
    return f'<?xml version="1.0"?><worksheet xmlns="{_MAIN}"><sheetData>{"".join(rows)}</sheetData></worksheet>'


def parts(
    sheets: Mapping[str, str], *, properties: str = "", others: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The parts of a workbook with these sheets; `others` are further ones, by their kind."""
    kinds = [(f"worksheets/sheet{at}.xml", "worksheet", part) for at, part in enumerate(sheets.values())]
    kinds += [(f"{kind}.xml", kind, part) for kind, part in (others or {}).items()]
    relations = "".join(
        f'<Relationship Id="r{at}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for at, (target, kind, _) in enumerate(kinds)
    )
    listed = "".join(f'<sheet name="{name}" r:id="r{at}"/>' for at, name in enumerate(sheets))
    main = f'<Relationship Id="m" Type="{_RELATIONS}/officeDocument" Target="/xl/workbook.xml"/>'
    return {
        "_rels/.rels": f"<Relationships>{main}</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns:r="{_RELATIONS}">{properties}<sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f"<Relationships>{relations}</Relationships>",
        **{f"xl/{target}": part for target, _, part in kinds},
    }


def write(path: Path, content: Mapping[str, str], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """The archive of these parts."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, part in content.items():
            archive.writestr(name, part)
    return path


def write_rows(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """A workbook with one sheet of these rows."""
    return write(path, parts({"Data": sheet(*(row(number, *values) for number, values in enumerate(rows, 1)))}))
