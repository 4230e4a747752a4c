"use strict";
// The decoder: from codes, as transform returns them, to what is expected of every column.
// Numbers are in double precision, weights in single; see decoder.py, layers.py and links.py.

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// Abramowitz and Stegun (1964), 7.1.26: off by less than 2e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

// Probability that a standard normal number is below x.
const below = (x) => 0.5 * (1 + erf(x / Math.SQRT2));

const SELU_SCALE = 1.0507009873554805, SELU_ALPHA = 1.6732632423543772;

const ACTIVATIONS = {
  silu: (x) => x * sigmoid(x),
  relu: (x) => Math.max(x, 0),
  leaky_relu: (x, layer) => (x > 0 ? x : x * layer.negative_slope),
  gelu: (x) => x * below(x),
  elu: (x, layer) => (x > 0 ? x : layer.alpha * Math.expm1(x)),
  selu: (x) => SELU_SCALE * (x > 0 ? x : SELU_ALPHA * Math.expm1(x)),
  tanh: (x) => Math.tanh(x),
};

const LAYERS = {
  dense(layer, x) {
    const y = Float64Array.from(layer.bias), { weight } = layer;
    for (let i = 0, k = 0; i < y.length; i++) for (let j = 0; j < x.length; j++) y[i] += weight[k++] * x[j];
    return y;
  },
  // A factor and a number for each unit, or for each map of several units.
  line(layer, x) {
    const size = x.length / layer.factor.length;
    return x.map((value, i) => value * layer.factor[Math.floor(i / size)] + layer.added[Math.floor(i / size)]);
  },
  normalized(layer, x) {
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    const deviation = Math.sqrt(variance + layer.eps);
    return x.map((value) => (value - mean) / deviation);
  },
  residual(layer, x) {
    const added = through(layer.layers, x);
    return x.map((value, i) => value + added[i]);
  },
  // A transposed convolution: every number of every map is spread by a kernel.
  up(layer, x) {
    const [nIn, height, width] = layer.before, [nOut, tall, broad] = layer.after;
    const [kHigh, kWide] = layer.kernel, [down, across] = layer.stride, [top, left] = layer.padding;
    const y = new Float64Array(nOut * tall * broad);
    for (let o = 0; o < nOut; o++) y.fill(layer.bias[o], o * tall * broad, (o + 1) * tall * broad);
    for (let c = 0, at = 0; c < nIn; c++) for (let r = 0; r < height; r++) for (let s = 0; s < width; s++, at++) {
      for (let o = 0; o < nOut; o++) for (let k = 0; k < kHigh; k++) {
        const row = r * down + k - top;
        if (row < 0 || row >= tall) continue;
        const kernel = ((c * nOut + o) * kHigh + k) * kWide, first = (o * tall + row) * broad;
        for (let l = 0; l < kWide; l++) {
          const column = s * across + l - left;
          if (column >= 0 && column < broad) y[first + column] += x[at] * layer.weight[kernel + l];
        }
      }
    }
    return y;
  },
};

function through(layers, x) {
  for (const layer of layers) {
    const activate = ACTIVATIONS[layer.kind];
    x = activate ? x.map((value) => activate(value, layer)) : LAYERS[layer.kind](layer, x);
  }
  return x;
}

