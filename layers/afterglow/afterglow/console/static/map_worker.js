// Places vectors in the plane: first by principal components, then by arranging nearest neighbours.
//
// The first answer is a projection on the two largest principal components (power iteration with deflation). Then a
// neighbour embedding: edges to the 10 nearest neighbours in 24 principal components pull, random pairs push
// (negative sampling as in LargeVis, Tang et al. 2016, and UMAP, McInnes et al. 2018).

const COMPONENTS = 24, NEIGHBOURS = 10, EPOCHS = 120, NEGATIVE = 4;

let state = 12345;
const random = () => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return state / 4294967296; };

/** The rows' coordinates on the first `wanted` principal components. */
export function principal(vectors, dimension, wanted) {
  const rows = vectors.length / dimension;
  const centred = Float32Array.from(vectors);
  const mean = new Float64Array(dimension);
  for (let at = 0; at < centred.length; at++) mean[at % dimension] += centred[at] / rows;
  for (let at = 0; at < centred.length; at++) centred[at] -= mean[at % dimension];
  const found = [];
  const count = Math.min(wanted, dimension);
  const coordinates = new Float32Array(rows * wanted);
  for (let component = 0; component < count; component++) {
    let axis = Float64Array.from({ length: dimension }, () => random() - 0.5);
    for (let step = 0; step < (component < 2 ? 12 : 5); step++) {
      const next = new Float64Array(dimension);
      for (let row = 0, base = 0; row < rows; row++, base += dimension) {
        let dot = 0;
        for (let at = 0; at < dimension; at++) dot += centred[base + at] * axis[at];
        for (let at = 0; at < dimension; at++) next[at] += dot * centred[base + at];
      }
      for (const other of found) {
        let dot = 0;
        for (let at = 0; at < dimension; at++) dot += next[at] * other[at];
        for (let at = 0; at < dimension; at++) next[at] -= dot * other[at];
      }
      const length = Math.hypot(...next) || 1;
      axis = next.map((value) => value / length);
    }
    found.push(axis);
    for (let row = 0, base = 0; row < rows; row++, base += dimension) {
      let dot = 0;
      for (let at = 0; at < dimension; at++) dot += centred[base + at] * axis[at];
      coordinates[row * wanted + component] = dot;
    }
  }
  return coordinates;
}

/** Points scaled into the square from -0.95 to 0.95, outliers cut at the 0.5th percentile of both sides. */
export function scaled(coordinates, stride) {
  const rows = coordinates.length / stride, points = new Float32Array(2 * rows);
  for (const axis of [0, 1]) {
    const sorted = Float32Array.from({ length: rows }, (_, row) => coordinates[row * stride + axis]).sort();
    const low = sorted[Math.floor(0.005 * (rows - 1))], high = sorted[Math.ceil(0.995 * (rows - 1))];
    for (let row = 0; row < rows; row++) {
      const share = high > low ? (coordinates[row * stride + axis] - low) / (high - low) : 0.5;
      points[2 * row + axis] = 1.9 * Math.min(1, Math.max(0, share)) - 0.95;
    }
  }
  return points;
}

function neighbours(coordinates, stride, k) {
  const rows = coordinates.length / stride, found = new Int32Array(rows * k).fill(-1), distances = new Float32Array(k);
  for (let row = 0; row < rows; row++) {
    distances.fill(Infinity);
    for (let other = 0; other < rows; other++) {
      if (other === row) continue;
      let distance = 0;
      for (let at = 0; at < stride; at++) { const gap = coordinates[row * stride + at] - coordinates[other * stride + at]; distance += gap * gap; }
      if (distance >= distances[k - 1]) continue;
      let place = k - 1;
      while (place > 0 && distances[place - 1] > distance) { distances[place] = distances[place - 1]; found[row * k + place] = found[row * k + place - 1]; place--; }
      distances[place] = distance;
      found[row * k + place] = other;
    }
  }
  return found;
}

function arrange(start, edges, k, report) {
  const rows = start.length / 2, points = Float32Array.from(start, (value) => 10 * value);
  const push = (from, to, strength, rate) => {
    const dx = points[2 * from] - points[2 * to], dy = points[2 * from + 1] - points[2 * to + 1], square = dx * dx + dy * dy;
    const factor = strength > 0 ? 2 * rate / ((0.01 + square) * (1 + square)) : -2 * rate / (1 + square);
    const cut = (value) => Math.min(4, Math.max(-4, value)) ;
    points[2 * from] += rate * cut(factor * dx / rate);
    points[2 * from + 1] += rate * cut(factor * dy / rate);
  };
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const rate = 1 - epoch / EPOCHS;
    for (let row = 0; row < rows; row++) {
      for (let at = 0; at < k; at++) {
        const other = edges[row * k + at];
        if (other < 0) continue;
        push(row, other, -1, rate);
        push(other, row, -1, rate);
        for (let extra = 0; extra < NEGATIVE / 2; extra++) push(row, Math.floor(random() * rows), 1, rate);
      }
    }
    if (epoch % 10 === 9) report(points, (epoch + 1) / EPOCHS);
  }
  return points;
}

self.onmessage = ({ data: { vectors, dimension } }) => {
  const coordinates = principal(vectors, dimension, COMPONENTS);
  const plane = scaled(coordinates, COMPONENTS);
  const rows = plane.length / 2, k = Math.min(NEIGHBOURS, rows - 1);
  self.postMessage({ points: plane, stage: "components", done: k < 2, progress: 0 });
  if (k < 2) return;
  const edges = neighbours(coordinates, COMPONENTS, k);
  const arranged = arrange(plane, edges, k, (points, progress) => self.postMessage({ points: scaled(points, 2), stage: "neighbours", done: false, progress }));
  self.postMessage({ points: scaled(arranged, 2), stage: "done", done: true, progress: 1 });
};
