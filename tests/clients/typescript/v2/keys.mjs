// CloudClient and AdminCloudClient of chromadb 3.5.0. Arguments: the server's URL and three keys, as in ../../cloud.py.
import { AdminClient, AdminCloudClient, ChromaClient, CloudClient } from "chromadb";

const url = process.argv[2];
const keys = JSON.parse(process.argv[3]);
const { hostname: host, port: text } = new URL(url);
const port = Number(text);

// They insist on TLS, which ends here instead of at a proxy.
const genuineFetch = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const plain = (address) => address.replace("https://", "http://");
  if (!(input instanceof Request)) return genuineFetch(plain(String(input)), init);
  return genuineFetch(new Request(plain(input.url), input), init);
};

async function refused(call) {
  return call().then(() => "not refused", (error) => error.name);
}
const embeddingFunction = null;
const poems = async (client) => (await (await client.getCollection({ name: "poems", embeddingFunction })).get()).ids;

const told = {};
const admin = new AdminCloudClient({ apiKey: keys.admin, host, port });
for (const name of ["books", "films"]) await admin.createDatabase({ name, tenant: "default_tenant" });
const all = await admin.listDatabases({ tenant: "default_tenant" });
told["an admin"] = all.map((each) => each.name).filter((name) => !name.startsWith("default")).sort();
const writer = new CloudClient({ apiKey: keys.writer, host, port });
const written = await writer.createCollection({ name: "poems", embeddingFunction });
await written.add({ ids: ["a"], embeddings: [[1, 2]] });
told["written"] = await written.count();
const reader = new CloudClient({ apiKey: keys.reader, host, port });
told["found by the key"] = [await poems(reader), reader.tenant, reader.database];
const seen = await reader.getCollection({ name: "poems", embeddingFunction });
told["a reader writes"] = await refused(() => seen.add({ ids: ["b"], embeddings: [[1, 2]] }));
const place = { tenant: "default_tenant", database: "films" };
told["another database"] = await refused(() => new CloudClient({ apiKey: keys.reader, host, port, ...place }).listCollections());
told["a wrong key"] = await refused(() => new CloudClient({ apiKey: "wrong", host, port }).listCollections());
told["no key"] = await refused(() => new ChromaClient({ host, port, ssl: false, ...place }).listCollections());
const headers = { "x-chroma-token": keys.writer };
const mine = new AdminClient({ host, port, ssl: false, headers });
told["a writer makes a database"] = await refused(() => mine.createDatabase({ name: "mine", tenant: "default_tenant" }));
process.stdout.write(JSON.stringify(told));
