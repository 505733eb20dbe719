// The page: who is looking, which collection is open, and its tabs. The address after # names the collection and tab.
import { call, collection as collectionApi, database, key, setKey } from "./api.js";
import { dialog, field, guarded, h, notify, show, tabs } from "./dom.js";
import { importTab } from "./import.js";
import { manageKeys } from "./keys.js";
import { mapTab } from "./map.js";
import { recordsTab } from "./records.js";
import { searchTab } from "./search.js";
import { aboutTab, newCollection } from "./settings.js";
import { timeTab } from "./time.js";

const LISTED = 200;
const THEMES = ["auto", "light", "dark"];

let tenant = "default_tenant", databases = ["default_database"], db = database(tenant, databases[0]);
let leave = () => {}, hits = [];
let opened = 0; // counts what was opened: an answer that arrives after the next one is dropped

const address = () => location.hash.slice(1).split("/").map(decodeURIComponent);
const go = (...parts) => history.replaceState(null, "", `#${parts.map(encodeURIComponent).join("/")}`);
const spaceOf = (item) => item.configuration_json?.hnsw?.space ?? item.configuration_json?.spann?.space ?? "l2";

function theme(choice) {
  localStorage.setItem("afterglow-theme", choice);
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

const askForKey = () => dialog("API key", (close) => {
  const input = h("input", { type: "password", name: "key", autocomplete: "off", value: key() });
  return h("form", { onsubmit: guarded(async () => { setKey(input.value.trim()); close(); await start(); }) },
    h("p", {}, "The key is kept in this tab only and is gone when the tab is closed."), field("Key", input),
    h("p", { class: "actions" }, h("button", { type: "submit" }, "Use it"), h("button", { type: "button", onclick: () => { setKey(""); close(); start(); } }, "Forget it")));
});

function top(version) {
  const chosen = localStorage.getItem("afterglow-theme") ?? "auto";
  show(document.getElementById("top"), h("a", { class: "brand", href: "#" }, h("span", { class: "sun", "aria-hidden": "true" }), h("h1", {}, "Afterglow")),
    h("span", { class: "soft" }, version),
    field("Tenant", h("input", { value: tenant, onchange: guarded(async (event) => { tenant = event.target.value; await openTenant(); }) })),
    field("Database", h("select", { onchange: guarded(async (event) => { db = database(tenant, event.target.value); await side(); await home(); }) }, databases.map((name) => h("option", { selected: name === db.name }, name)))),
    field("Theme", h("select", { onchange: (event) => theme(event.target.value) }, THEMES.map((name) => h("option", { selected: name === chosen }, name)))),
    h("button", { type: "button", onclick: askForKey }, key() ? "Key: in use" : "Key"),
    key() && h("button", { type: "button", class: "admin", onclick: guarded(() => manageKeys(tenant, databases)) }, "Manage keys"), h("span", { class: "soft reading" }, "read-only"), h("a", { href: "docs" }, "API"));
}

async function side(open = address()[2]) {
  const nav = document.getElementById("side");
  const [items, total] = await Promise.all([db.list(LISTED, 0), db.total()]);
  items.sort((a, b) => a.name.localeCompare(b.name));
  const list = h("ul", {});
  const draw = (text) => show(list, items.filter((item) => item.name.includes(text)).map((item) => {
    const count = h("small", {}, "");
    const status = h("small", { class: "soft" }, `${item.dimension ?? "?"} dimensions, ${spaceOf(item)}`);
    const api = collectionApi(db, item.id);
    watch(count, async () => {
      const [number, indexing] = await Promise.all([api.count(), api.status().catch(() => ({ num_unindexed_ops: 0 }))]); // a key with filters sees no status
      show(count, number.toLocaleString());
      if (indexing.num_unindexed_ops) show(status, `${item.dimension ?? "?"} dimensions, ${spaceOf(item)}, ${indexing.num_unindexed_ops.toLocaleString()} unindexed`);
    });
    return h("li", {}, h("button", { type: "button", class: "plain", "aria-current": item.name === open ? "page" : null, onclick: guarded(() => openCollection(item.name)) },
      h("bdi", { dir: "auto" }, item.name), count, status));
  }));
  draw("");
  show(nav, h("div", { class: "bar" }, h("input", { type: "search", placeholder: "Filter collections", "aria-label": "Filter collections", oninput: (event) => draw(event.target.value) }),
    h("button", { type: "button", class: "writes", onclick: guarded(async () => { const name = await newCollection(db); if (name) { await side(name); await openCollection(name); } }) }, "New")),
  list, items.length === 0 && h("p", { class: "soft" }, "No collections yet."), total > LISTED && h("p", { class: "soft" }, `The first ${LISTED} of ${total.toLocaleString()}.`));
}

/** Run `work` when the element comes into view: a long list asks only for what is seen. */
function watch(element, work) {
  const observer = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); work().catch(() => show(element, "?")); }
  });
  observer.observe(element);
}

