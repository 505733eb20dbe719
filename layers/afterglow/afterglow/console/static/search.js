// Search: by text, by a pasted vector, like a record, or by any rank expression.
import { copyButton } from "./snippets.js";
import { field, guarded, h, show } from "./dom.js";
import { filterBuilder } from "./filter.js";
import { openRecord, recordTable } from "./records.js";

const HYBRID = (dimension) => JSON.stringify({
  $rrf: { ranks: [
    { $knn: { query: new Array(Math.min(dimension ?? 3, 3)).fill(0), key: "#embedding", limit: 100, return_rank: true } },
    { $knn: { query: { indices: [1], values: [1] }, key: "sparse_embedding", limit: 100, return_rank: true } },
  ], k: 60 },
}, null, 2);
const MODES = [["text", "by text"], ["vector", "by a vector"], ["like", "like a record"], ["rank", "by a rank expression"]];

/** How a search was executed: a summary, and the whole. */
function plan(explain) {
  const [search] = explain.searches;
  const methods = [...new Set(search.neighbors.flatMap((item) => item.row_groups.map((group) => group.method)))].join(", ");
  return h("details", { class: "plan", open: true },
    h("summary", {}, `${search.matching.toLocaleString()} of ${search.rows.toLocaleString()} rows, ${methods || "no search"}, ${explain.milliseconds.total.toFixed(1)} ms${explain.may_lose_recall ? ", approximate" : ", exact"}`),
    h("pre", {}, JSON.stringify(explain, null, 2)));
}

/** The tab. `start` is `{id, embedding}` to begin with the neighbours of a record. */
export function searchTab(context, start) {
  let mode = start ? "like" : "text";
  const results = h("div", { "aria-live": "polite" });
  const form = h("div", {});
  const k = h("input", { type: "number", min: "1", max: "1000", value: "10", "aria-label": "Number of results" });
  const text = h("input", { type: "search", placeholder: "what to look for" });
  const vector = h("textarea", { rows: "3", spellcheck: "false", placeholder: `[0.1, 0.2, …] with ${context.collection.dimension ?? "the collection's"} components` });
  const like = h("input", { value: start?.id ?? "", placeholder: "id of a record" });
  const rank = h("textarea", { rows: "12", spellcheck: "false", value: HYBRID(context.collection.dimension) });
  const explain = h("input", { type: "checkbox", "aria-label": "Show the plan" });
  const filter = filterBuilder(() => {});
  const inputs = { text: field("Text", text, "the collection's embedding function must be one that the server runs"), vector: field("Vector", vector), like: field("Record", like), rank: field("Rank expression", rank, "as in Chroma's search: $knn, $rrf, $val, $sum …") };

  /** The call that the form means: `{action, body}`. */
  async function meant() {
    const filters = Object.fromEntries(Object.entries(filter.value()).filter(([, part]) => part !== null));
    const common = { n_results: Number(k.value), include: ["documents", "metadatas", "distances"], ...filters };
    switch (mode) {
      case "text": return { action: "query", body: { query_texts: [text.value], ...common } };
      case "vector": return { action: "query", body: { query_embeddings: [JSON.parse(vector.value)], ...common } };
      case "like": {
        const answer = await context.api.get({ ids: [like.value], include: ["embeddings"] });
        if (answer.ids.length === 0) throw new Error(`There is no record ${like.value}`);
        return { action: "query", body: { query_embeddings: [answer.embeddings[0]], ...common } };
      }
      default: return { action: "search", body: { searches: [{ rank: JSON.parse(rank.value), filter: filters.where, limit: { limit: Number(k.value) }, select: { keys: ["#document", "#score", "#metadata"] } }] } };
    }
  }
  let last = { action: "query", body: {} };
  async function run() {
    last = await meant();
    const began = performance.now();
    const answer = await context.api[last.action](explain.checked ? { ...last.body, explain: true } : last.body);
    const took = performance.now() - began;
    const scores = (last.action === "query" ? answer.distances : answer.scores)[0] ?? [];
    const records = { ids: answer.ids[0], documents: answer.documents[0], metadatas: answer.metadatas[0] };
    context.hits(records.ids);
    const columns = [...new Set((records.metadatas ?? []).flatMap((item) => Object.keys(item ?? {})))].slice(0, 4);
    const finite = scores.filter((score) => score !== null);
    const [low, high] = [Math.min(...finite), Math.max(...finite)];
    const title = last.action === "query" ? `distance (${context.collection.space})` : "score";
    show(results, h("p", { class: "soft" }, `${records.ids.length} results in ${took.toFixed(0)} ms`),
      recordTable(records, columns, {
        extra: { title, cell: (index) => (scores[index] === null ? "–" : [h("meter", { min: "0", max: "1", value: high > low ? 1 - (scores[index] - low) / (high - low) : 1, "aria-hidden": "true" }), ` ${scores[index].toPrecision(5)}`]) },
        onopen: guarded(async (id) => context.act(await openRecord(context, id))),
      }), answer.explain && plan(answer.explain));
  }
  function draw() {
    show(form, h("div", { class: "bar" },
      field("Search", h("select", { onchange: (event) => { mode = event.target.value; draw(); } }, MODES.map(([value, label]) => h("option", { value, selected: value === mode }, label)))),
      field("Results", k), h("label", {}, explain, " Plan")), inputs[mode]);
  }
  draw();
  const go = guarded(run);
  if (start) go();
  return [h("form", { onsubmit: go }, form, filter.element, h("p", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Search"),
    copyButton(context.db, context.collection.name, context.api, () => last))), results,
  context.onFacts((metadatas) => filter.learn(metadatas))];
}
