// Excel workbooks (.xlsx, .xlsm): the rows of a sheet, as `afterglow import` reads them.
// A zip archive of XML parts; what expands to more than MAX_EXPANDED is refused before it is read.

const MAX_BYTES = 64 << 20, MAX_EXPANDED = 128 << 20, MAX_PARTS = 10_000, MAX_COLUMNS = 16_384;
const END = 0x06054b50, ENTRY = 0x02014b50, LOCAL = 0x04034b50, COMMENT_BYTES = 65_535, ENCRYPTED = 1, STORED = 0, DEFLATED = 8;
const ELSEWHERE = "the command `afterglow import` reads larger ones";
const DAY = 86_400_000, MAX_WHOLE = 2 ** 53;

/** The parts of the archive by their names in lower case. Raises Error if the file is none. */
class Parts {
  constructor(bytes) {
    if (bytes.length > MAX_BYTES) throw new Error(`The workbook has more than ${MAX_BYTES >> 20} MiB: ${ELSEWHERE}`);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.left = MAX_EXPANDED;
    this.entries = new Map();
    if (bytes.length >= 8 && this.view.getUint32(0) === 0xd0cf11e0) throw new Error("The workbook is encrypted, or one of Excel before 2007 (.xls): save it as .xlsx or .csv, without a password");
    try { this.list(); } catch (error) { if (error instanceof RangeError) throw broken(); throw error; }
  }

  list() {
    const { view, bytes } = this;
    let end = bytes.length - 22;
    while (end >= 0 && end >= bytes.length - 22 - COMMENT_BYTES && view.getUint32(end, true) !== END) end--;
    if (end < 0 || view.getUint32(end, true) !== END) throw broken();
    const count = view.getUint16(end + 10, true);
    if (count > MAX_PARTS) throw new Error(`The workbook has ${count} parts, of ${MAX_PARTS} that are read`);
    let at = view.getUint32(end + 16, true);
    for (let number = 0; number < count; number++) {
      if (view.getUint32(at, true) !== ENTRY) throw broken();
      const length = view.getUint16(at + 28, true);
      const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + length));
      this.entries.set(name.toLowerCase().replace(/^\/+/, ""), {
        flags: view.getUint16(at + 8, true), method: view.getUint16(at + 10, true), packed: view.getUint32(at + 20, true),
        size: view.getUint32(at + 24, true), start: view.getUint32(at + 42, true) });
      at += 46 + length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    }
  }

  has(name) { return this.entries.has(name.toLowerCase()); }

  /** The document of a part. Raises Error. */
  async parse(name) {
    const document = new DOMParser().parseFromString(await this.text(name), "application/xml");
    if (document.getElementsByTagName("parsererror").length) throw new Error(`The workbook's part ${name} is no XML`);
    return document;
  }

  async text(name) {
    const entry = this.entries.get(name.toLowerCase());
    if (!entry) throw new Error(`The file is no Excel workbook: it has no part ${name}`);
    if (entry.flags & ENCRYPTED || ![STORED, DEFLATED].includes(entry.method)) throw new Error(`The workbook's part ${name} is encrypted, or compressed by other than Deflate`);
    this.left -= entry.size;
    if (this.left < 0) throw new Error(`The workbook expands to more than ${MAX_EXPANDED >> 20} MiB: ${ELSEWHERE}`);
    if (entry.start + 30 > this.bytes.length || this.view.getUint32(entry.start, true) !== LOCAL) throw broken();
    const begin = entry.start + 30 + this.view.getUint16(entry.start + 26, true) + this.view.getUint16(entry.start + 28, true);
    const packed = this.bytes.subarray(begin, begin + entry.packed);
    const text = new TextDecoder().decode(await expand(packed, entry));
    // Entities, which a document type declares, could make a small text a huge one.
    if (text.includes("<!DOCTYPE")) throw new Error(`The workbook's part ${name} has a document type`);
    return text;
  }

  /** Kind and target of a part's relations by their ids. */
  async related(name) {
    const slash = name.lastIndexOf("/");
    const folder = name.slice(0, slash + 1), relations = `${folder}_rels/${name.slice(slash + 1)}.rels`;
    const found = new Map();
    if (!this.has(relations)) return found;
    for (const item of all(await this.parse(relations), "Relationship")) {
      const target = new URL(item.getAttribute("Target") ?? "", `file:///${folder}`).pathname.slice(1);
      found.set(item.getAttribute("Id"), { kind: (item.getAttribute("Type") ?? "").split("/").pop(), target: decodeURIComponent(target) });
    }
    return found;
  }
}

