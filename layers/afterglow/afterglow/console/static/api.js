// Calls the API of the server that the page came from. The key lives in this tab's session storage only.

const ROOT = new URL("api/v2", new URL(".", location.href));
const KEY = "afterglow-key";

export class ApiError extends Error {
  constructor(status, name, message) {
    super(`${message} (${status} ${name})`);
    this.status = status;
  }
}

export const key = () => sessionStorage.getItem(KEY) ?? "";
export const setKey = (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY));
export const root = () => ROOT.href;

/** One call; the parsed answer. `signal` cancels it. Raises ApiError with the server's message. */
export async function call(method, path, body, signal) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key()) headers["x-chroma-token"] = key();
  let response;
  try {
    response = await fetch(ROOT.href + path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "NetworkError", "The server does not answer");
  }
  const text = await response.text();
  let parsed = null;
  try { parsed = text ? JSON.parse(text) : null; } catch { /* a proxy's own page: reported below by its status */ }
  const role = response.headers.get("afterglow-role"); // of the identity
  if (role) document.body.dataset.role = role;
  if (!response.ok) throw new ApiError(response.status, parsed?.error ?? "", parsed?.message ?? response.statusText);
  return parsed;
}

const part = encodeURIComponent;

/** The calls of one database. */
export function database(tenant, name) {
  const base = `/tenants/${part(tenant)}/databases/${part(name)}/collections`;
  return {
    tenant, name, base,
    list: (limit, offset) => call("GET", `${base}?limit=${limit}&offset=${offset}`),
    total: () => call("GET", `/tenants/${part(tenant)}/databases/${part(name)}/collections_count`),
    create: (body) => call("POST", base, body),
    remove: (collection) => call("DELETE", `${base}/${part(collection)}`),
    byName: (collection) => call("GET", `${base}/${part(collection)}`),
  };
}

/** The calls of one collection, as it is or, with `at`, as it was. */
export function collection(db, id) {
  const base = `${db.base}/${id}`;
  const when = (at) => (at ? `?at=${part(at)}` : "");
  return {
    base,
    get: (body, at, signal) => call("POST", `${base}/get${when(at)}`, body, signal),
    query: (body, at) => call("POST", `${base}/query${when(at)}`, body),
    search: (body, at) => call("POST", `${base}/search${when(at)}`, body),
    count: (at) => call("GET", `${base}/count${when(at)}`),
    status: () => call("GET", `${base}/indexing_status`),
    write: (operation, body) => call("POST", `${base}/${operation}`, body),
    fork: (name, at) => call("POST", `${base}/fork${when(at)}`, { new_name: name }),
    update: (body) => call("PUT", base, body),
  };
}
