// Import: a dropped JSON Lines, JSON or CSV file or Excel workbook becomes upserts; rejected rows are listed with their reasons.
import { columnLines, columnsOf, recordOf } from "./columns.js";
import { guarded, h, show } from "./dom.js";
import { listed, workbook } from "./workbook.js";

const BATCH = 200;

/** The rows of a text by its file's name. Raises Error for a format that is not known. */
export function rowsOf(name, content) {
  const kind = name.toLowerCase().split(".").pop();
  if (kind === "jsonl" || kind === "ndjson") return lines(content);
  if (kind === "json") {
    let parsed;
    try { parsed = JSON.parse(content); } catch (error) {
      const rows = lines(content);  // JSON Lines under another name
      if (rows.some((item) => item.error)) throw error;
      return rows;
    }
    if (Array.isArray(parsed)) return parsed.map((row, index) => ({ line: index + 1, row }));
    if (Array.isArray(parsed.ids)) return parsed.ids.map((id, index) => ({ line: index + 1, row: { id, document: parsed.documents?.[index], embedding: parsed.embeddings?.[index], metadata: parsed.metadatas?.[index] } }));
    throw new Error("The JSON is neither a list of rows nor an answer of get()");
  }
  if (kind === "csv" || kind === "tsv") return table(content, separatorOf(content.slice(0, content.search(/\n|$/))));
  throw new Error(`${name}: drop a .jsonl, .json, .csv, .tsv or .xlsx file; the command \`afterglow import\` reads Parquet and more`);
}

function lines(content) {
  return content.split("\n").map((line, index) => ({ line: index + 1, text: line })).filter(({ text }) => text.trim() !== "")
    .map(({ line, text }) => { try { return { line, row: JSON.parse(text) }; } catch (error) { return { line, error: `not JSON: ${error.message}` }; } });
}

/** The rows of a file, and the names of the sheets that were not read; `sheet` is that of a workbook. Raises Error. */
export async function readFile(file, sheet = "") {
  if (/\.xls[xm]$/i.test(file.name)) return await workbook(new Uint8Array(await file.arrayBuffer()), sheet);
  return { rows: rowsOf(file.name, await file.text()), others: [] };
}

/** The separator that the header has most often, as `afterglow import` finds it. */
function separatorOf(header) {
  const count = (sign) => header.split(sign).length;
  return [",", "\t", ";", "|"].reduce((best, sign) => count(sign) > count(best) ? sign : best);
}

function table(content, separator) {
  const rows = [];
  let fields = [], value = "", quoted = false, line = 1, start = 1;
  for (let at = 0; at < content.length; at++) {
    const sign = content[at];
    if (sign === "\n") line++;
    if (quoted) {
      if (sign === '"' && content[at + 1] === '"') { value += '"'; at++; } else if (sign === '"') quoted = false; else value += sign;
    } else if (sign === '"' && value === "") quoted = true;
    else if (sign === separator) { fields.push(value); value = ""; }
    else if (sign === "\n") { rows.push({ line: start, fields: [...fields, value.replace(/\r$/, "")] }); fields = []; value = ""; start = line; }
    else value += sign;
  }
  if (quoted) throw new Error(`A quote opened at line ${start} is never closed`);
  if (value !== "" || fields.length) rows.push({ line: start, fields: [...fields, value] });
  const [head, ...rest] = rows;
  return rest.map(({ line, fields }) => ({ line, row: Object.fromEntries(head.fields.map((name, index) => [name, scalar(fields[index])]).filter(([, item]) => item !== undefined)) }));
}

function scalar(text) {
  if (text === undefined || text === "") return undefined;
  if (text.startsWith("[")) { try { return JSON.parse(text); } catch { return text; } }
  if (text === "true" || text === "false") return text === "true";
  return /^-?(0|[1-9]\d{0,14})(\.\d+)?([eE][-+]?\d+)?$/.test(text) ? Number(text) : text;
}

/** A row as a record `{id, document, embedding, metadata}`. */
export function record(row, columns = columnsOf([row])) {
  const found = recordOf(row, columns);
  return { ...found, embedding: listed(found.embedding) };
}