function broken() { return new Error("The file is no whole Excel workbook: save it as .xlsx or .csv"); }

/** The content of a part; never more than the size that the archive states. */
async function expand(packed, { method, size }) {
  if (method === STORED) return packed.subarray(0, size);
  const content = new Uint8Array(size);
  let at = 0;
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      if (at + piece.value.length > size) throw broken();
      content.set(piece.value, at);
      at += piece.value.length;
    }
  } catch { throw broken(); } finally { reader.cancel().catch(() => {}); }
  if (at !== size) throw broken();
  return content;
}

const all = (node, name) => [...node.getElementsByTagNameNS("*", name)];
const first = (node, name) => node.getElementsByTagNameNS("*", name)[0];
const attribute = (node, name) => [...node.attributes].find((item) => item.localName === name)?.value;

/** The text of an element, without how it is spoken; characters that XML cannot hold are written as _x000D_. */
function written(node) {
  const text = all(node, "t").filter((item) => item.parentNode.localName !== "rPh").map((item) => item.textContent).join("");
  return unescaped(text);
}

const unescaped = (text) => text.replace(/_x(?![Dd][89A-Fa-f])([0-9A-Fa-f]{4})_/g, (_, code) => String.fromCharCode(parseInt(code, 16)));

/** The numbers of the styles by which a number is a date or a time. */
function dateStyles(document) {
  const own = new Map(all(document, "numFmt").map((item) => [Number(item.getAttribute("numFmtId")), isDate(item.getAttribute("formatCode") ?? "")]));
  const cells = first(document, "cellXfs");
  const numbers = cells ? all(cells, "xf").map((item) => Number(item.getAttribute("numFmtId"))) : [];
  const known = (number) => (number >= 14 && number <= 22) || (number >= 27 && number <= 36) || (number >= 45 && number <= 47) || (number >= 50 && number <= 58);
  return new Set(numbers.flatMap((number, style) => (own.get(number) ?? known(number)) ? [style] : []));
}

