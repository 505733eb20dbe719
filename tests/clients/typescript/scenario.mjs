// The scenario of ../scenario.py for the TypeScript clients, step by step. `run.mjs` in each client's folder passes its
// client and its embedding function.


// The clients show only the status of an error, so its body is read from the response on its way to them.
const originalFetch = globalThis.fetch;
let errorBody = "";
let WORDS = {};
globalThis.fetch = async (...request) => {
  const response = await originalFetch(...request);
  errorBody = response.ok ? "" : await response.clone().text();
  return response;
};

export async function run(client, embeddingFunction, { fish: FISH, conditions: CONDITIONS, words }) {
  WORDS = words;
  const outcome = { alive: (await client.heartbeat()) > 1e18, "version is text": typeof (await client.version()) === "string" };
  const names = async () => (await client.listCollections()).map((entry) => entry.name ?? entry).sort();
  const create = (name, metadata) => client.createCollection({ name, metadata, embeddingFunction });
  const get = (name) => client.getCollection({ name, embeddingFunction });

  outcome["nothing there"] = await names();
  const fish = await create("fish", { "hnsw:space": "cosine", topic: "fish" });
  outcome["created"] = [fish.name, fish.metadata];
  outcome["created twice"] = await errorKind(() => create("fish"));
  const again = await client.getOrCreateCollection({ name: "fish", embeddingFunction });
  outcome["got or created"] = again.id === fish.id;
  outcome["got by name"] = (await get("fish")).id === fish.id;
  outcome["missing"] = await errorKind(() => get("nosuch"));
  await fish.add(FISH);
  outcome["added"] = await fish.count();
  await read(fish, outcome, FISH, CONDITIONS);
  await change(fish, outcome);
  await fish.modify({ name: "pond", metadata: { topic: "ponds" } });
  const pond = await get("pond");
  outcome["renamed"] = [await names(), pond.metadata];
  outcome["renamed, by its old name"] = await errorKind(() => get("fish"));
  await spaces(create, outcome);
  await many(create, outcome);
  outcome["names"] = await names();
  await client.deleteCollection({ name: "pond" });
  outcome["deleted"] = await names();
  outcome["deleted twice"] = await errorKind(() => client.deleteCollection({ name: "pond" }));
  outcome["written after deletion"] = await errorKind(() => pond.add({ ids: ["late"], embeddings: [[1, 2, 3]] }));
  await client.reset();
  outcome["reset"] = await names();
  return outcome;
}

async function read(fish, outcome, FISH, CONDITIONS) {
  let got = await fish.get({ include: ["embeddings", "documents", "metadatas"] });
  const { ids, embeddings, documents, metadatas } = got;
  outcome["all of it"] = { ids, embeddings: numbers(embeddings), documents, metadatas };
  const twice = { ids: ["x", "x"], embeddings: [[1, 0, 0], [1, 0, 0]] };
  outcome["duplicates in one call"] = await errorKind(() => fish.upsert(twice));
  outcome["another dimension"] = await errorKind(() => fish.upsert({ ids: ["x"], embeddings: [[1, 0]] }));
  outcome["query of another dimension"] = await errorKind(() => fish.query({ queryEmbeddings: [[1, 0]], nResults: 1 }));
  await fish.add({ ids: ["cod"], embeddings: [[0, 0, 1]], documents: ["another cod"] });
  outcome["added again"] = [(await fish.get({ ids: ["cod"] })).documents[0], await fish.count()];
  outcome["page"] = (await fish.get({ limit: 2, offset: 1 })).ids;
  outcome["peek"] = (await fish.peek({ limit: 2 })).ids;
  let found = await fish.query({ queryEmbeddings: [[1, 0, 0], [0, 1, 0]], nResults: 2 });
  outcome["nearest"] = [ranked(found, 0), ranked(found, 1)];
  const include = ["distances", "documents", "metadatas", "embeddings"];
  found = await fish.query({ queryEmbeddings: [[1, 0, 0]], nResults: 1, include });
  outcome["nearest, everything"] = {
    ids: found.ids[0],
    distances: numbers(found.distances[0]),
    documents: found.documents[0],
    metadatas: found.metadatas[0],
    embeddings: numbers(found.embeddings[0]),
  };
  outcome["more than there are"] = (await fish.query({ queryEmbeddings: [[1, 0, 0]], nResults: 10 })).ids[0].length;
  for (const [name, where] of Object.entries(CONDITIONS)) outcome[`where ${name}`] = (await fish.get({ where })).ids;
  outcome["where the document has"] = (await fish.get({ whereDocument: { $contains: "the" } })).ids;
  const both = { $and: [{ $contains: "sea" }, { $contains: "bed" }] };
  outcome["where it has both"] = (await fish.get({ whereDocument: both })).ids;
  const near = { queryEmbeddings: [[0, 1, 0.1]], nResults: 2 };
  outcome["nearest where"] = (await fish.query({ ...near, where: { place: "north" } })).ids[0];
  found = await fish.query({ ...near, whereDocument: { $contains: "river" } });
  outcome["nearest where the document has"] = found.ids[0];
  outcome["a wrong condition"] = await errorKind(() => fish.get({ where: { place: { $sounds_like: "x" } } }));
}