function bodyOf(rows) {
  const body = { ids: rows.map((item) => item.record.id), documents: rows.map((item) => item.record.document), metadatas: rows.map((item) => item.record.metadata) };
  if (rows.some((item) => item.record.embedding !== null)) body.embeddings = rows.map((item) => item.record.embedding);
  if (body.documents.every((item) => item === null)) delete body.documents;
  return body;
}

/** Upsert a batch; a refused batch is halved until the rows at fault are found. Other errors are raised. */
export async function upsert(api, rows, rejected) {
  if (rows.length === 0) return 0;
  try {
    await api.write("upsert", bodyOf(rows));
    return rows.length;
  } catch (error) {
    if (![400, 413, 422].includes(error.status)) throw error;
    if (rows.length === 1) { rejected.push({ line: rows[0].line, reason: error.message }); return 0; }
    const half = rows.length >> 1;
    return await upsert(api, rows.slice(0, half), rejected) + await upsert(api, rows.slice(half), rejected);
  }
}

/** The tab. */
export function importTab(context) {
  const bar = h("progress", { value: "0", max: "1", hidden: true });
  const report = h("div", { "aria-live": "polite" });
  const run = guarded(async (file) => {
    const { rows, others } = await readFile(file, sheet.value.trim());
    const rejected = rows.filter((item) => item.error).map(({ line, error }) => ({ line, reason: error }));
    const columns = columnsOf(rows.filter((item) => !item.error).map(({ row }) => row));
    const records = rows.filter((item) => !item.error).map(({ line, row }) => ({ line, record: record(row, columns) }));
    const sound = records.filter((item) => item.record.id !== undefined || (rejected.push({ line: item.line, reason: "no id" }), false));
    let written = 0;
    bar.hidden = false;
    for (let at = 0; at < sound.length; at += BATCH) {
      written += await upsert(context.api, sound.slice(at, at + BATCH), rejected);
      bar.value = Math.min(1, (at + BATCH) / sound.length);
      show(report, `${written.toLocaleString()} of ${rows.length.toLocaleString()} rows`);
    }
    bar.value = 1;
    show(report, h("p", {}, `${file.name}: ${written.toLocaleString()} rows written, ${rejected.length.toLocaleString()} rejected.`),
      columnLines(columns).map((line) => h("p", { class: "soft" }, h("bdi", { dir: "auto" }, line))),
      others.length > 0 && h("p", { class: "soft" }, "Only the first sheet with rows is read, unless another one is named. Not read: ", h("bdi", { dir: "auto" }, others.join(", "))),
      rejected.length > 0 && h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "row"), h("th", { scope: "col" }, "reason"))),
        h("tbody", {}, rejected.slice(0, 200).map(({ line, reason }) => h("tr", {}, h("td", { class: "number" }, line), h("td", {}, h("bdi", { dir: "auto" }, reason)))))));
    context.counted();
  });
  const sheet = h("input", { type: "text", placeholder: "the first with rows" });
  const input = h("input", { type: "file", accept: ".jsonl,.ndjson,.json,.csv,.tsv,.xlsx,.xlsm", onchange: (event) => event.target.files[0] && run(event.target.files[0]) });
  const drop = h("div", { class: "drop",
    ondragover: (event) => { event.preventDefault(); drop.classList.add("over"); },
    ondragleave: () => drop.classList.remove("over"),
    ondrop: (event) => { event.preventDefault(); drop.classList.remove("over"); if (event.dataTransfer.files[0]) run(event.dataTransfer.files[0]); } },
  h("p", {}, "Drop a file here: JSON Lines, JSON, CSV, TSV or an Excel workbook"), h("label", {}, h("span", { class: "hidden" }, "Choose a file"), input),
  h("label", {}, "Sheet of a workbook ", sheet),
  h("p", { class: "soft" }, "Columns id, document and embedding are taken by these names; the others become metadata. Rows with a known id replace the record."));
  return [drop, bar, report];
}
