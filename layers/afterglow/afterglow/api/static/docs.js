// Renders the page from openapi.json: one <details> per route, with its parameters, body, responses and a request form.
"use strict";

const root = location.pathname.replace(/\/docs\/?$/, "");
const shared = new Map([["tenant", "default_tenant"], ["database", "default_database"], ["collection_id", ""]]);
let document_ = null;
let key = "";

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function resolved(schema) {
  while (schema && schema.$ref) schema = document_.components.schemas[schema.$ref.split("/").pop()];
  return schema || {};
}

function typeOf(schema, depth = 0) {
  if (schema.$ref && depth > 1) return schema.$ref.split("/").pop();
  schema = resolved(schema);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const variants = schema.anyOf || schema.oneOf;
  if (variants) return [...new Set(variants.map((variant) => typeOf(variant, depth + 1)))].join(" | ");
  if (schema.type === "array") {
    const items = typeOf(schema.items || {}, depth + 1);
    return items.includes(" | ") && !/^\(.*\)(\[\])+$/.test(items) ? `(${items})[]` : `${items}[]`;
  }
  if (schema.type === "object" && schema.properties && depth < 2) {
    const required = new Set(schema.required || []);
    const inner = Object.entries(schema.properties).map(
      ([name, property]) => `${name}${required.has(name) ? "" : "?"}: ${typeOf(property, depth + 1)}`);
    return `{ ${inner.join(", ")} }`;
  }
  return schema.title && schema.type === "object" && schema.properties ? schema.title : schema.type || "anything";
}

function exampleOf(schema, depth = 0) {
  schema = resolved(schema);
  if (schema.example !== undefined) return schema.example;
  if (schema.examples) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  const variants = schema.anyOf || schema.oneOf;
  if (variants) return exampleOf(variants[0], depth);
  if (schema.type === "object") {
    const example = {};
    for (const name of depth < 3 ? schema.required || [] : []) example[name] = exampleOf(schema.properties[name], depth + 1);
    return example;
  }
  return { array: [], string: "text", integer: 1, number: 1.0, boolean: true }[schema.type] ?? null;
}

function fieldTable(schema) {
  const target = resolved(schema);
  const required = new Set(target.required || []);
  const rows = Object.entries(target.properties || {}).map(([name, property]) => element("tr", {},
    element("td", {}, name + (required.has(name) ? "" : "?")),
    element("td", {}, element("span", { class: "type" }, typeOf(property)))));
  return rows.length ? element("table", {}, ...rows) : element("p", { class: "quiet" }, "An empty object.");
}

function pathOf(path) {
  const label = element("span", { class: "path" });
  for (const text of path.split(/(\{\w+\})/)) label.append(text.startsWith("{") ? element("b", {}, text) : text);
  return label;
}

function input(name, value, onchange) {
  const field = element("input", { value, name, autocomplete: "off", spellcheck: "false" });
  if (onchange) field.addEventListener("input", () => onchange(field.value));
  return element("label", {}, name, field);
}

// Indented JSON, with arrays of scalars on one line.
function indented(value) {
  return JSON.stringify(value, null, 2).replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, inside) => `[${inside.replace(/\s*\n\s*/g, " ")}]`);
}

function pretty(text) {
  try { return indented(JSON.parse(text)); } catch { return text; }
}

