// The map: a sample of the records in two dimensions, coloured by a key, with the hits of the last search lit.
import { field, guarded, h, show } from "./dom.js";
import { openRecord } from "./records.js";

const SAMPLE = 5000, PAGES = 10;
const COLOURS = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#86bcb6"];
const OTHER = "#8a8f98";

/** Colours by value: the commonest nine values of a key, else one colour for all. */
export function colouring(metadatas, key) {
  const counts = new Map();
  for (const metadata of metadatas) {
    const value = metadata?.[key];
    if (value !== undefined && typeof value !== "object") counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  const top = [...counts].sort((a, b) => b[1] - a[1]).slice(0, COLOURS.length - 1).map(([value]) => value);
  const colours = new Map(top.map((value, index) => [value, COLOURS[index]]));
  return { of: (metadata) => colours.get(metadata?.[key]) ?? OTHER, legend: [...colours] };
}

/** A sample of the collection, read in pages spread over it. */
async function sample(context, size) {
  const count = await context.api.count();
  const pages = Math.min(PAGES, Math.max(1, Math.ceil(count / 500)));
  const limit = Math.ceil(Math.min(size, count) / pages);
  const offsets = Array.from({ length: pages }, (_, page) => Math.floor(page * count / pages));
  const parts = await Promise.all(offsets.map((offset) => context.api.get({ limit, offset, include: ["embeddings", "metadatas"] })));
  const ids = parts.flatMap((part) => part.ids);
  const dimension = parts[0].embeddings[0]?.length ?? 0;
  const vectors = new Float32Array(ids.length * dimension);
  let row = 0;
  for (const part of parts) for (const embedding of part.embeddings) vectors.set(embedding, dimension * row++);
  return { ids, metadatas: parts.flatMap((part) => part.metadatas), vectors, dimension, count };
}

/** The tab. */
export function mapTab(context) {
  const canvas = h("canvas", { tabindex: "0", role: "img", "aria-label": "Map of the collection; arrow keys move between points, Enter opens one" });
  const status = h("p", { class: "soft", "aria-live": "polite" }, "Loading a sample …");
  const controls = h("div", { class: "bar" });
  const legend = h("ul", { class: "legend" });
  const worker = new Worker("console/map_worker.js", { type: "module" });
  let data = null, points = null, colours = { of: () => OTHER, legend: [] }, view = { x: 0, y: 0, scale: 1 }, cursor = -1;
  const lit = new Set(context.lastHits());

  const place = (index) => [
    (points[2 * index] * view.scale + view.x) * canvas.width / 2 + canvas.width / 2,
    (points[2 * index + 1] * view.scale + view.y) * canvas.height / 2 + canvas.height / 2,
  ];
  function draw() {
    if (!points) return;
    const scale = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const order = [...data.ids.keys()].sort((a, b) => lit.has(data.ids[a]) - lit.has(data.ids[b]));
    for (const index of order) {
      const [x, y] = place(index), hit = lit.has(data.ids[index]);
      pen.globalAlpha = hit || lit.size === 0 ? 0.85 : 0.3;
      pen.fillStyle = colours.of(data.metadatas[index]);
      pen.beginPath();
      pen.arc(x, y, (hit ? 5 : 2.2) * scale, 0, 7);
      pen.fill();
      if (hit || index === cursor) {
        pen.globalAlpha = 1;
        pen.strokeStyle = style.getPropertyValue("--ink");
        pen.lineWidth = 1.5 * scale;
        pen.stroke();
      }
    }
  }
  function nearest(x, y, far) {
    let best = -1, least = far * far;
    for (let index = 0; index < data.ids.length; index++) {
      const [px, py] = place(index), distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [index, distance];
    }
    return best;
  }
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height]; };
  const open = guarded(async (index) => context.act(await openRecord(context, data.ids[index])));
  let dragged = null;
  canvas.addEventListener("pointerdown", (event) => { dragged = { x: event.clientX, y: event.clientY, moved: false, from: { ...view } }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (!dragged || !points) return;
    const [dx, dy] = [event.clientX - dragged.x, event.clientY - dragged.y];
    if (Math.abs(dx) + Math.abs(dy) > 4) dragged.moved = true;
    view = { ...view, x: dragged.from.x + 2 * dx / canvas.clientWidth, y: dragged.from.y + 2 * dy / canvas.clientHeight };
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    const click = dragged && !dragged.moved;
    dragged = null;
    if (!click || !points) return;
    const found = nearest(...at(event), 12 * (devicePixelRatio || 1));
    if (found >= 0) { cursor = found; draw(); open(found); }
  });
  const zoom = (factor) => { view = { x: view.x * factor, y: view.y * factor, scale: view.scale * factor }; draw(); };
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (!points) return;
    if (event.key === "Enter" && cursor >= 0) return void open(cursor);
    const [sx, sy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] ?? [0, 0];
    if (!sx && !sy) return;
    event.preventDefault();
    const [x, y] = cursor >= 0 ? place(cursor) : [canvas.width / 2, canvas.height / 2];
    let best = cursor, least = Infinity;
    for (let index = 0; index < data.ids.length; index++) {
      const [px, py] = place(index), along = (px - x) * sx + (py - y) * sy, across = Math.abs((px - x) * sy) + Math.abs((py - y) * sx);
      if (along > 0 && along + 3 * across < least) [best, least] = [index, along + 3 * across];
    }
    cursor = best;
    show(status, `at ${data.ids[cursor]}`);
    draw();
  });
  function colourBy(key) {
    colours = colouring(data.metadatas, key);
    show(legend, colours.legend.map(([value, colour]) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = colour;
      return h("li", {}, swatch, h("bdi", { dir: "auto" }, String(value)));
    }), colours.legend.length > 0 && h("li", {}, "others are grey"));
    draw();
  }
  worker.onmessage = ({ data: message }) => {
    points = message.points;
    show(status, message.done ? `${data.ids.length.toLocaleString()} of ${data.count.toLocaleString()} records` : `${data.ids.length.toLocaleString()} records, neighbours are being arranged: ${Math.round(100 * message.progress)} %`);
    canvas.dataset.stage = message.stage;
    draw();
  };
  worker.onerror = (event) => show(status, `The map cannot be drawn: ${event.message}`);
  const observer = new ResizeObserver(draw);
  (async () => {
    data = await sample(context, SAMPLE);
    if (data.ids.length === 0 || data.dimension === 0) return void show(status, "The collection has no records yet");
    const keys = [...new Set(data.metadatas.flatMap((item) => Object.keys(item ?? {})))].slice(0, 300);
    show(controls, field("Colour by", h("select", { onchange: (event) => colourBy(event.target.value) }, h("option", { value: "" }, "nothing"), keys.map((key) => h("option", { value: key }, key)))),
      h("button", { type: "button", onclick: () => zoom(1.4) }, "Larger"), h("button", { type: "button", onclick: () => zoom(1 / 1.4) }, "Smaller"),
      h("button", { type: "button", onclick: () => { view = { x: 0, y: 0, scale: 1 }; draw(); } }, "Whole map"));
    worker.postMessage({ vectors: data.vectors, dimension: data.dimension }, [data.vectors.buffer]);
    observer.observe(canvas);
  })().catch((error) => show(status, error.message));
  context.onleave(() => { worker.terminate(); observer.disconnect(); });
  return [controls, canvas, legend, status];
}
