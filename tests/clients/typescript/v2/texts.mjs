// Texts through the server's model: by the client's own call of an embedding function, and by plain requests for a
// collection that the client made. Arguments: the server's URL, and the documents.
import { ChromaClient } from "chromadb";

const url = process.argv[2];
const documents = JSON.parse(process.argv[3]);
const ids = documents.map((_, index) => `d${index}`);
const { hostname: host, port } = new URL(url);
const client = new ChromaClient({ host, port: Number(port), ssl: false });
const outcome = {};

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  return response.json();
}

const embeddingFunction = { generate: (texts) => post("/embed", { inputs: texts }) };
const books = await client.createCollection({ name: "books", embeddingFunction });
await books.add({ ids, documents });
outcome["by its function"] = (await books.query({ queryTexts: [documents[1]], nResults: 1 })).ids;

const plain = await client.createCollection({ name: "plain", embeddingFunction: null });
const path = `/api/v2/tenants/default_tenant/databases/default_database/collections/${plain.id}`;
await post(`${path}/add`, { ids, documents });
outcome["by the server"] = (await post(`${path}/query`, { query_texts: [documents[2]], n_results: 1 })).ids;
const found = await plain.get({ ids: ["d0"], include: ["documents"] });
outcome["read by the client"] = found.documents;
process.stdout.write(JSON.stringify(outcome));