function routeBody(path, method, operation) {
  const parameters = operation.parameters || [];
  const ownParameters = parameters.filter((parameter) => !(parameter.in === "path" && shared.has(parameter.name)));
  const inputs = ownParameters.map((parameter) => [parameter, input(parameter.name, "")]);
  const content = operation.requestBody?.content["application/json"];
  const text = content && element("textarea", { spellcheck: "false", "aria-label": "Body" });
  if (text) {
    text.value = indented(exampleOf(content.schema));
    text.rows = text.value.split("\n").length + 1;
  }
  const status = element("span", { class: "status", role: "status" });
  const output = element("pre", { hidden: true });
  const url = element("span", { class: "quiet path" });
  const button = element("button", { type: "button" }, "Send");

  function target() {
    const values = new Map(shared);
    const query = new URLSearchParams();
    for (const [parameter, label] of inputs) {
      const value = label.querySelector("input").value;
      if (parameter.in === "path") values.set(parameter.name, value);
      else if (value !== "") query.set(parameter.name, value);
    }
    const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values.get(name) ?? ""));
    return root + filled + (query.size ? `?${query}` : "");
  }

  async function send() {
    const missing = parameters.find(({ in: location, name }) => location === "path" && shared.has(name) && !shared.get(name));
    if (missing) {
      status.className = "status bad";
      status.textContent = `Fill in ${missing.name} at the top of the page first.`;
      return;
    }
    button.disabled = true;
    status.className = "status";
    status.textContent = "…";
    url.textContent = target();
    const startedAt = performance.now();
    try {
      const response = await fetch(target(), {
        method: method.toUpperCase(),
        headers: { ...(text ? { "content-type": "application/json" } : {}), ...(key ? { "x-chroma-token": key } : {}) },
        ...(text ? { body: text.value } : {}),
      });
      const received = await response.text();
      status.className = `status ${response.ok ? "good" : "bad"}`;
      status.textContent = `${response.status} · ${(performance.now() - startedAt).toFixed(1)} ms`;
      output.textContent = received ? pretty(received) : "(no body)";
      output.hidden = false;
      fillCollectionId(received);
    } catch (error) {
      status.className = "status bad";
      status.textContent = `No response: ${error.message}`;
    }
    button.disabled = false;
  }
  button.addEventListener("click", send);

  const sections = [];
  if (inputs.length) {
    sections.push(element("h3", {}, "Parameters"));
    sections.push(element("div", { class: "fields" }, ...inputs.map(([, label]) => label)));
  }
  if (content) {
    const description = resolved(content.schema).description;
    sections.push(element("h3", {}, "Body" + (description ? ` – ${description}` : "")), fieldTable(content.schema), element("h3", {}, "Try it"), text);
  }
  sections.push(element("div", { class: "send" }, button, status, url), output, element("h3", {}, "Responses"));
  sections.push(element("table", {}, ...Object.entries(operation.responses).map(([code, response]) => {
    const schema = response.content?.["application/json"].schema;
    const summary = code.startsWith("2") && schema ? element("span", { class: "type" }, typeOf(schema)) : response.description;
    return element("tr", {}, element("td", {}, code), element("td", {}, summary));
  })));
  return element("div", { class: "body" }, ...sections);
}

// If the response is a collection, fill in its id for the routes of collections.
function fillCollectionId(received) {
  try {
    const value = JSON.parse(received);
    const collection = Array.isArray(value) ? value[0] : value;
    if (!collection?.configuration_json || shared.get("collection_id")) return;
    shared.set("collection_id", collection.id);
    document.querySelector('#path-values input[name="collection_id"]').value = collection.id;
  } catch { /* not JSON */ }
}

function render() {
  document.getElementById("version").textContent = document_.info.version;
  const byTag = new Map();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const details = element("details", { id: operation.operationId, "data-words": `${method} ${path} ${operation.summary}`.toLowerCase() },
        element("summary", {},
          element("span", { class: `method ${method}` }, method.toUpperCase()),
          pathOf(path),
          element("span", { class: "what" }, operation.summary)));
      details.addEventListener("toggle", () => {
        if (details.open) history.replaceState(null, "", `#${details.id}`);
        if (details.open && !details.querySelector(".body")) details.append(routeBody(path, method, operation));
      });
      const tag = operation.tags[0];
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push(details);
    }
  }
  const routes = document.getElementById("routes");
  routes.replaceChildren(...[...byTag].map(([tag, entries]) => element("section", {}, element("h2", {}, tag), ...entries)));
  const linked = location.hash && document.getElementById(location.hash.slice(1));
  if (linked) {
    linked.open = true;
    linked.scrollIntoView();
  }
}

function filter(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("main section")) {
    let hasMatch = false;
    for (const details of section.querySelectorAll("details")) {
      details.hidden = !words.every((word) => details.dataset.words.includes(word));
      hasMatch ||= !details.hidden;
    }
    section.hidden = !hasMatch;
  }
}

const pathValues = document.getElementById("path-values");
pathValues.addEventListener("submit", (event) => event.preventDefault());
for (const [name, value] of shared) pathValues.append(input(name, value, (text) => shared.set(name, text.trim())));
// The API key, for servers with authentication: stored while the page is open, and sent to this server alone.
const keyInput = input("key", "", (text) => { key = text.trim(); });
keyInput.querySelector("input").type = "password";
pathValues.append(keyInput);
document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));

fetch(`${root}/openapi.json`).then((response) => response.json()).then((loaded) => {
  document_ = loaded;
  render();
}).catch((error) => {
  document.getElementById("routes").replaceChildren(element("p", { class: "quiet" }, `Cannot load openapi.json: ${error.message}`));
});
