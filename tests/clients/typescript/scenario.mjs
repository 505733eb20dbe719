// The scenario of ../scenario.py for the TypeScript clients, step by step; see there. `run.mjs` of each client's folder
// hands in its client and what it embeds with.


// The clients hide what a server says behind its status; so it is read on its way to them.
const genuineFetch = globalThis.fetch;
let said = "";
let WORDS = {};
globalThis.fetch = async (...call) => {
  const answer = await genuineFetch(...call);
  said = answer.ok ? "" : await answer.clone().text();
  return answer;
};

export async function run(client, embeddingFunction, { fish: FISH, conditions: CONDITIONS, words }) {
  WORDS = words;
  const told = { alive: (await client.heartbeat()) > 1e18, "version is text": typeof (await client.version()) === "string" };
  const names = async () => (await client.listCollections()).map((each) => each.name ?? each).sort();
  const create = (name, metadata) => client.createCollection({ name, metadata, embeddingFunction });
  const get = (name) => client.getCollection({ name, embeddingFunction });

  told["nothing there"] = await names();
  const fish = await create("fish", { "hnsw:space": "cosine", topic: "fish" });
  told["created"] = [fish.name, fish.metadata];
  told["created twice"] = await refused(() => create("fish"));
  const again = await client.getOrCreateCollection({ name: "fish", embeddingFunction });
  told["got or created"] = again.id === fish.id;
  told["got by name"] = (await get("fish")).id === fish.id;
  told["missing"] = await refused(() => get("nosuch"));
  await fish.add(FISH);
  told["added"] = await fish.count();
  await read(fish, told, FISH, CONDITIONS);
  await change(fish, told);
  await fish.modify({ name: "pond", metadata: { topic: "ponds" } });
  const pond = await get("pond");
  told["renamed"] = [await names(), pond.metadata];
  told["renamed, by its old name"] = await refused(() => get("fish"));
  await spaces(create, told);
  await many(create, told);
  told["names"] = await names();
  await client.deleteCollection({ name: "pond" });
  told["deleted"] = await names();
  told["deleted twice"] = await refused(() => client.deleteCollection({ name: "pond" }));
  told["written after deletion"] = await refused(() => pond.add({ ids: ["late"], embeddings: [[1, 2, 3]] }));
  await client.reset();
  told["reset"] = await names();
  return told;
}

async function read(fish, told, FISH, CONDITIONS) {
  let got = await fish.get({ include: ["embeddings", "documents", "metadatas"] });
  const { ids, embeddings, documents, metadatas } = got;
  told["all of it"] = { ids, embeddings: numbers(embeddings), documents, metadatas };
  const twice = { ids: ["x", "x"], embeddings: [[1, 0, 0], [1, 0, 0]] };
  told["duplicates in one call"] = await refused(() => fish.upsert(twice));
  told["another dimension"] = await refused(() => fish.upsert({ ids: ["x"], embeddings: [[1, 0]] }));
  told["query of another dimension"] = await refused(() => fish.query({ queryEmbeddings: [[1, 0]], nResults: 1 }));
  await fish.add({ ids: ["cod"], embeddings: [[0, 0, 1]], documents: ["another cod"] });
  told["added again"] = [(await fish.get({ ids: ["cod"] })).documents[0], await fish.count()];
  told["page"] = (await fish.get({ limit: 2, offset: 1 })).ids;
  told["peek"] = (await fish.peek({ limit: 2 })).ids;
  let found = await fish.query({ queryEmbeddings: [[1, 0, 0], [0, 1, 0]], nResults: 2 });
  told["nearest"] = [ranked(found, 0), ranked(found, 1)];
  const include = ["distances", "documents", "metadatas", "embeddings"];
  found = await fish.query({ queryEmbeddings: [[1, 0, 0]], nResults: 1, include });
  told["nearest, everything"] = {
    ids: found.ids[0],
    distances: numbers(found.distances[0]),
    documents: found.documents[0],
    metadatas: found.metadatas[0],
    embeddings: numbers(found.embeddings[0]),
  };
  told["more than there are"] = (await fish.query({ queryEmbeddings: [[1, 0, 0]], nResults: 10 })).ids[0].length;
  for (const [name, where] of Object.entries(CONDITIONS)) told[`where ${name}`] = (await fish.get({ where })).ids;
  told["where the document has"] = (await fish.get({ whereDocument: { $contains: "the" } })).ids;
  const both = { $and: [{ $contains: "sea" }, { $contains: "bed" }] };
  told["where it has both"] = (await fish.get({ whereDocument: both })).ids;
  const near = { queryEmbeddings: [[0, 1, 0.1]], nResults: 2 };
  told["nearest where"] = (await fish.query({ ...near, where: { place: "north" } })).ids[0];
  found = await fish.query({ ...near, whereDocument: { $contains: "river" } });
  told["nearest where the document has"] = found.ids[0];
  told["a wrong condition"] = await refused(() => fish.get({ where: { place: { $sounds_like: "x" } } }));
}

