// SHA-256, HMAC-SHA256 and SHA-512. They are written out here because evidence files are hashed piece by
// piece as they are read, and in many small pieces, which the browser's own functions cannot do.

/**
 * The largest integer whose power is not above `value`.
 * @param {bigint} value @param {bigint} power
 */
function integerRoot(value, power) {
  let low = 0n;
  let high = 1n << (BigInt(value.toString(2).length) / power + 1n);
  while (low < high) {
    const middle = (low + high + 1n) >> 1n;
    if (middle ** power <= value) low = middle;
    else high = middle - 1n;
  }
  return low;
}

/** @param {number} count */
function firstPrimes(count) {
  /** @type {bigint[]} */
  const primes = [];
  for (let number = 2n; primes.length < count; number += 1n) {
    if (primes.every((prime) => number % prime !== 0n)) primes.push(number);
  }
  return primes;
}

const MASK_64 = (1n << 64n) - 1n;
/** The first 64 bits behind the point of the cube roots of the first 80 primes. */
const SHA512_CONSTANTS = firstPrimes(80).map((prime) => integerRoot(prime << 192n, 3n) & MASK_64);
/** The first 64 bits behind the point of the square roots of the first 8 primes. */
const SHA512_START = firstPrimes(8).map((prime) => integerRoot(prime << 128n, 2n) & MASK_64);
/** SHA-256 takes the first 32 bits of the same numbers. */
const SHA256_CONSTANTS = Int32Array.from(SHA512_CONSTANTS.slice(0, 64), (it) => Number(it >> 32n) | 0);
const SHA256_START = Int32Array.from(SHA512_START, (it) => Number(it >> 32n) | 0);

const sha256Words = new Int32Array(64);

/**
 * Takes 64 bytes into the state.
 * @param {Int32Array} state @param {Uint8Array} bytes @param {number} from
 */
