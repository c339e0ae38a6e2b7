"use strict";
// The interpreter: computes a sample from the list of operations that gan.playground.network wrote.
// Arrays are Float32Array, channels last, one sample at a time. This text runs in a worker as well.

/** Return a function of {name: Float32Array} that computes one sample. */
function makeNetwork(description, bytes) {
  const { shapes, inputs, operations, constants, output } = description;
  const values = shapes.map(() => null);
  for (const one of constants) values[one.tensor] = decode(bytes, one);
  const steps = operations.map((operation) => ({
    from: operation.in,
    to: operation.out,
    compute: OPERATIONS[operation.op](operation, operation.in.map((number) => shapes[number]),
                                      shapes[operation.out], values[operation.in[1]]),
  }));
  return (given) => {
    for (const name in inputs) values[inputs[name]] = given[name];
    for (const { compute, from, to } of steps) {
      values[to] = compute(values[from[0]], values[from[1]], from.map((number) => values[number]));
    }
    return values[output];
  };
}

const size = (shape) => shape.reduce((product, length) => product * length, 1);

/** Return numbers as Float32Array, of float32 or of float16 (IEEE 754), both little-endian. */
function decode(bytes, { start, count, half }) {
  if (!half) return new Float32Array(bytes.slice(start, start + 4 * count));
  const halves = new Uint16Array(bytes, start, count), numbers = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const sign = halves[i] >> 15 ? -1 : 1, exponent = (halves[i] >> 10) & 31, rest = halves[i] & 1023;
    numbers[i] = sign * (exponent === 31 ? (rest ? NaN : Infinity)
      : exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -24 * rest);
  }
  return numbers;
}

const UNARY = {
  relu: (v) => (v > 0 ? v : 0),
  relu6: (v) => Math.min(Math.max(v, 0), 6),
  leaky_relu: (v, alpha) => (v > 0 ? v : alpha * v),
  elu: (v) => (v > 0 ? v : Math.expm1(v)),
  selu: (v) => 1.0507009873554805 * (v > 0 ? v : 1.6732632423543772 * Math.expm1(v)),
  softplus: (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))),
  softsign: (v) => v / (1 + Math.abs(v)),
  tanh: Math.tanh, exp: Math.exp, log: Math.log, sqrt: Math.sqrt, abs: Math.abs,
  sin: Math.sin, cos: Math.cos,
  sigmoid: (v) => 1 / (1 + Math.exp(-v)),
  neg: (v) => -v,
  rsqrt: (v) => 1 / Math.sqrt(v),
  square: (v) => v * v,
  reciprocal: (v) => 1 / v,
};

const BINARY = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
  pow: Math.pow,
  squared_difference: (a, b) => (a - b) * (a - b),
};

const REDUCTIONS = {  // how two numbers become one, and where that begins
  sum: [BINARY.add, 0], mean: [BINARY.add, 0], max: [Math.max, -Infinity], min: [Math.min, Infinity],
};