function isDate(code) {
  const bare = code.slice(0, 255).split(";")[0].replace(/"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|General/gi, "");
  return /[dmyhs]/i.test(bare);
}

/** A date, a time of the day (less than a day), or both; the number if it is neither. */
function dated(days, is1904) {
  const moment = new Date(Date.UTC(is1904 ? 1904 : 1899, is1904 ? 0 : 11, is1904 ? 1 : 30) + Math.round((!is1904 && days >= 1 && days < 60 ? days + 1 : days) * DAY));
  if (days < 0 || Number.isNaN(moment.getTime()) || moment.getUTCFullYear() > 9999) return days;
  const [date, time] = moment.toISOString().slice(0, -1).split("T");
  const short = time.replace(/\.000$/, "");
  if (days < 1) return short;
  return short === "00:00:00" ? date : `${date}T${short}`;
}

/** The value of a cell; undefined if it is empty or an error such as #N/A. */
function valueOf(cell, book) {
  const kind = cell.getAttribute("t") ?? "n", text = first(cell, "v")?.textContent ?? "";
  if (kind === "inlineStr") return written(cell) || undefined;
  if (text === "" || kind === "e") return undefined;
  if (kind === "s") return book.texts[Number(text)] || undefined;
  if (kind === "b") return text.trim() === "1" || text.trim() === "true";
  if (kind === "n") {
    const number = Number(text);
    if (!Number.isFinite(number)) return text;
    return book.dates.has(Number(cell.getAttribute("s") ?? 0)) ? dated(number, book.is1904) : number;
  }
  return unescaped(text);
}

/** The column of a cell from 0, by its letters. */
function columnOf(cell, previous) {
  const match = /^([A-Za-z]{1,3})\d+$/.exec(cell.getAttribute("r") ?? "");
  const column = match ? [...match[1].toUpperCase()].reduce((sum, letter) => 26 * (sum + 1) + letter.charCodeAt(0) - 65, -1) : previous + 1;
  if (column >= MAX_COLUMNS) throw new Error(`The workbook has a cell in column ${column + 1}, of ${MAX_COLUMNS} that are read`);
  return column;
}

/** The rows of a sheet that have a value: their numbers, as Excel shows them, and the values by column. */
function sheetRows(document, book) {
  const rows = [];
  const data = first(document, "sheetData");
  let line = 0;
  for (const row of data ? all(data, "row") : []) {
    line = Number(row.getAttribute("r") ?? line + 1);
    const cells = new Map();
    let column = -1;
    for (const cell of all(row, "c")) {
      column = columnOf(cell, column);
      const value = valueOf(cell, book);
      if (value !== undefined && value !== "") cells.set(column, value);
    }
    if (cells.size) rows.push({ line, cells });
  }
  return rows;
}

/** Rows `{line, row}` of a sheet, the first with rows if `wanted` is empty, and the names of those that were not read. Raises Error. */
export async function workbook(bytes, wanted = "") {
  if (typeof DecompressionStream === "undefined") throw new Error("This browser cannot expand workbooks: save it as .csv");
  const parts = new Parts(bytes);
  const main = [...(await parts.related("")).values()].find(({ kind }) => kind === "officeDocument")?.target ?? "xl/workbook.xml";
  const relations = await parts.related(main), document = await parts.parse(main);
  const part = (kind) => [...relations.values()].find((item) => item.kind === kind && parts.has(item.target))?.target;
  const texts = part("sharedStrings"), styles = part("styles");
  const book = {
    texts: texts ? all(await parts.parse(texts), "si").map(written) : [],
    dates: styles ? dateStyles(await parts.parse(styles)) : new Set(),
    is1904: ["1", "true"].includes(first(document, "workbookPr")?.getAttribute("date1904")),
  };
  const every = all(document, "sheet").map((item) => ({ name: item.getAttribute("name"), isHidden: (item.getAttribute("state") ?? "visible") !== "visible", ...relations.get(attribute(item, "id")) }))
    .filter(({ kind }) => kind === "worksheet").sort((one, other) => one.isHidden - other.isHidden);
  const same = ({ name }) => (name ?? "").toLowerCase() === wanted.toLowerCase();
  if (wanted && !every.some(same)) throw new Error(`The workbook has no sheet "${wanted}", only ${every.map(({ name }) => name).join(", ")}`);
  const sheets = wanted ? every.filter(same) : every;
  const parsed = new Set();
  for (const [at, { target }] of sheets.entries()) {
    if (parsed.has(target.toLowerCase())) continue;
    parsed.add(target.toLowerCase());
    const [head, ...rest] = sheetRows(await parts.parse(target), book);
    if (!head) continue;
    const names = [...head.cells].map(([column, name]) => [column, String(name).trim()]);
    if (new Set(names.map(([, name]) => name)).size < names.length) throw new Error("The workbook has no header of distinct names");
    const rows = rest.map(({ line, cells }) => ({ line, row: Object.fromEntries(names.filter(([column]) => cells.has(column)).map(([column, name]) => [name, listed(cells.get(column))])) }));
    return { rows, others: wanted ? [] : sheets.slice(at + 1).map(({ name }) => name) };
  }
  throw new Error(wanted ? `The sheet "${wanted}" has no rows` : "The workbook has no sheet with rows");
}

/** Text of a list is a list: an embedding. */
export function listed(value) {
  if (typeof value !== "string" || !value.startsWith("[")) return value;
  try { return JSON.parse(value); } catch { return value; }
}