async function change(fish, told) {
  await fish.update({ ids: ["cod"], embeddings: [[0, 0, 1]], metadatas: [{ weight: 13 }] });
  let got = await fish.get({ ids: ["cod"], include: ["embeddings", "documents", "metadatas"] });
  told["updated"] = [got.metadatas[0], got.documents[0], numbers(got.embeddings)[0]];
  await fish.upsert({
    ids: ["pike", "ray"],
    embeddings: [[0.5, 0.5, 0], [0, 1, 0.5]],
    documents: ["a pike", "a ray, seen again"],
    metadatas: [{ weight: 7 }, { weight: 91 }],
  });
  got = await fish.get({ ids: ["pike", "ray"] });
  const order = ["pike", "ray"].map((each) => got.ids.indexOf(each));
  told["upserted"] = [order.map((each) => got.documents[each]), order.map((each) => got.metadatas[each])];
  told["upserted"].push(await fish.count());
  await fish.delete({ ids: ["cod"] });
  told["deleted by id"] = (await fish.get()).ids;
  await fish.delete({ where: { place: { $ne: "north" } }, ids: ["eel", "tuna", "ray"] });
  told["deleted where"] = (await fish.get()).ids;
  await fish.delete({ whereDocument: { $contains: "seen again" } });
  told["deleted where the document has"] = (await fish.get()).ids;
}

async function spaces(create, told) {
  for (const [space, step, query] of [["l2", "squares", [0, 0]], ["ip", "products", [3, 4]]]) {
    const each = await create(step, { "hnsw:space": space });
    await each.add({ ids: ["a", "b"], embeddings: [[0, 0], [3, 4]] });
    told[step] = ranked(await each.query({ queryEmbeddings: [query], nResults: 2 }), 0);
  }
}

async function many(create, told) {
  const each = await create("many");
  const all = Array.from({ length: 250 }, (_, n) => n);
  await each.add({
    ids: all.map(String),
    embeddings: all.map((n) => [n, n / 2, 1, 0.125]),
    metadatas: all.map((n) => ({ n })),
    documents: all.map((n) => `number ${n}`),
  });
  const where = { n: { $gte: 10 } };
  const { ids } = await each.query({ queryEmbeddings: [[17.1, 8.5, 1, 0.125]], nResults: 3, where });
  told["many"] = [await each.count(), [ids[0][0], ...ids[0].slice(1).sort()]];
  const embeddings = [[0, 0, 0, -1], [0, 0, 0, -2]];
  await each.add({ ids: ["true", "false"], embeddings, metadatas: [{ is: true }, { is: false }] });
  let got = await each.get({ where: { is: true } });
  told["truths"] = [got.ids, got.metadatas[0]];
  await each.add({ ids: ["d"], embeddings: [[0, 0, 0, 0]] });
  got = await each.get({ ids: ["d"] });
  told["without document or metadata"] = [got.ids, got.metadatas, got.documents];
}

export async function refused(call) {
  said = "";
  try {
    await call();
  } catch (error) {
    const text = `${error.message} ${said}`.toLowerCase();
    const known = Object.keys(WORDS).find((word) => text.includes(word));
    return WORDS[known] ?? `${error.name}: ${text}`;
  }
  return "not refused";
}

function ranked(found, query) {
  return found.ids[query].map((name, place) => [name, close(found.distances[query][place])]);
}

function close(number) {
  return Math.floor(number * 10_000 + 0.5) / 10_000 + 0;
}

function numbers(values) {
  return values.map((each) => (Array.isArray(each) ? numbers(each) : close(each)));
}
