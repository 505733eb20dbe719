// The records of a collection as a table, and the dialogs that show, add, edit and delete them.
import { copyButton } from "./snippets.js";
import { dialog, field, guarded, h, notify, show, typeBack } from "./dom.js";
import { filterBuilder } from "./filter.js";

const PAGE = 50;
const SHORT = 140;

const isSparse = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && Array.isArray(value.indices);

/** A metadata value as a person reads it. */
export function legible(value) {
  if (value === undefined || value === null) return h("span", { class: "soft" }, "–");
  if (isSparse(value)) {
    return h("details", { class: "inline" }, h("summary", {}, `sparse, ${value.indices.length} terms`),
      h("code", {}, value.indices.map((index, at) => `${index}: ${value.values[at]}`).join(", ")));
  }
  if (Array.isArray(value)) return h("span", { class: "chips" }, value.map((item) => h("span", { class: "chip" }, String(item))));
  return text(typeof value === "object" ? JSON.stringify(value) : String(value));
}

/** A text; a long one is opened by a click. `dir=auto` keeps right-to-left text from turning its neighbours around. */
export function text(value) {
  if (value.length <= SHORT) return h("bdi", { dir: "auto" }, value);
  const whole = () => h("bdi", { dir: "auto", class: "long" }, value.length > 100_000 ? value.slice(0, 100_000) : value,
    value.length > 100_000 && h("em", {}, ` … ${(value.length - 100_000).toLocaleString()} characters more`));
  const item = h("details", { class: "inline", ontoggle: () => item.open && item.children.length === 1 && item.append(whole()) },
    h("summary", {}, h("bdi", { dir: "auto" }, `${value.slice(0, SHORT)} …`)));
  return item;
}

/** The metadata keys of some records, commonest first. */
function keysOf(metadatas) {
  const counts = new Map();
  for (const metadata of metadatas) for (const key of Object.keys(metadata ?? {})) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([key]) => key);
}

/** A table of records: `records` has ids, documents, metadatas; `extra` adds a column in front, `onopen` a click. */
export function recordTable(records, columns, { extra = null, chosen = null, onopen } = {}) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Records" }, h("table", {},
    h("thead", {}, h("tr", {}, chosen && h("th", { scope: "col" }, h("span", { class: "hidden" }, "Selected")),
      extra && h("th", { scope: "col" }, extra.title), h("th", { scope: "col" }, "id"), h("th", { scope: "col" }, "document"),
      columns.map((column) => h("th", { scope: "col" }, h("bdi", {}, column))))),
    h("tbody", {}, records.ids.map((id, index) => h("tr", {},
      chosen && h("td", {}, h("input", { type: "checkbox", "aria-label": `Select ${id}`, checked: chosen.has(id), onchange: (event) => (event.target.checked ? chosen.add(id) : chosen.delete(id)) })),
      extra && h("td", { class: "number" }, extra.cell(index)),
      h("th", { scope: "row" }, h("button", { type: "button", class: "plain id", onclick: () => onopen(id) }, h("bdi", { dir: "auto" }, id))),
      h("td", {}, records.documents?.[index] === null || records.documents?.[index] === undefined ? legible(null) : text(records.documents[index])),
      columns.map((column) => h("td", {}, legible(records.metadatas?.[index]?.[column]))))))));
}

/** Everything of one record, with what can be done with it. Resolves to the action: "like", "edit", "deleted" or null. */
export async function openRecord(context, id) {
  const answer = await context.api.get({ ids: [id], include: ["documents", "metadatas", "embeddings", "uris"] }, context.at?.());
  if (answer.ids.length === 0) throw new Error(`The record ${id} is not there any more`);
  const [embedding, metadata] = [answer.embeddings[0], answer.metadatas[0] ?? {}];
  return dialog(`Record ${id}`, (close) => [
    h("h3", {}, "Document"), answer.documents[0] === null ? h("p", { class: "soft" }, "none") : h("p", { class: "document" }, text(answer.documents[0])),
    answer.uris[0] && [h("h3", {}, "URI"), h("p", {}, h("bdi", {}, answer.uris[0]))],
    h("h3", {}, "Metadata"), h("div", { class: "scroll" }, h("table", {}, h("tbody", {}, Object.entries(metadata).map(([key, value]) =>
      h("tr", {}, h("th", { scope: "row" }, h("bdi", {}, key)), h("td", {}, legible(value))))))),
    h("h3", {}, `Embedding, ${embedding.length} dimensions`), h("code", { class: "embedding" }, `[${embedding.slice(0, 12).map((value) => value.toPrecision(4)).join(", ")}${embedding.length > 12 ? ", …" : ""}]`),
    h("p", { class: "actions" },
      h("button", { type: "button", onclick: () => close({ action: "like", id, embedding }) }, "Find records like this one"),
      !context.at?.() && h("button", { type: "button", class: "writes", onclick: () => { close(null); editRecord(context, { id, document: answer.documents[0], metadata }); } }, "Edit"),
      !context.at?.() && h("button", { type: "button", class: "danger writes", onclick: async () => { close(null); await removeRecords(context, [id]); } }, "Delete")),
  ]);
}