// Each makes, once, a function that computes the operation.
// It is given the operation, the shapes of its inputs and of its result, and its weights.
const OPERATIONS = {
  reshape: () => (x) => x,

  unary({ fn, alpha = 0 }, _, shape) {
    const compute = UNARY[fn], count = size(shape);
    if (fn === "relu" || fn === "leaky_relu") {  // the most frequent, without a call
      return (x) => {
        const y = new Float32Array(count);
        for (let i = 0; i < count; i++) y[i] = x[i] > 0 ? x[i] : alpha * x[i];
        return y;
      };
    }
    return (x) => Float32Array.from(x, (v) => compute(v, alpha));
  },

  // One of the two may be a single number, or a number for each channel.
  binary({ fn }, shapes, shape) {
    const compute = BINARY[fn], count = size(shape), lengths = shapes.map(size);
    const inner = Math.min(...lengths.map((length) => (length > 1 ? length : count)));
    const [stepA, stepB] = lengths.map((length) => (length > 1 ? 1 : 0));
    const [wholeA, wholeB] = lengths.map((length) => length === count && count > 1);
    return (a, b) => {
      const y = new Float32Array(count);
      for (let start = 0; start < count; start += inner) {
        let p = wholeA ? start : 0, q = wholeB ? start : 0;
        const end = start + inner;
        if (fn === "add") {
          for (let i = start; i < end; i++, p += stepA, q += stepB) y[i] = a[p] + b[q];
        } else if (fn === "mul") {
          for (let i = start; i < end; i++, p += stepA, q += stepB) y[i] = a[p] * b[q];
        } else {
          for (let i = start; i < end; i++, p += stepA, q += stepB) y[i] = compute(a[p], b[q]);
        }
      }
      return y;
    };
  },

  matmul(_, shapes, shape) {
    const inputs = shapes[1][0], outputs = shapes[1][1], rows = size(shape) / outputs;
    return (x, weights) => {
      const y = new Float32Array(rows * outputs);
      for (let row = 0; row < rows; row++) {
        addProducts(x.subarray(row * inputs, (row + 1) * inputs), weights, outputs,
                    y.subarray(row * outputs, (row + 1) * outputs));
      }
      return y;
    };
  },

  conv({ stride, padding }, shapes, shape, weights) {
    const [, rows, columns, channels] = shapes[0], [height, width, , filters] = shapes[1];
    const [, outRows, outColumns] = shape, [down, right] = stride;
    const kernel = pack(weights, shapes[1], range(height), range(width));
    const frame = makeFrame(rows, columns, channels, padding,
                            [(outRows - 1) * down + height, (outColumns - 1) * right + width]);
    return (x) => {
      const padded = frame.fill(x), y = new Float32Array(size(shape));
      for (let row = 0; row < outRows; row++) {
        correlate(padded, row * down * frame.rowLength, right * channels, frame.rowLength,
                  kernel, y, row * outColumns * filters, filters, outColumns, filters);
      }
      return y;
    };
  },

  // Every stride-th row and column of the result sees the same few weights: a transposed
  // convolution is as many small convolutions as the stride has phases.
  transposed({ stride, padding }, shapes, shape, weights) {
    const [, rows, columns, channels] = shapes[0], [height, width, , filters] = shapes[1];
    const [, outRows, outColumns] = shape;
    const vertical = phases(height, stride[0], padding[0], outRows);
    const horizontal = phases(width, stride[1], padding[1], outColumns);
    const above = Math.ceil(height / stride[0]) - 1, left = Math.ceil(width / stride[1]) - 1;
    const frame = makeFrame(rows, columns, channels, [above, left],
                            [above + vertical.furthest + 1, left + horizontal.furthest + 1]);
    const parts = vertical.list.flatMap((v) => horizontal.list.map((h) => ({
      v, h, kernel: pack(weights, shapes[1], v.taps, h.taps) })));
    return (x) => {
      const padded = frame.fill(x), y = new Float32Array(size(shape));
      for (const { v, h, kernel } of parts) {
        for (let i = 0; i < v.count; i++) {
          const from = (v.source + i + 1 - v.taps.length + above) * frame.rowLength
            + (h.source + 1 - h.taps.length + left) * channels;
          const to = ((v.first + i * stride[0]) * outColumns + h.first) * filters;
          correlate(padded, from, channels, frame.rowLength,
                    kernel, y, to, stride[1] * filters, h.count, filters);
        }
      }
      return y;
    };
  },

  depthwise({ stride, padding }, shapes, shape) {
    const [, rows, columns, channels] = shapes[0], [height, width, , times] = shapes[1];
    const [, outRows, outColumns, filters] = shape, [down, right] = stride;
    const frame = makeFrame(rows, columns, channels, padding,
                            [(outRows - 1) * down + height, (outColumns - 1) * right + width]);
    return (x, weights) => {
      const padded = frame.fill(x), y = new Float32Array(size(shape));
      for (let row = 0, to = 0; row < outRows; row++) {
        for (let column = 0; column < outColumns; column++, to += filters) {
          for (let a = 0, w = 0; a < height; a++) {
            let from = (row * down + a) * frame.rowLength + column * right * channels;
            for (let b = 0; b < width; b++) {
              for (let filter = 0; filter < filters; filter += times, from++) {
                for (let m = 0; m < times; m++) y[to + filter + m] += padded[from] * weights[w++];
              }
            }
          }
        }
      }
      return y;
    };
  },

  take({ axes, fill }, shapes) {
    const step = strides(shapes[0]);
    const from = places(axes.map((list, axis) => list.map((i) => (i < 0 ? -1 : i * step[axis]))));
    return (x) => Float32Array.from(from, (place) => (place < 0 ? fill : x[place]));
  },

  permute({ order }, shapes) {
    const step = strides(shapes[0]);
    const from = places(order.map((axis) => range(shapes[0][axis]).map((i) => i * step[axis])));
    return (x) => Float32Array.from(from, (place) => x[place]);
  },

  concat({ axis }, shapes, shape) {
    const runs = shapes.map((one) => size(one.slice(axis))), total = size(shape.slice(axis));
    return (_x, _y, parts) => {
      const y = new Float32Array(size(shape));
      for (let start = 0, row = 0; start < y.length; row++) {
        for (let part = 0; part < parts.length; part++) {
          y.set(parts[part].subarray(row * runs[part], (row + 1) * runs[part]), start);
          start += runs[part];
        }
      }
      return y;
    };
  },

  blend({ axis, places: sources, weights }, shapes, shape) {
    const before = size(shape.slice(0, axis)), inner = size(shape.slice(axis + 1));
    const length = shapes[0][axis], outLength = shape[axis];
    return (x) => {
      const y = new Float32Array(size(shape));
      for (let o = 0; o < before; o++) {
        for (let i = 0; i < outLength; i++) {
          const to = (o * outLength + i) * inner;
          for (let tap = 0; tap < sources[i].length; tap++) {
            const from = (o * length + sources[i][tap]) * inner, weight = weights[i][tap];
            for (let j = 0; j < inner; j++) y[to + j] += weight * x[from + j];
          }
        }
      }
      return y;
    };
  },

  reduce({ fn, axes }, shapes, shape) {
    const [join, begin] = REDUCTIONS[fn];
    const kept = shapes[0].map((length, axis) => (axes.includes(axis) ? 1 : length));
    const step = strides(kept).map((one, axis) => (axes.includes(axis) ? 0 : one));
    const to = places(shapes[0].map((length, axis) => range(length).map((i) => i * step[axis])));
    const divisor = fn === "mean" ? to.length / size(shape) : 1;
    return (x) => {
      const totals = new Float64Array(size(shape)).fill(begin);
      for (let i = 0; i < x.length; i++) totals[to[i]] = join(totals[to[i]], x[i]);
      return Float32Array.from(totals, (total) => total / divisor);
    };
  },

  softmax(_, shapes) {
    const length = shapes[0].at(-1);
    return (x) => {
      const y = new Float32Array(x.length);
      for (let start = 0; start < x.length; start += length) {
        const row = x.subarray(start, start + length), largest = Math.max(...row);
        const powers = Array.from(row, (v) => Math.exp(v - largest));
        const total = powers.reduce((sum, power) => sum + power, 0);
        powers.forEach((power, i) => { y[start + i] = power / total; });
      }
      return y;
    };
  },
};

