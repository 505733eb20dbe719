// Time travel: what a collection was at a moment, what has changed since, and a copy of that moment.
import { dialog, field, guarded, h, notify, show } from "./dom.js";
import { openRecord, recordTable } from "./records.js";

const COMPARED = 2000;
const DAYS = 7;

const local = (date) => new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);

/** Ids that were added, removed or changed between two sets of records. */
export function difference(before, after) {
  const contents = (records) => new Map(records.ids.map((id, index) => [id, JSON.stringify([records.documents?.[index] ?? null, records.metadatas?.[index] ?? null])]));
  const [old, now] = [contents(before), contents(after)];
  return {
    added: [...now.keys()].filter((id) => !old.has(id)),
    removed: [...old.keys()].filter((id) => !now.has(id)),
    changed: [...now.keys()].filter((id) => old.has(id) && old.get(id) !== now.get(id)),
  };
}

/** The tab. */
export function timeTab(context) {
  const minutes = DAYS * 24 * 60;
  const slider = h("input", { type: "range", min: String(-minutes), max: "0", value: "0", step: "1", "aria-label": "Minutes before now" });
  const moment = h("input", { type: "datetime-local", step: "1", value: local(new Date()), "aria-label": "Moment" });
  const view = h("div", { "aria-live": "polite" });
  let chosen = null; // null is now: the field shows whole seconds, and the collection may be younger than its second
  const asked = () => chosen?.toISOString() ?? null;
  const past = { ...context, at: asked };

  const look = guarded(async () => {
    const at = asked();
    const include = ["documents", "metadatas"];
    try {
      const [count, now, then, present] = await Promise.all([context.api.count(at), context.api.count(),
        context.api.get({ limit: COMPARED, include }, at), context.api.get({ limit: COMPARED, include })]);
      const { added, removed, changed } = difference(then, present);
      const part = (title, ids) => h("details", { open: ids.length > 0 && ids.length <= 20 }, h("summary", {}, `${title}: ${ids.length}`), h("ul", {}, ids.slice(0, 200).map((id) => h("li", {}, h("bdi", { dir: "auto" }, id)))));
      const first = { ids: then.ids.slice(0, 50), documents: then.documents.slice(0, 50), metadatas: then.metadatas.slice(0, 50) };
      const columns = [...new Set(first.metadatas.flatMap((item) => Object.keys(item ?? {})))].slice(0, 4);
      show(view, h("p", {}, `${count.toLocaleString()} records then, ${now.toLocaleString()} now.`),
        h("section", { class: "changes" }, h("h3", {}, Math.max(count, now) > COMPARED ? `Since then, among the first ${COMPARED.toLocaleString()}` : "Since then"),
          part("added", added), part("removed", removed), part("changed", changed)),
        h("h3", {}, "As it was"), recordTable(first, columns, { onopen: guarded(async (id) => context.act(await openRecord(past, id))) }));
    } catch (error) {
      show(view, h("p", { class: "bad", role: "alert" }, error.message));
    }
  });
  let timer;
  slider.addEventListener("input", () => {
    const [now, before] = [new Date(), Number(slider.value)];
    chosen = before < 0 ? new Date(now.getTime() + 60000 * before) : null;
    moment.value = local(chosen ?? now);
    clearTimeout(timer);
    timer = setTimeout(look, 300);
  });
  moment.addEventListener("change", () => { chosen = moment.value ? new Date(moment.value) : null; slider.value = chosen ? String(Math.round((chosen - Date.now()) / 60000)) : "0"; look(); });
  look();
  const copy = guarded(() => dialog("Copy this moment", (close) => {
    const name = h("input", { name: "fork", required: true, value: `${context.collection.name}-then` });
    return h("form", { onsubmit: guarded(async () => {
      await context.api.fork(name.value, asked());
      notify(`${name.value} holds the collection as it was`);
      close();
      context.reload();
    }) }, h("p", {}, "A new collection with the records of this moment. It shares the stored data with this one."), field("Name", name), h("p", { class: "actions" }, h("button", { type: "submit" }, "Copy")));
  }));
  return [h("div", { class: "bar" }, field(`Up to ${DAYS} days back`, slider), field("Moment", moment), h("button", { type: "button", onclick: look }, "Look"),
    h("button", { type: "button", class: "writes", onclick: copy }, "Copy to a new collection")), view];
}