/** The dialog that adds a record or, with `existing`, edits one. */
export function editRecord(context, existing = null) {
  return dialog(existing ? `Edit ${existing.id}` : "Add a record", (close) => {
    const id = h("input", { name: "id", value: existing?.id ?? "", required: true, readonly: Boolean(existing) });
    const document_ = h("textarea", { name: "document", rows: "4", value: existing?.document ?? "" });
    const metadata = h("textarea", { name: "metadata", rows: "5", spellcheck: "false", value: JSON.stringify(existing?.metadata ?? {}, null, 2) });
    const embedding = h("textarea", { name: "embedding", rows: "3", spellcheck: "false", placeholder: existing ? "unchanged" : "[0.1, 0.2, …]" });
    return h("form", { onsubmit: guarded(async () => {
      const fields = Object.entries(parse("Metadata", metadata.value || "{}"));
      const removed = Object.keys(existing?.metadata ?? {}).filter((key) => !fields.some(([name]) => name === key));
      const merged = Object.fromEntries([...fields, ...removed.map((key) => [key, null])]);
      const body = { ids: [id.value], metadatas: [Object.keys(merged).length ? merged : null] };
      if (document_.value !== (existing?.document ?? "")) body.documents = [document_.value];
      if (embedding.value.trim()) body.embeddings = [parse("Embedding", embedding.value)];
      await context.api.write(existing ? "update" : "add", body);
      notify(existing ? `${id.value} changed` : `${id.value} added`);
      close(null);
      context.changed();
    }) }, field("id", id), field("Document", document_), field("Metadata (JSON)", metadata),
    field("Embedding (JSON)", embedding, existing ? "empty: it stays" : "empty: the server embeds the document, if the collection has an embedding function"),
    h("p", { class: "actions" }, h("button", { type: "submit" }, existing ? "Save" : "Add")));
  });
}

function parse(what, value) {
  try { return JSON.parse(value); } catch (error) { throw new Error(`${what} is not JSON: ${error.message}`); }
}

/** Delete records after the number, or the single id, was typed back. */
export async function removeRecords(context, ids) {
  const word = ids.length === 1 ? ids[0] : String(ids.length);
  if (!await typeBack("Delete", ids.length === 1 ? `The record ${word} will be deleted.` : `${word} records will be deleted.`, word)) return;
  await context.api.write("delete", { ids });
  notify(ids.length === 1 ? `${word} deleted` : `${word} records deleted`);
  context.changed();
}

/** The tab: filter, page, columns, table. */
export function recordsTab(context) {
  const chosen = new Set();
  let offset = 0, total = null, columns = null, request = null;
  const body = h("div", {}, h("p", { class: "soft" }, "Loading …"));
  const filter = filterBuilder(() => { offset = 0; clearTimeout(timer); timer = setTimeout(load, 250); });
  let timer;
  const asked = () => ({ ...filter.value(), limit: PAGE, offset, include: ["documents", "metadatas"] });

  async function load() {
    request?.abort();
    request = new AbortController();
    try {
      const answer = await context.api.get(asked(), null, request.signal);
      draw(answer);
    } catch (error) {
      if (error.name !== "AbortError") show(body, h("p", { class: "bad", role: "alert" }, error.message));
    }
  }
  function draw(answer) {
    const keys = keysOf(answer.metadatas ?? []);
    columns ??= keys.slice(0, 4);
    const filtered = filter.value().where !== null || filter.value().where_document !== null;
    const known = total !== null && !filtered;
    const last = known ? offset + answer.ids.length >= total : answer.ids.length < PAGE;
    const pager = (label, target, disabled) => h("button", { type: "button", disabled, onclick: () => { offset = target; load(); } }, label);
    show(body, h("div", { class: "bar" },
      h("span", { class: "position" }, answer.ids.length ? `${(offset + 1).toLocaleString()} – ${(offset + answer.ids.length).toLocaleString()}${known ? ` of ${total.toLocaleString()}` : ""}` : "no records"),
      pager("First", 0, offset === 0), pager("Back", Math.max(0, offset - PAGE), offset === 0), pager("Next", offset + PAGE, last),
      known && pager("Last", Math.max(0, Math.floor((total - 1) / PAGE) * PAGE), last),
      h("details", { class: "inline" }, h("summary", {}, "Columns"), [...new Set([...columns, ...keys, ...filter.keys()])].slice(0, 300).map((key) => h("label", { class: "check" },
        h("input", { type: "checkbox", checked: columns.includes(key), onchange: (event) => { columns = event.target.checked ? [...columns, key] : columns.filter((item) => item !== key); draw(answer); } }), h("bdi", {}, key)))),
      h("button", { type: "button", class: "writes", onclick: () => editRecord(context) }, "Add a record"),
      h("button", { type: "button", class: "danger writes", onclick: guarded(() => (chosen.size ? removeRecords(context, [...chosen]) : Promise.reject(new Error("Select records first")))) }, "Delete the selected"),
      copyButton(context.db, context.collection.name, context.api, () => ({ action: "get", body: asked() }))),
    recordTable(answer, columns, { chosen, onopen: guarded(async (id) => context.act(await openRecord(context, id))) }));
  }
  (async () => {
    const [sample, count] = await Promise.all([context.api.get({ limit: 500, include: ["metadatas"] }), context.api.count()]);
    total = count;
    filter.learn(sample.metadatas);
    await load();
  })().catch((error) => show(body, h("p", { class: "bad", role: "alert" }, error.message)));
  return [filter.element, body];
}
