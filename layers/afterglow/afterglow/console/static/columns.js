// Columns of an imported file: their roles by their names, as `afterglow import` finds them, and what the report says of them.

const VECTORS = ["embedding", "embeddings", "vector", "vectors", "emb", "embs", "values", "content_vector", "text_vector", "ada_embedding",
  "text_embedding", "sentence_embedding", "embedding_vector", "dense_vector", "title_vector"];
const NAMES = { id: ["id", "ids", "_id", "uuid"], embedding: VECTORS, document: ["document", "documents", "text", "content", "page_content"] };
const OBJECTS = ["metadata", "metadatas", "payload", "properties"];
const PANDAS_INDEX = /^(__index_level_\d+__|Unnamed: 0|)$/;

/** The roles of the columns of some rows: the name for each of `id`, `embedding`, `document` and `objects`, and the `others`; `ignored` is a map to reasons. */
export function columnsOf(rows) {
  const names = new Set();
  for (const row of rows) for (const name of Object.keys(row ?? {})) names.add(name);
  const plain = (name) => name.trim().toLowerCase();
  const find = (known) => known.map((item) => [...names].find((name) => plain(name) === item)).find((name) => name !== undefined);
  const roles = Object.fromEntries(Object.entries({ ...NAMES, objects: OBJECTS }).map(([role, known]) => [role, find(known)]));
  const ignored = new Map(), others = [];
  for (const name of names) {
    if (Object.values(roles).includes(name)) continue;
    if (PANDAS_INDEX.test(name)) ignored.set(name, "the index of a pandas DataFrame");
    else if (VECTORS.includes(plain(name))) ignored.set(name, "further embeddings");
    else others.push(name);
  }
  return { ...roles, others, ignored };
}

/** A row as a record `{id, document, embedding, metadata}`; the embedding as it is in the row. */
export function recordOf(row, columns) {
  const value = (name) => (name === undefined ? undefined : row?.[name]);
  const objects = value(columns.objects), metadata = {};
  for (const name of columns.others) if (value(name) !== null && value(name) !== undefined) metadata[name] = value(name);
  if (objects !== null && typeof objects === "object" && !Array.isArray(objects)) Object.assign(metadata, objects);
  else if (objects !== null && objects !== undefined) metadata[columns.objects] = objects;
  const id = value(columns.id) ?? undefined;
  return { id: id === undefined ? undefined : String(id), document: value(columns.document) ?? null, embedding: value(columns.embedding) ?? null,
    metadata: Object.keys(metadata).length ? metadata : null };
}

/** Lines for the columns that were used and those that were ignored, in the words of the command. */
export function columnLines(columns) {
  const metadata = [columns.objects, ...columns.others].filter((name) => name !== undefined).join(", ");
  const used = [["id", columns.id], ["embedding", columns.embedding], ["document", columns.document], ["metadata", metadata || undefined]];
  const lines = [`columns: ${used.filter(([, name]) => name !== undefined).map(([role, name]) => `${role} from ${name}`).join("; ")}`];
  if (columns.ignored.size) lines.push(`ignored: ${[...columns.ignored].map(([name, reason]) => `'${name}' (${reason})`).join("; ")}`);
  return lines;
}
