// Draws the page from openapi.json: one <details> per route, with its parameters, body, answers, and a form to send it.
"use strict";

const root = location.pathname.replace(/\/docs\/?$/, "");
const shared = new Map([["tenant", "default_tenant"], ["database", "default_database"], ["collection_id", ""]]);
let document_ = null;
let key = "";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function resolved(schema) {
  while (schema && schema.$ref) schema = document_.components.schemas[schema.$ref.split("/").pop()];
  return schema || {};
}

function typeOf(schema, depth = 0) {
  if (schema.$ref && depth > 1) return schema.$ref.split("/").pop();
  schema = resolved(schema);
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const variants = schema.anyOf || schema.oneOf;
  if (variants) return [...new Set(variants.map((each) => typeOf(each, depth + 1)))].join(" | ");
  if (schema.type === "array") {
    const items = typeOf(schema.items || {}, depth + 1);
    return items.includes(" | ") && !/^\(.*\)(\[\])+$/.test(items) ? `(${items})[]` : `${items}[]`;
  }
  if (schema.type === "object" && schema.properties && depth < 2) {
    const required = new Set(schema.required || []);
    const inner = Object.entries(schema.properties).map(
      ([name, each]) => `${name}${required.has(name) ? "" : "?"}: ${typeOf(each, depth + 1)}`);
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
  const whole = resolved(schema);
  const required = new Set(whole.required || []);
  const rows = Object.entries(whole.properties || {}).map(([name, each]) => element("tr", {},
    element("td", {}, name + (required.has(name) ? "" : "?")),
    element("td", {}, element("span", { class: "type" }, typeOf(each)))));
  return rows.length ? element("table", {}, ...rows) : element("p", { class: "quiet" }, "An empty object.");
}

function pathOf(path) {
  const shown = element("span", { class: "path" });
  for (const part of path.split(/(\{\w+\})/)) shown.append(part.startsWith("{") ? element("b", {}, part) : part);
  return shown;
}

function input(name, value, onchange) {
  const field = element("input", { value, name, autocomplete: "off", spellcheck: "false" });
  if (onchange) field.addEventListener("input", () => onchange(field.value));
  return element("label", {}, name, field);
}

// Indented JSON, with arrays of plain values on one line.
function laidOut(value) {
  return JSON.stringify(value, null, 2).replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, inside) => `[${inside.replace(/\s*\n\s*/g, " ")}]`);
}

function pretty(text) {
  try { return laidOut(JSON.parse(text)); } catch { return text; }
}

function routeBody(path, method, operation) {
  const parameters = operation.parameters || [];
  const own = parameters.filter((each) => !(each.in === "path" && shared.has(each.name)));
  const inputs = own.map((each) => [each, input(each.name, "")]);
  const content = operation.requestBody?.content["application/json"];
  const text = content && element("textarea", { spellcheck: "false", "aria-label": "Body" });
  if (text) {
    text.value = laidOut(exampleOf(content.schema));
    text.rows = text.value.split("\n").length + 1;
  }
  const status = element("span", { class: "status", role: "status" });
  const answer = element("pre", { hidden: true });
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
    const missing = parameters.find((each) => each.in === "path" && shared.has(each.name) && !shared.get(each.name));
    if (missing) {
      status.className = "status bad";
      status.textContent = `Fill in ${missing.name} at the top of the page first.`;
      return;
    }
    button.disabled = true;
    status.className = "status";
    status.textContent = "…";
    url.textContent = target();
    const began = performance.now();
    try {
      const response = await fetch(target(), {
        method: method.toUpperCase(),
        headers: { ...(text ? { "content-type": "application/json" } : {}), ...(key ? { "x-chroma-token": key } : {}) },
        ...(text ? { body: text.value } : {}),
      });
      const received = await response.text();
      status.className = `status ${response.ok ? "good" : "bad"}`;
      status.textContent = `${response.status} · ${(performance.now() - began).toFixed(1)} ms`;
      answer.textContent = received ? pretty(received) : "(no body)";
      answer.hidden = false;
      learn(received);
    } catch (error) {
      status.className = "status bad";
      status.textContent = `No answer: ${error.message}`;
    }
    button.disabled = false;
  }
  button.addEventListener("click", send);

  const parts = [];
  if (inputs.length) {
    parts.push(element("h3", {}, "Parameters"));
    parts.push(element("div", { class: "fields" }, ...inputs.map(([, label]) => label)));
  }
  if (content) {
    const about = resolved(content.schema).description;
    parts.push(element("h3", {}, "Body" + (about ? ` – ${about}` : "")), fieldTable(content.schema), element("h3", {}, "Try it"), text);
  }
  parts.push(element("div", { class: "send" }, button, status, url), answer, element("h3", {}, "Answers"));
  parts.push(element("table", {}, ...Object.entries(operation.responses).map(([code, response]) => {
    const schema = response.content?.["application/json"].schema;
    const shown = code.startsWith("2") && schema ? element("span", { class: "type" }, typeOf(schema)) : response.description;
    return element("tr", {}, element("td", {}, code), element("td", {}, shown));
  })));
  return element("div", { class: "body" }, ...parts);
}

// An answer that is a collection fills in the collection's id for the routes that need it.
function learn(received) {
  try {
    const value = JSON.parse(received);
    const collection = Array.isArray(value) ? value[0] : value;
    if (!collection?.configuration_json || shared.get("collection_id")) return;
    shared.set("collection_id", collection.id);
    document.querySelector('#place input[name="collection_id"]').value = collection.id;
  } catch { /* not JSON: nothing to learn */ }
}

function draw() {
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
  routes.replaceChildren(...[...byTag].map(([tag, all]) => element("section", {}, element("h2", {}, tag), ...all)));
  const linked = location.hash && document.getElementById(location.hash.slice(1));
  if (linked) {
    linked.open = true;
    linked.scrollIntoView();
  }
}

function filter(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("main section")) {
    let some = false;
    for (const details of section.querySelectorAll("details")) {
      details.hidden = !wanted.every((word) => details.dataset.words.includes(word));
      some ||= !details.hidden;
    }
    section.hidden = !some;
  }
}

const place = document.getElementById("place");
place.addEventListener("submit", (event) => event.preventDefault());
for (const [name, value] of shared) place.append(input(name, value, (now) => shared.set(name, now.trim())));
// Where the server asks for one. It is kept as long as the page is open, and sent to this server alone.
const secret = input("key", "", (now) => { key = now.trim(); });
secret.querySelector("input").type = "password";
place.append(secret);
document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));

fetch(`${root}/openapi.json`).then((response) => response.json()).then((loaded) => {
  document_ = loaded;
  draw();
}).catch((error) => {
  document.getElementById("routes").replaceChildren(element("p", { class: "quiet" }, `openapi.json could not be read: ${error.message}`));
});