const range = (count) => Array.from({ length: count }, (_, i) => i);
const strides = (shape) => shape.map((_, axis) => size(shape.slice(axis + 1)));

/** Return the sum of one offset of each axis for every place of a result, -1 where one is -1. */
function places(axes) {
  let all = Int32Array.of(0);
  for (const offsets of axes) {
    const next = new Int32Array(all.length * offsets.length);
    let n = 0;
    for (const base of all) {
      for (const offset of offsets) next[n++] = base < 0 || offset < 0 ? -1 : base + offset;
    }
    all = next;
  }
  return all;
}

/** Add x · weights to y; four rows of weights at a time, and none for a zero. */
function addProducts(x, weights, outputs, y) {
  const used = [];
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) used.push(i);
  for (let n = 0; n < used.length; n += 4) {
    const [i, j, k, l] = [0, 1, 2, 3].map((more) => used[n + more] ?? used[n]);
    const a = x[i], [b, c, d] = [1, 2, 3].map((more) => x[used[n + more]] ?? 0);
    const p = i * outputs, q = j * outputs, r = k * outputs, s = l * outputs;
    for (let o = 0; o < outputs; o++) {
      y[o] += a * weights[p + o] + b * weights[q + o] + c * weights[r + o] + d * weights[s + o];
    }
  }
}

