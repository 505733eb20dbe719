// What a collection is, and what can be done with it as a whole; the dialog for a new one.
import { dialog, field, guarded, h, notify, show, typeBack } from "./dom.js";

/** The tab. */
export function aboutTab(context) {
  const { collection, api, db } = context;
  const status = h("p", { class: "soft" }, "…");
  api.status().then((now) => show(status, `${now.num_indexed_ops.toLocaleString()} operations indexed, ${now.num_unindexed_ops.toLocaleString()} waiting`), (error) => show(status, error.message));
  const name = h("input", { value: collection.name, "aria-label": "New name" });
  const row = (title, value) => h("tr", {}, h("th", { scope: "row" }, title), h("td", {}, value));
  return [
    h("table", { class: "facts" }, h("tbody", {}, row("id", h("code", {}, collection.id)), row("dimension", collection.dimension ?? "set by the first record"), row("space", collection.space),
      row("log position", collection.log_position ?? "–"), row("indexing", status), row("embedding function", h("code", {}, JSON.stringify(collection.configuration_json?.embedding_function ?? null))),
      row("metadata", h("code", {}, JSON.stringify(collection.metadata))), row("index", h("code", {}, JSON.stringify(collection.configuration_json?.hnsw ?? null))))),
    h("form", { class: "bar writes", onsubmit: guarded(async () => { await api.update({ new_name: name.value }); notify(`renamed to ${name.value}`); context.reload(name.value); }) }, field("Name", name), h("button", { type: "submit" }, "Rename")),
    h("p", { class: "actions writes" }, h("button", { type: "button", class: "danger", onclick: guarded(async () => {
      if (!await typeBack("Delete", `The collection ${collection.name} and all of its records will be deleted.`, collection.name)) return;
      await db.remove(collection.name);
      notify(`${collection.name} deleted`);
      context.reload(null);
    }) }, "Delete the collection")),
  ];
}

/** The dialog for a new collection; resolves to its name or null. */
export function newCollection(db) {
  return dialog("New collection", (close) => {
    const name = h("input", { name: "name", required: true, minlength: "3" });
    const space = h("select", { name: "space" }, ["l2", "cosine", "ip"].map((value) => h("option", { value }, value)));
    return h("form", { onsubmit: guarded(async () => {
      await db.create({ name: name.value, configuration: { hnsw: { space: space.value } } });
      close(name.value);
    }) }, field("Name", name), field("Distance", space, "l2: squared Euclidean; cosine; ip: inner product"), h("p", { class: "actions" }, h("button", { type: "submit" }, "Create")));
  });
}
