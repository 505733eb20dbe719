// Token and Basic authentication by chromadb 1.9.2. Arguments: the server's URL and three keys, as in ../../cloud.py.
import { AdminClient, ChromaClient } from "chromadb";

const path = process.argv[2];
const keys = JSON.parse(process.argv[3]);
const embeddingFunction = { generate: () => Promise.reject(new Error("nothing is to be embedded here")) };

const token = (credentials, tokenHeaderType = "X_CHROMA_TOKEN") => ({ provider: "token", credentials, tokenHeaderType });
const client = (auth, database = "books") => new ChromaClient({ path, auth, database });
// What a client's start fails of, it tells at the end of its own words.
async function refused(call) {
  return call().then(() => "not refused", (error) => String(error).match(/Chroma\w+Error/)?.[0] ?? String(error));
}
const poems = async (each) => (await (await each.getCollection({ name: "poems", embeddingFunction })).get()).ids;

const told = {};
const admin = new AdminClient({ path, auth: token(keys.admin) });
for (const name of ["books", "films"]) await admin.createDatabase({ name, tenantName: "default_tenant" });
const written = await client(token(keys.writer)).createCollection({ name: "poems", embeddingFunction });
await written.add({ ids: ["a"], embeddings: [[1, 2]] });
told["written"] = await written.count();
told["as a header"] = await poems(client(token(keys.reader)));
told["as a bearer"] = await poems(client(token(keys.reader, "AUTHORIZATION")));
told["with a name"] = await poems(client({ provider: "basic", credentials: `somebody:${keys.reader}` }));
const seen = await client(token(keys.reader)).getCollection({ name: "poems", embeddingFunction });
told["a reader writes"] = await refused(() => seen.add({ ids: ["b"], embeddings: [[1, 2]] }));
told["another database"] = await refused(() => client(token(keys.reader), "films").listCollections());
told["a wrong key"] = await refused(() => client(token("wrong")).listCollections());
told["no key"] = await refused(() => client(undefined).listCollections());
process.stdout.write(JSON.stringify(told));
