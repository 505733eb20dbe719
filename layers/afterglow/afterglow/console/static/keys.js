// The API keys of a tenant: what there is, a new one, shown once, and the end of one.
import { call } from "./api.js";
import { dialog, field, guarded, h, notify, show, typeBack } from "./dom.js";

const ROLES = ["reader", "writer", "admin"];

const filtersOf = (key) => Object.entries(key.filters ?? {}).map(([collection, where]) => `${collection}: ${JSON.stringify(where)}`).join("; ");

/** The dialog. `databases` are the names of the tenant's. */
export function manageKeys(tenant, databases) {
  const base = `/tenants/${encodeURIComponent(tenant)}/keys`;
  const list = h("div", {}, h("p", { class: "soft" }, "Loading …"));
  const load = async () => {
    const keys = await call("GET", base);
    show(list, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Keys" }, h("table", {},
      h("thead", {}, h("tr", {}, ["id", "name", "role", "databases", "filters", "created", "by", "revoke"].map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", {}, keys.map((key) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, key.id)), h("td", {}, h("bdi", { dir: "auto" }, key.name)), h("td", {}, key.role),
        h("td", {}, h("bdi", {}, key.databases?.join(", ") ?? "all")), h("td", {}, h("bdi", {}, filtersOf(key))), h("td", {}, new Date(key.created * 1000).toLocaleString()), h("td", {}, h("bdi", {}, key.creator ?? "command line")),
        h("td", {}, h("button", { type: "button", class: "danger", "aria-label": `Revoke ${key.id}`, onclick: guarded(async () => {
          if (!await typeBack("Revoke", `Clients that use the key ${key.id} are refused within a minute.`, key.id)) return;
          await call("DELETE", `${base}/${key.id}`);
          notify(`${key.id} revoked`);
          await load();
        }) }, "Revoke")))))), keys.length === 0 && h("p", { class: "soft" }, "No keys for this tenant.")));
  };
  load().catch((error) => show(list, h("p", { class: "bad", role: "alert" }, error.message)));
  return dialog(`API keys of ${tenant}`, () => {
    const name = h("input", { name: "label", maxlength: "100" });
    const role = h("select", { name: "role" }, ROLES.map((value) => h("option", { value }, value)));
    const scope = h("select", { name: "scope" }, h("option", { value: "" }, "every database"), databases.map((value) => h("option", { value }, value)));
    const filters = h("textarea", { name: "filters", rows: "2", spellcheck: "false", placeholder: '{"books": {"owner": "ann"}}' });
    const made = h("div", { "aria-live": "polite" });
    return [list, h("h3", {}, "New key"), h("form", { onsubmit: guarded(async () => {
      const body = { name: name.value, role: role.value, databases: scope.value ? [scope.value] : null };
      if (filters.value.trim()) body.filters = JSON.parse(filters.value);
      const created = await call("POST", base, body);
      name.value = "";
      show(made, h("p", {}, "Copy the key now: it is not shown again."), h("pre", { class: "made", tabindex: "0" }, created.key),
        h("button", { type: "button", onclick: guarded(async () => { await navigator.clipboard.writeText(created.key); notify("copied"); }) }, "Copy"));
      await load();
    }) }, field("Name", name), field("Role", role, "reader: reads; writer: also writes records and collections; admin: also databases and keys"), field("Databases", scope),
    field("Filters (JSON)", filters, "the only records that the key sees, by collection; empty: all"), h("p", { class: "actions" }, h("button", { type: "submit" }, "Create"))), made];
  });
}