/** A buffer with zeros around an input; float64, as the loops compute in it. */
function makeFrame(rows, columns, channels, [above, left], [leastRows, leastColumns]) {
  const width = Math.max(left + columns, leastColumns), height = Math.max(above + rows, leastRows);
  const rowLength = width * channels, values = new Float64Array(height * rowLength);
  const fill = (x) => {
    for (let row = 0; row < rows; row++) {
      values.set(x.subarray(row * columns * channels, (row + 1) * columns * channels),
                 (above + row) * rowLength + left * channels);
    }
    return values;
  };
  return { rowLength, fill };
}

/** The phases of one axis of a transposed convolution: which results see which weights. */
function phases(length, stride, padding, results) {
  const list = range(Math.min(stride, results)).map((first) => {
    const offset = (first + padding) % stride;
    const taps = range(length).filter((tap) => tap % stride === offset).reverse();
    return { first, taps, source: Math.floor((first + padding) / stride),
             count: Math.ceil((results - first) / stride) };
  });
  return { list, furthest: Math.floor((results - 1 + padding) / stride) };
}

/** Weights of some rows and columns of a kernel, in the order in which `correlate` reads them. */
function pack(weights, [, width, channels, filters], rows, columns) {
  const run = columns.length * channels, blocks = Math.ceil(filters / 4);
  const packed = new Float64Array(blocks * rows.length * run * 4);
  let n = 0;
  for (let block = 0; block < blocks; block++) {
    for (const row of rows) {
      for (const column of columns) {
        for (let channel = 0; channel < channels; channel++) {
          const from = ((row * width + column) * channels + channel) * filters + 4 * block;
          for (let i = 0; i < 4; i++, n++) if (4 * block + i < filters) packed[n] = weights[from + i];
        }
      }
    }
  }
  return { weights: packed, height: rows.length, run };
}

/** One row of a convolution: two places and four filters at a time, in registers. */
function correlate(x, from, fromStep, rowLength, kernel, y, to, toStep, count, filters) {
  const { weights, height, run } = kernel;
  for (let block = 0; block < filters; block += 4) {
    const some = Math.min(4, filters - block), begin = block * height * run;
    for (let place = 0; place < count; place += 2) {
      const two = place + 1 < count;
      let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, w = begin;
      for (let row = 0; row < height; row++) {
        let i = from + place * fromStep + row * rowLength;
        let j = two ? i + fromStep : i;
        for (const end = i + run; i < end; i++, j++, w += 4) {
          const u = x[i], v = x[j];
          const w0 = weights[w], w1 = weights[w + 1], w2 = weights[w + 2], w3 = weights[w + 3];
          a += u * w0; b += u * w1; c += u * w2; d += u * w3;
          e += v * w0; f += v * w1; g += v * w2; h += v * w3;
        }
      }
      const o = to + place * toStep + block, p = o + toStep;
      y[o] = a;
      if (some > 1) y[o + 1] = b;
      if (some > 2) y[o + 2] = c;
      if (some > 3) y[o + 3] = d;
      if (two) {
        y[p] = e;
        if (some > 1) y[p + 1] = f;
        if (some > 2) y[p + 2] = g;
        if (some > 3) y[p + 3] = h;
      }
    }
  }
}