function sha256Block(state, bytes, from) {
  const words = sha256Words;
  for (let at = 0; at < 16; at += 1, from += 4) {
    words[at] = (bytes[from] << 24) | (bytes[from + 1] << 16) | (bytes[from + 2] << 8) | bytes[from + 3];
  }
  for (let at = 16; at < 64; at += 1) {
    const one = words[at - 15];
    const two = words[at - 2];
    const small0 = ((one >>> 7) | (one << 25)) ^ ((one >>> 18) | (one << 14)) ^ (one >>> 3);
    const small1 = ((two >>> 17) | (two << 15)) ^ ((two >>> 19) | (two << 13)) ^ (two >>> 10);
    words[at] = (words[at - 16] + small0 + words[at - 7] + small1) | 0;
  }
  let a = state[0], b = state[1], c = state[2], d = state[3];
  let e = state[4], f = state[5], g = state[6], h = state[7];
  for (let at = 0; at < 64; at += 1) {
    const large1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const first = (h + large1 + ((e & f) ^ (~e & g)) + SHA256_CONSTANTS[at] + words[at]) | 0;
    const large0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const second = (large0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

/** SHA-256 of what is given piece by piece. */
class Sha256 {
  constructor() {
    this.state = new Int32Array(8);
    this.rest = new Uint8Array(64);
    this.bytes = 0;
    this.waiting = 0;
    this.reset();
  }

  reset() {
    this.state.set(SHA256_START);
    this.bytes = 0;
    this.waiting = 0;
    return this;
  }

  /** @param {Uint8Array} bytes @param {number} [from] @param {number} [end] */
  update(bytes, from = 0, end = bytes.length) {
    this.bytes += end - from;
    if (this.waiting > 0) {
      while (this.waiting < 64 && from < end) this.rest[this.waiting++] = bytes[from++];
      if (this.waiting < 64) return this;
      sha256Block(this.state, this.rest, 0);
      this.waiting = 0;
    }
    for (; end - from >= 64; from += 64) sha256Block(this.state, bytes, from);
    while (from < end) this.rest[this.waiting++] = bytes[from++];
    return this;
  }

  /** The 32 bytes; nothing can be added after. @param {Uint8Array} [digest] where they are put */
  digest(digest = new Uint8Array(32)) {
    const { rest, state, bytes } = this;
    let waiting = this.waiting;
    rest[waiting++] = 0x80;
    if (waiting > 56) {
      rest.fill(0, waiting);
      sha256Block(state, rest, 0);
      waiting = 0;
    }
    rest.fill(0, waiting);
    putUint32(rest, 56, Math.floor(bytes / 0x20000000));
    putUint32(rest, 60, bytes * 8);
    sha256Block(state, rest, 0);
    for (let at = 0; at < 8; at += 1) putUint32(digest, at * 4, state[at]);
    return digest;
  }
}

/** @param {Uint8Array} bytes @param {number} at @param {number} word of which the last 32 bits count */
function putUint32(bytes, at, word) {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}

const oneHasher = new Sha256();

/** @param {...Uint8Array} parts */
function sha256(...parts) {
  oneHasher.reset();
  for (const part of parts) oneHasher.update(part);
  return oneHasher.digest();
}

const keyBlock = new Uint8Array(64);
const innerDigest = new Uint8Array(32);

/**
 * HMAC-SHA256 with a key of at most 64 bytes, over the parts one after the other.
 * @param {Uint8Array} key @param {...Uint8Array} parts
 */
function hmacSha256(key, ...parts) {
  keyBlock.fill(0x36);
  for (let at = 0; at < key.length; at += 1) keyBlock[at] ^= key[at];
  oneHasher.reset().update(keyBlock);
  for (const part of parts) oneHasher.update(part);
  oneHasher.digest(innerDigest);
  keyBlock.fill(0x5c);
  for (let at = 0; at < key.length; at += 1) keyBlock[at] ^= key[at];
  return oneHasher.reset().update(keyBlock).update(innerDigest).digest();
}

/**
 * SHA-512, for signatures alone: short texts, so it need not be fast.
 * @param {Uint8Array} message
 */
function sha512(message) {
  const length = Math.ceil((message.length + 17) / 128) * 128;
  const padded = new Uint8Array(length);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(length - 8, BigInt(message.length) * 8n);
  const state = SHA512_START.slice();
  for (let from = 0; from < length; from += 128) sha512Block(state, view, from);
  const digest = new DataView(new ArrayBuffer(64));
  state.forEach((word, at) => digest.setBigUint64(at * 8, word));
  return new Uint8Array(digest.buffer);
}

/** @param {bigint} word @param {bigint} by */
function rotated(word, by) {
  return ((word >> by) | (word << (64n - by))) & MASK_64;
}

/** @param {bigint[]} state @param {DataView} view @param {number} from */
function sha512Block(state, view, from) {
  /** @type {bigint[]} */
  const words = [];
  for (let at = 0; at < 16; at += 1) words.push(view.getBigUint64(from + at * 8));
  for (let at = 16; at < 80; at += 1) {
    const one = words[at - 15];
    const two = words[at - 2];
    const small0 = rotated(one, 1n) ^ rotated(one, 8n) ^ (one >> 7n);
    const small1 = rotated(two, 19n) ^ rotated(two, 61n) ^ (two >> 6n);
    words.push((words[at - 16] + small0 + words[at - 7] + small1) & MASK_64);
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let at = 0; at < 80; at += 1) {
    const large1 = rotated(e, 14n) ^ rotated(e, 18n) ^ rotated(e, 41n);
    const first = h + large1 + ((e & f) ^ ((e ^ MASK_64) & g)) + SHA512_CONSTANTS[at] + words[at];
    const large0 = rotated(a, 28n) ^ rotated(a, 34n) ^ rotated(a, 39n);
    const second = large0 + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) & MASK_64, c, b, a, (first + second) & MASK_64];
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => {
    state[at] = (state[at] + word) & MASK_64;
  });
}