// What is expected of a column, given the outputs: a number; of levels their place and shares.
const LINKS = {
  same: (link, outputs) => ({ value: outputs[link.at] }),
  fixed: (link) => ({ value: link.value }),
  number: (link, outputs) => ({ value: outputs[link.at] * link.factor + link.added }),
  // The mean of what is above zero; the rest is zero.
  exponential(link, outputs) {
    const { noise, shift } = link, middle = outputs[link.at] * link.factor + link.added;
    const mean = Math.exp(middle + noise * noise / 2);
    if (!shift) return { value: mean };
    const deviations = (middle - Math.log(shift)) / noise;
    return { value: Math.max(mean * below(deviations + noise) - shift * below(deviations), 0) };
  },
  share(link, outputs) {
    const share = sigmoid(outputs[link.at]);
    return { value: link.decided ? Number(share >= 0.5) : share, shares: [1 - share, share] };
  },
  intensity(link, outputs) {
    const x = outputs[link.at];
    return { value: Math.abs(x) < 1e-2 ? 0.5 + x / 12 : -1 / Math.expm1(-x) - 1 / x };
  },
  count: (link, outputs) =>
    ({ value: Math.exp(Math.min(Math.max(outputs[link.at], link.low), link.high)) * link.factor }),
  slots(link, outputs) {
    const own = outputs.slice(link.at, link.at + link.n), most = Math.max(...own);
    const parts = own.map((x) => Math.exp(x - most)), sum = parts.reduce((a, b) => a + b, 0);
    const best = own.indexOf(most), shares = [];
    let chosen = -1;
    link.levels.forEach((level, k) => {
      shares[level] = (parts[link.slots[k]] / sum) * link.within[k];
      if (link.slots[k] === best && (chosen < 0 || link.within[k] > link.within[chosen])) chosen = k;
    });
    return { value: link.levels[chosen], shares };
  },
  thresholds(link, outputs) {
    const x = outputs[link.at], shares = [];
    const own = link.upper.map((upper, k) => sigmoid(upper - x) - sigmoid(link.lower[k] - x));
    own.forEach((share, k) => { shares[link.levels[k]] = share; });
    return { value: link.levels[own.indexOf(Math.max(...own))], shares };
  },
  curve(link, outputs) {
    const last = link.values.length - 1;
    const place = ((outputs[link.at] - link.low) / (link.high - link.low)) * last;
    const below = Math.min(Math.max(Math.floor(place), 0), last - 1);
    const share = Math.min(Math.max(place - below, 0), 1);
    return { value: link.values[below] + share * (link.values[below + 1] - link.values[below]) };
  },
};

function ofNetwork(decoder, codes) {
  const hidden = decoder.layers.length ? through(decoder.layers, codes) : new Float64Array(0);
  const both = new Float64Array(codes.length + hidden.length);
  both.set(codes);
  both.set(hidden, codes.length);
  const outputs = LAYERS.dense(decoder.head, both);
  return decoder.columns.map((link) => LINKS[link.kind](link, outputs));
}

// Between the four points around: numbers in proportion, levels those of the nearest.
function ofGrid(decoder, codes, pair, isLevel) {
  const plane = decoder.planes.find(({ codes: own }) => own.every((code) => pair.includes(code)));
  if (!plane) return null;
  const { side } = decoder;
  const places = plane.codes.map((code) => {
    const share = (codes[code] - decoder.low[code]) / (decoder.high[code] - decoder.low[code] || 1);
    return Math.min(Math.max(share, 0), 1) * (side - 1);
  });
  const [x, y] = places.map((place) => Math.min(Math.floor(place), side - 2));
  const [dx, dy] = [places[0] - x, places[1] - y];
  const n = plane.values.length / (side * side);
  const corner = (i, j, column) => plane.values[((y + j) * side + x + i) * n + column];
  return Array.from({ length: n }, (_, column) => {
    if (isLevel[column]) return { value: corner(Math.round(dx), Math.round(dy), column) };
    const near = corner(0, 0, column) * (1 - dx) + corner(1, 0, column) * dx;
    const far = corner(0, 1, column) * (1 - dx) + corner(1, 1, column) * dx;
    return { value: near * (1 - dy) + far * dy };
  });
}

// What the decoder makes of codes: a list by column, or null where the page does not know.
function decoded(decoder, codes, pair, isLevel) {
  const point = Float64Array.from(codes);
  return decoder.kind === "network" ? ofNetwork(decoder, point) : ofGrid(decoder, point, pair, isLevel);
}
