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
  const halves = new Uint16Array(bytes.slice(start, start + 2 * count));
  const numbers = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const sign = halves[i] >> 15 ? -1 : 1, exponent = (halves[i] >> 10) & 31, rest = halves[i] & 1023;
    numbers[i] = sign * (exponent === 31 ? (rest ? NaN : Infinity)
      : exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -24 * rest);
  }
  return numbers;
}

// Loops without a call in them are several times as fast.
const UNARY = {
  relu: (x, y) => { for (let i = 0; i < y.length; i++) y[i] = Math.max(x[i], 0); },
  leaky_relu: (x, y, alpha) => { for (let i = 0; i < y.length; i++) y[i] = x[i] > 0 ? x[i] : alpha * x[i]; },
  tanh: (x, y) => { for (let i = 0; i < y.length; i++) y[i] = Math.tanh(x[i]); },
  square: (x, y) => { for (let i = 0; i < y.length; i++) y[i] = x[i] * x[i]; },
  abs: (x, y) => { for (let i = 0; i < y.length; i++) y[i] = Math.abs(x[i]); },
};

const BINARY = {
  add: (a, b, y) => { for (let i = 0; i < y.length; i++) y[i] = a[i] + b[i]; },
  sub: (a, b, y) => { for (let i = 0; i < y.length; i++) y[i] = a[i] - b[i]; },
  mul: (a, b, y) => { for (let i = 0; i < y.length; i++) y[i] = a[i] * b[i]; },
  div: (a, b, y) => { for (let i = 0; i < y.length; i++) y[i] = a[i] / b[i]; },
  maximum: (a, b, y) => { for (let i = 0; i < y.length; i++) y[i] = Math.max(a[i], b[i]); },
  minimum: (a, b, y) => { for (let i = 0; i < y.length; i++) y[i] = Math.min(a[i], b[i]); },
};

/** Repeat a single number, or a number for each channel, to a length. */
function repeated(x, count) {
  if (x.length === count) return x;
  const y = new Float32Array(count);
  if (x.length === 1) return y.fill(x[0]);
  for (let i = 0; i < count; i += x.length) y.set(x, i);
  return y;
}

// Each makes, once, a function that computes the operation.
// It is given the operation, the shapes of its inputs and of its result, and its weights.
const OPERATIONS = {
  reshape: () => (x) => x,

  unary({ fn, alpha }, _, shape) {
    const count = size(shape);
    return (x) => {
      const y = new Float32Array(count);
      UNARY[fn](x, y, alpha);
      return y;
    };
  },

  binary({ fn }, _, shape) {
    const count = size(shape);
    return (a, b) => {
      const y = new Float32Array(count);
      BINARY[fn](repeated(a, count), repeated(b, count), y);
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

  max_pool({ stride, padding, window }, shapes, shape) {
    const [, rows, columns, channels] = shapes[0], [, outRows, outColumns] = shape;
    return (x) => {
      const y = new Float32Array(size(shape)).fill(-Infinity);
      for (let row = 0, to = 0; row < outRows; row++) {
        const top = row * stride[0] - padding[0], bottom = Math.min(top + window[0], rows);
        for (let column = 0; column < outColumns; column++, to += channels) {
          const left = column * stride[1] - padding[1], right = Math.min(left + window[1], columns);
          for (let r = Math.max(top, 0); r < bottom; r++) {
            for (let c = Math.max(left, 0); c < right; c++) {
              const from = (r * columns + c) * channels;
              for (let i = 0; i < channels; i++) y[to + i] = Math.max(y[to + i], x[from + i]);
            }
          }
        }
      }
      return y;
    };
  },

  channel_max(_, shapes, shape) {
    const channels = shapes[0].at(-1), count = size(shape);
    return (x) => {
      const y = new Float32Array(count).fill(-Infinity);
      for (let i = 0; i < x.length; i++) {
        const to = Math.floor(i / channels);
        y[to] = Math.max(y[to], x[i]);
      }
      return y;
    };
  },

  take({ axes }, shapes) {
    const step = shapes[0].map((_, axis) => size(shapes[0].slice(axis + 1)));
    let from = [0];
    axes.forEach((list, axis) => {
      from = from.flatMap((base) => list.map((place) => base + place * step[axis]));
    });
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

  bilinear(_, shapes, shape) {
    const [, rows, columns, channels] = shapes[0], [, outRows, outColumns] = shape;
    const between = (length, outLength) => range(outLength).map((i) => {  // two places, and a weight
      const at = Math.min(Math.max((i + 0.5) * length / outLength - 0.5, 0), length - 1);
      return [Math.floor(at), Math.min(Math.floor(at) + 1, length - 1), at % 1];
    });
    const vertical = between(rows, outRows), horizontal = between(columns, outColumns);
    return (x) => {
      const y = new Float32Array(size(shape));
      let to = 0;
      for (const [top, bottom, v] of vertical) {
        for (const [left, right, h] of horizontal) {
          const [a, b, c, d] = [[top, left], [top, right], [bottom, left], [bottom, right]]
            .map(([row, column]) => (row * columns + column) * channels);
          for (let i = 0; i < channels; i++, to++) {
            y[to] = (1 - v) * ((1 - h) * x[a + i] + h * x[b + i]) + v * ((1 - h) * x[c + i] + h * x[d + i]);
          }
        }
      }
      return y;
    };
  },
};

const range = (count) => Array.from({ length: count }, (_, i) => i);

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
