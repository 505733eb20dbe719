// CloudClient and AdminCloudClient of chromadb 3.5.0. Arguments: the server's URL and three keys, as in ../../cloud.py.
import { AdminClient, AdminCloudClient, ChromaClient, CloudClient } from "chromadb";

const url = process.argv[2];
const keys = JSON.parse(process.argv[3]);
const { hostname: host, port: text } = new URL(url);
const port = Number(text);

// These clients require TLS; it is removed here instead of by a proxy.
const originalFetch = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const plain = (address) => address.replace("https://", "http://");
  if (!(input instanceof Request)) return originalFetch(plain(String(input)), init);
  return originalFetch(new Request(plain(input.url), input), init);
};

async function errorName(call) {
  return call().then(() => "not refused", (error) => error.name);
}
const embeddingFunction = null;
const poems = async (client) => (await (await client.getCollection({ name: "poems", embeddingFunction })).get()).ids;

const outcome = {};
const admin = new AdminCloudClient({ apiKey: keys.admin, host, port });
for (const name of ["books", "films"]) await admin.createDatabase({ name, tenant: "default_tenant" });
const all = await admin.listDatabases({ tenant: "default_tenant" });
outcome["an admin"] = all.map((database) => database.name).filter((name) => !name.startsWith("default")).sort();
const writer = new CloudClient({ apiKey: keys.writer, host, port });
const written = await writer.createCollection({ name: "poems", embeddingFunction });
await written.add({ ids: ["a"], embeddings: [[1, 2]] });
outcome["written"] = await written.count();
const reader = new CloudClient({ apiKey: keys.reader, host, port });
outcome["found by the key"] = [await poems(reader), reader.tenant, reader.database];
const seen = await reader.getCollection({ name: "poems", embeddingFunction });
outcome["a reader writes"] = await errorName(() => seen.add({ ids: ["b"], embeddings: [[1, 2]] }));
const films = { tenant: "default_tenant", database: "films" };
outcome["another database"] = await errorName(() => new CloudClient({ apiKey: keys.reader, host, port, ...films }).listCollections());
outcome["a wrong key"] = await errorName(() => new CloudClient({ apiKey: "wrong", host, port }).listCollections());
outcome["no key"] = await errorName(() => new ChromaClient({ host, port, ssl: false, ...films }).listCollections());
const headers = { "x-chroma-token": keys.writer };
const mine = new AdminClient({ host, port, ssl: false, headers });
outcome["a writer makes a database"] = await errorName(() => mine.createDatabase({ name: "mine", tenant: "default_tenant" }));
process.stdout.write(JSON.stringify(outcome));