async function change(fish, outcome) {
  await fish.update({ ids: ["cod"], embeddings: [[0, 0, 1]], metadatas: [{ weight: 13 }] });
  let got = await fish.get({ ids: ["cod"], include: ["embeddings", "documents", "metadatas"] });
  outcome["updated"] = [got.metadatas[0], got.documents[0], numbers(got.embeddings)[0]];
  await fish.upsert({
    ids: ["pike", "ray"],
    embeddings: [[0.5, 0.5, 0], [0, 1, 0.5]],
    documents: ["a pike", "a ray, seen again"],
    metadatas: [{ weight: 7 }, { weight: 91 }],
  });
  got = await fish.get({ ids: ["pike", "ray"] });
  const order = ["pike", "ray"].map((name) => got.ids.indexOf(name));
  outcome["upserted"] = [order.map((row) => got.documents[row]), order.map((row) => got.metadatas[row])];
  outcome["upserted"].push(await fish.count());
  await fish.delete({ ids: ["cod"] });
  outcome["deleted by id"] = (await fish.get()).ids;
  await fish.delete({ where: { place: { $ne: "north" } }, ids: ["eel", "tuna", "ray"] });
  outcome["deleted where"] = (await fish.get()).ids;
  await fish.delete({ whereDocument: { $contains: "seen again" } });
  outcome["deleted where the document has"] = (await fish.get()).ids;
}

async function spaces(create, outcome) {
  for (const [space, step, query] of [["l2", "squares", [0, 0]], ["ip", "products", [3, 4]]]) {
    const collection = await create(step, { "hnsw:space": space });
    await collection.add({ ids: ["a", "b"], embeddings: [[0, 0], [3, 4]] });
    outcome[step] = ranked(await collection.query({ queryEmbeddings: [query], nResults: 2 }), 0);
  }
}

async function many(create, outcome) {
  const collection = await create("many");
  const all = Array.from({ length: 250 }, (_, n) => n);
  await collection.add({
    ids: all.map(String),
    embeddings: all.map((n) => [n, n / 2, 1, 0.125]),
    metadatas: all.map((n) => ({ n })),
    documents: all.map((n) => `number ${n}`),
  });
  const where = { n: { $gte: 10 } };
  const { ids } = await collection.query({ queryEmbeddings: [[17.1, 8.5, 1, 0.125]], nResults: 3, where });
  outcome["many"] = [await collection.count(), [ids[0][0], ...ids[0].slice(1).sort()]];
  const embeddings = [[0, 0, 0, -1], [0, 0, 0, -2]];
  await collection.add({ ids: ["true", "false"], embeddings, metadatas: [{ is: true }, { is: false }] });
  let got = await collection.get({ where: { is: true } });
  outcome["truths"] = [got.ids, got.metadatas[0]];
  await collection.add({ ids: ["d"], embeddings: [[0, 0, 0, 0]] });
  got = await collection.get({ ids: ["d"] });
  outcome["without document or metadata"] = [got.ids, got.metadatas, got.documents];
}

export async function errorKind(call) {
  errorBody = "";
  try {
    await call();
  } catch (error) {
    const text = `${error.message} ${errorBody}`.toLowerCase();
    const known = Object.keys(WORDS).find((word) => text.includes(word));
    return WORDS[known] ?? `${error.name}: ${text}`;
  }
  return "not refused";
}

function ranked(found, query) {
  return found.ids[query].map((name, index) => [name, close(found.distances[query][index])]);
}

function close(number) {
  return Math.floor(number * 10_000 + 0.5) / 10_000 + 0;
}

function numbers(values) {
  return values.map((value) => (Array.isArray(value) ? numbers(value) : close(value)));
}
