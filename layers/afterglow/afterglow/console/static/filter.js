// The filter builder: rows of key, operator and value become `where`; texts become `where_document`.
import { field, h, show } from "./dom.js";

const OPERATORS = [["$eq", "="], ["$ne", "≠"], ["$gt", ">"], ["$gte", "≥"], ["$lt", "<"], ["$lte", "≤"],
  ["$in", "one of"], ["$nin", "none of"], ["$contains", "holds"], ["$not_contains", "does not hold"]];
const DOCUMENT = [["$contains", "contains"], ["$not_contains", "does not contain"], ["$regex", "matches"], ["$not_regex", "does not match"]];

/** Keys and their commonest values in some records: `Map(key → Map(value → count))`. */
export function facts(metadatas) {
  const found = new Map();
  for (const metadata of metadatas) {
    for (const [key, value] of Object.entries(metadata ?? {})) {
      if (!found.has(key)) found.set(key, new Map());
      const counts = found.get(key);
      for (const item of Array.isArray(value) ? value : [value]) {
        if (typeof item === "object") continue;
        if (counts.size < 500 || counts.has(item)) counts.set(item, (counts.get(item) ?? 0) + 1);
      }
    }
  }
  return found;
}

/** What was typed as a value of the key: of the type that the key's values have, else as it reads. */
export function typed(text, known) {
  const types = new Set([...(known?.keys() ?? [])].map((value) => typeof value));
  const word = text.trim();
  if (types.size === 1 && types.has("string")) return text;
  if (word === "true" || word === "false") return word === "true";
  if (word !== "" && Number.isFinite(Number(word))) return Number(word);
  return text;
}

/** `where` of the rows `{key, operator, value}`, joined by `$and` or `$or`; null without rows. */
export function where(rows, join, known) {
  const clauses = rows.filter((row) => row.key !== "" && row.value !== "").map(({ key, operator, value }) => {
    const values = known.get(key);
    const operand = operator === "$in" || operator === "$nin"
      ? value.split(",").map((item) => typed(item.trim(), values)) : typed(value, values);
    return { [key]: { [operator]: operand } };
  });
  if (clauses.length === 0) return null;
  return clauses.length === 1 ? clauses[0] : { [join]: clauses };
}

const options = (items, chosen) => items.map(([value, text]) => h("option", { value, selected: value === chosen }, text));

/** The builder: an element, `value()` → `{where, where_document}`, `learn(metadatas)`; `onchange` after every edit. */
export function filterBuilder(onchange) {
  const rows = [];
  let join = "$and", known = new Map(), text = "", textOperator = "$contains", raw = null;
  const list = h("div", { class: "filter-rows" });
  const written = h("code", { class: "written", "aria-label": "The filter as JSON" });
  const element = h("fieldset", { class: "filter" }, h("legend", {}, "Filter"));
  const problem = h("p", { class: "bad", role: "alert" });

  function value() {
    if (raw !== null) return { where: null, where_document: null, ...raw };
    return { where: where(rows, join, known), where_document: text ? { [textOperator]: text } : null };
  }
  function changed() {
    const now = Object.fromEntries(Object.entries(value()).filter(([, part]) => part !== null));
    show(written, Object.keys(now).length ? JSON.stringify(now) : "no filter");
    onchange();
  }
  function draw() {
    const names = h("datalist", { id: "filter-keys" }, [...known.keys()].map((key) => h("option", { value: key })));
    show(list, names, rows.map((row, index) => {
      const values = h("datalist", { id: `filter-values-${index}` });
      const offer = () => show(values, [...(known.get(row.key) ?? new Map())].sort((a, b) => b[1] - a[1]).slice(0, 50)
        .map(([item]) => h("option", { value: String(item) })));
      offer();
      return h("div", { class: "filter-row" }, values,
        h("input", { "aria-label": "Key", placeholder: "key", list: "filter-keys", value: row.key, oninput: (event) => { row.key = event.target.value; offer(); changed(); } }),
        h("select", { "aria-label": "Operator", onchange: (event) => { row.operator = event.target.value; changed(); } }, options(OPERATORS, row.operator)),
        h("input", { "aria-label": "Value", placeholder: "value", list: `filter-values-${index}`, value: row.value, oninput: (event) => { row.value = event.target.value; changed(); } }),
        h("button", { type: "button", class: "plain", "aria-label": "Remove this condition", onclick: () => { rows.splice(index, 1); draw(); changed(); } }, "×"));
    }),
    h("div", { class: "actions" },
      h("button", { type: "button", onclick: () => { rows.push({ key: "", operator: "$eq", value: "" }); draw(); list.querySelector(".filter-row:last-of-type input")?.focus(); } }, "Add a condition"),
      rows.length > 1 && field("Join", h("select", { onchange: (event) => { join = event.target.value; changed(); } }, options([["$and", "all hold"], ["$or", "one holds"]], join)))));
  }
  const document_ = h("div", { class: "filter-row" },
    h("span", { class: "soft" }, "document"),
    h("select", { "aria-label": "Document operator", onchange: (event) => { textOperator = event.target.value; changed(); } }, options(DOCUMENT, textOperator)),
    h("input", { "aria-label": "Document text", placeholder: "text", oninput: (event) => { text = event.target.value; changed(); } }));
  const byHand = h("details", {}, h("summary", {}, "Write it as JSON"),
    h("textarea", { rows: "3", "aria-label": "where and where_document as JSON", placeholder: '{"where": {"year": {"$gt": 2000}}}', oninput: (event) => {
      try {
        raw = event.target.value.trim() === "" ? null : JSON.parse(event.target.value);
        show(problem);
        changed();
      } catch (error) { show(problem, `Not JSON: ${error.message}`); }
    } }), problem);
  element.append(list, document_, written, byHand);
  draw();
  show(written, "no filter");
  return {
    element, value,
    learn(metadatas) { known = facts(metadatas); draw(); },
    keys: () => [...known.keys()],
    set(key, operator, item) { rows.push({ key, operator, value: String(item) }); draw(); changed(); },
  };
}
