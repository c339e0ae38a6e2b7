"use strict";
// What a seed stands for: the latent that TensorFlow's stateless functions draw, with Philox
// 4x32-10 (Salmon et al. 2011) and Box and Muller's transform, and a condition. See gan/sampling.py.

const SPREAD = 0xb7e151628aed2a6bn;  // e modulo 1, in units of 2^-64
const SCRAMBLE = [0x3ec8f720, 0x02461e29];  // the key that TensorFlow turns seeds into keys with

/** Return the four words of 32 bits that Philox makes of a counter of four and a key of two. */
function philox(counter, key) {
  let [a, b, c, d] = counter, [k, l] = key;
  for (let round = 0; round < 10; round++) {
    const highA = highWord(0xd2511f53, a), lowA = Math.imul(0xd2511f53, a);
    const highC = highWord(0xcd9e8d57, c), lowC = Math.imul(0xcd9e8d57, c);
    [a, b, c, d] = [highC ^ b ^ k, lowC, highA ^ d ^ l, lowA].map((word) => word >>> 0);
    k = (k + 0x9e3779b9) >>> 0;
    l = (l + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

/** Return the upper 32 bits of a product of two words, from products of halves. */
function highWord(a, b) {
  const a1 = a >>> 16, a0 = a & 0xffff, b1 = b >>> 16, b0 = b & 0xffff;
  const middle = a1 * b0 + ((a0 * b0) >>> 16), other = a0 * b1 + (middle & 0xffff);
  return a1 * b1 + Math.floor(middle / 65536) + Math.floor(other / 65536);
}

/** Return the function that draws four words at a time from a seed (a BigInt). */
function streamOf(seed) {
  const low = Number(seed & 0xffffffffn), high = Number((seed >> 32n) & 0xffffffffn);
  const [k, l, c, d] = philox([low, high, 0, 0], SCRAMBLE);
  return (block) => philox([block, 0, c, d], [k, l]);
}

/** Return the latent of a seed: Float32Array of standard normal numbers. */
function latentOf(seed, length) {
  const draw = streamOf(seed), latent = new Float32Array(length);
  const uniform = (word) => (word & 0x7fffff) / 0x800000;
  for (let i = 0; i < length; i += 4) {
    const words = draw(i / 4);
    for (const half of [0, 2]) {
      const radius = Math.sqrt(-2 * Math.log(Math.max(uniform(words[half]), Math.fround(1e-7))));
      const angle = Math.fround(2 * Math.PI * uniform(words[half + 1]));
      if (i + half < length) latent[i + half] = Math.sin(angle) * radius;
      if (i + half + 1 < length) latent[i + half + 1] = Math.cos(angle) * radius;
    }
  }
  return latent;
}

/** Return the condition of a seed, a number from 0, each as often as its probability says. */
function conditionOf(seed, probabilities) {
  const place = Number(BigInt.asIntN(64, seed * SPREAD) >> 12n) / 2 ** 52 + 0.5;
  let total = 0;
  const ends = probabilities.map((probability) => (total += probability));
  return ends.filter((end) => end <= place * total).length;
}
