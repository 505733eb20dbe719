// An action as code that a person can paste: Python, TypeScript, curl.
import { key, root } from "./api.js";
import { dialog, h, notify } from "./dom.js";

const PYTHON = { n_results: "n_results", query_embeddings: "query_embeddings", query_texts: "query_texts" };
const TYPESCRIPT = { n_results: "nResults", query_embeddings: "queryEmbeddings", query_texts: "queryTexts", where_document: "whereDocument" };

const python = (value, indent = "    ") =>
  JSON.stringify(value, null, 4).replaceAll("\n", `\n${indent}`)
    .replace(/("(?:[^"\\]|\\.)*")|\b(true|false|null)\b/g, (all, text, word) => text ?? { true: "True", false: "False", null: "None" }[word]);
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const given = (body) => Object.entries(body).filter(([, value]) => value !== null && value !== undefined);

/** The three texts for a call of a collection: `action` is the last part of its path. */
export function snippets(db, name, api, action, body) {
  const here = new URL(root());
  const secure = here.protocol === "https:";
  const port = here.port || (secure ? "443" : "80");
  const entries = given(body);
  const token = key() && "YOUR_KEY"; // never the key itself: code is copied into files and chats
  const arguments_ = entries.map(([key, value]) => `    ${PYTHON[key] ?? key}=${python(value)},`).join("\n");
  const ts = entries.map(([key, value]) => `  ${TYPESCRIPT[key] ?? key}: ${JSON.stringify(value, null, 2).replaceAll("\n", "\n  ")},`).join("\n");
  return {
    Python: `import chromadb\n\nclient = chromadb.HttpClient(host=${JSON.stringify(here.hostname)}, port=${port}, ssl=${secure ? "True" : "False"}, `
      + `tenant=${JSON.stringify(db.tenant)}, database=${JSON.stringify(db.name)}${token && `, headers={"x-chroma-token": "${token}"}`})\n`
      + `collection = client.get_collection(${JSON.stringify(name)})\nprint(collection.${action}(\n${arguments_}\n))`,
    TypeScript: `import { ChromaClient } from "chromadb";\n\nconst client = new ChromaClient({ host: ${JSON.stringify(here.hostname)}, port: ${port}, `
      + `ssl: ${secure}, tenant: ${JSON.stringify(db.tenant)}, database: ${JSON.stringify(db.name)}${token && `, headers: { "x-chroma-token": "${token}" }`} });\n`
      + `const collection = await client.getCollection({ name: ${JSON.stringify(name)} });\nconsole.log(await collection.${action}({\n${ts}\n}));`,
    curl: `curl -X POST ${shell(root() + `${api.base}/${action}`)} \\\n  -H 'content-type: application/json' ${token && `-H 'x-chroma-token: ${token}' `}\\\n  -d ${shell(JSON.stringify(Object.fromEntries(entries)))}`,
  };
}

/** A button that shows an action as code. `make()` returns action and body at the moment of the click. */
export function copyButton(db, name, api, make) {
  return h("button", { type: "button", class: "plain", onclick: () => {
    const { action, body } = make();
    const texts = snippets(db, name, api, action, body);
    dialog("As code", () => Object.entries(texts).map(([language, text]) => h("section", { class: "code" },
      h("header", {}, h("h3", {}, language), h("button", { type: "button", class: "plain", onclick: async () => {
        await navigator.clipboard.writeText(text).then(() => notify(`${language} copied`), () => notify("The browser does not allow copying here: select the text", "bad"));
      } }, "Copy")), h("pre", { tabindex: "0" }, text))));
  } }, "Copy as code");
}