async function openCollection(name, tab = address()[3] || "records", begin = null) {
  leave();
  leave = () => {};
  const mine = ++opened;
  const item = await db.byName(name);
  if (mine !== opened) return;
  const api = collectionApi(db, item.id);
  const learn = [];
  const main = document.getElementById("main");
  const context = {
    db, api, collection: { ...item, space: spaceOf(item) },
    at: () => null,
    lastHits: () => hits,
    hits: (ids) => { hits = ids; },
    onleave: (work) => { const before = leave; leave = () => { before(); work(); }; },
    onFacts: (work) => { learn.push(work); return null; },
    changed: () => openCollection(name, "records"),
    counted: () => side(name).catch(() => {}),
    act: (result) => (result?.action === "like" ? openCollection(name, "search", result) : null),
    reload: guarded(async (other = name) => { await side(other); await (other ? openCollection(other) : home()); }),
  };
  const facts = () => api.get({ limit: 500, include: ["metadatas"] }).then((answer) => learn.forEach((work) => work(answer.metadatas)), () => {});
  const left = (build) => () => { opened++; leave(); leave = () => {}; return build(context); };
  const items = [
    { id: "records", title: "Records", build: left(recordsTab) },
    { id: "search", title: "Search", build: left(() => { const parts = searchTab(context, begin); begin = null; facts(); return parts; }) },
    { id: "map", title: "Map", build: left(mapTab) },
    { id: "time", title: "Time travel", build: left(timeTab) },
    document.body.dataset.role !== "reader" && { id: "import", title: "Import", build: left(importTab) },
    { id: "about", title: "About", build: left(aboutTab) },
  ].filter(Boolean);
  show(main, h("h2", {}, h("bdi", { dir: "auto" }, name)));
  main.append(...tabs(name, items, tab, (id) => go(tenant, db.name, name, id)));
  for (const button of document.querySelectorAll("#side li button")) {
    if (button.querySelector("bdi").textContent === name) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
}

async function home() {
  opened++;
  leave();
  leave = () => {};
  go(tenant, db.name);
  show(document.getElementById("main"), h("h2", {}, "Welcome"), h("p", {}, "Choose a collection, or make one. Any Chroma client writes to this server:"),
    h("pre", { tabindex: "0" }, `import chromadb\n\nclient = chromadb.HttpClient(host="${location.hostname}", port=${location.port || (location.protocol === "https:" ? 443 : 80)})\ncollection = client.get_or_create_collection("notes")\ncollection.add(ids=["a", "b"], embeddings=[[1, 0], [0, 1]], documents=["first", "second"])`));
}

async function openTenant(wanted = null) {
  const names = (await call("GET", `/tenants/${encodeURIComponent(tenant)}/databases`)).map((item) => item.name);
  databases = names.length ? names : ["default_database"];
  db = database(tenant, databases.includes(wanted) ? wanted : databases.includes("default_database") ? "default_database" : databases[0]);
  top(await call("GET", "/version").catch(() => ""));
  await side();
  const [, , name] = address();
  if (name) await openCollection(name).catch(async (error) => { notify(error.message, "bad"); await home(); });
  else await home();
}

async function start() {
  const [linkedTenant, linkedDatabase] = address();
  theme(localStorage.getItem("afterglow-theme") ?? "auto");
  try {
    const identity = await call("GET", "/auth/identity");
    tenant = linkedTenant || (identity.tenant && identity.tenant !== "*" ? identity.tenant : tenant);
    await openTenant(linkedDatabase || identity.databases?.find((name) => name !== "*"));
  } catch (error) {
    top("");
    show(document.getElementById("side"));
    show(document.getElementById("main"), h("p", { class: "bad", role: "alert" }, error.message));
    if (error.status === 401) await askForKey();
  }
}

start();
