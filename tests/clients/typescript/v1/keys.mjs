// Token and Basic authentication with chromadb 1.9.2. Arguments: the server's URL and three keys, as in ../../cloud.py.
import { AdminClient, ChromaClient } from "chromadb";

const path = process.argv[2];
const keys = JSON.parse(process.argv[3]);
const embeddingFunction = { generate: () => Promise.reject(new Error("no embedding function expected")) };

const token = (credentials, tokenHeaderType = "X_CHROMA_TOKEN") => ({ provider: "token", credentials, tokenHeaderType });
const client = (auth, database = "books") => new ChromaClient({ path, auth, database });
// An error while a client connects is at the end of the error text.
async function errorName(call) {
  return call().then(() => "not refused", (error) => String(error).match(/Chroma\w+Error/)?.[0] ?? String(error));
}
const poems = async (client) => (await (await client.getCollection({ name: "poems", embeddingFunction })).get()).ids;

const outcome = {};
const admin = new AdminClient({ path, auth: token(keys.admin) });
for (const name of ["books", "films"]) await admin.createDatabase({ name, tenantName: "default_tenant" });
const written = await client(token(keys.writer)).createCollection({ name: "poems", embeddingFunction });
await written.add({ ids: ["a"], embeddings: [[1, 2]] });
outcome["written"] = await written.count();
outcome["as a header"] = await poems(client(token(keys.reader)));
outcome["as a bearer"] = await poems(client(token(keys.reader, "AUTHORIZATION")));
outcome["with a name"] = await poems(client({ provider: "basic", credentials: `somebody:${keys.reader}` }));
const seen = await client(token(keys.reader)).getCollection({ name: "poems", embeddingFunction });
outcome["a reader writes"] = await errorName(() => seen.add({ ids: ["b"], embeddings: [[1, 2]] }));
outcome["another database"] = await errorName(() => client(token(keys.reader), "films").listCollections());
outcome["a wrong key"] = await errorName(() => client(token("wrong")).listCollections());
outcome["no key"] = await errorName(() => client(undefined).listCollections());
process.stdout.write(JSON.stringify(outcome));
