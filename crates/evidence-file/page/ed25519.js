// Ed25519 signatures (RFC 8032), by the stricter rules: one encoding of each point and number, no point
// of small order. The browser's own function is used where it has one; it is asked only what all
// implementations answer alike.

const FIELD = (1n << 255n) - 19n;
/** The order of the base point. */
const ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;

/** @typedef {{x: bigint, y: bigint, z: bigint, t: bigint}} Point a point of the curve; x·y = t·z */

/** @param {bigint} value */
function inField(value) {
  const rest = value % FIELD;
  return rest < 0n ? rest + FIELD : rest;
}

/** @param {bigint} base @param {bigint} exponent */
function powerInField(base, exponent) {
  let result = 1n;
  for (let left = exponent, square = inField(base); left > 0n; left >>= 1n) {
    if (left & 1n) result = inField(result * square);
    square = inField(square * square);
  }
  return result;
}

/** @param {bigint} value */
function inverse(value) {
  return powerInField(value, FIELD - 2n);
}

const CURVE_D = inField(-121665n * inverse(121666n));
const ROOT_OF_MINUS_1 = powerInField(2n, (FIELD - 1n) / 4n);
/** @type {Point} */
const NEUTRAL = { x: 0n, y: 1n, z: 1n, t: 0n };

/** @param {Point} one @param {Point} other @returns {Point} */
function addPoints(one, other) {
  const a = inField((one.y - one.x) * (other.y - other.x));
  const b = inField((one.y + one.x) * (other.y + other.x));
  const c = inField(2n * CURVE_D * inField(one.t * other.t));
  const d = inField(2n * one.z * other.z);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return { x: inField(e * f), y: inField(g * h), z: inField(f * g), t: inField(e * h) };
}

/** @param {Point} point @param {bigint} times */
function multiplyPoint(point, times) {
  let result = NEUTRAL;
  for (let left = times, doubled = point; left > 0n; left >>= 1n) {
    if (left & 1n) result = addPoints(result, doubled);
    doubled = addPoints(doubled, doubled);
  }
  return result;
}

/** @param {Uint8Array} bytes least significant byte first */
function littleEndian(bytes) {
  let number = 0n;
  for (let at = bytes.length - 1; at >= 0; at -= 1) number = (number << 8n) | BigInt(bytes[at]);
  return number;
}

/**
 * The point of 32 bytes, or null where they are no point or not its one encoding.
 * @param {Uint8Array} bytes @returns {Point | null}
 */
function decodePoint(bytes) {
  if (bytes.length !== 32) return null;
  const number = littleEndian(bytes);
  const isOdd = number >> 255n;
  const y = number & ((1n << 255n) - 1n);
  if (y >= FIELD) return null;
  const square = inField((y * y - 1n) * inverse(CURVE_D * y * y + 1n));
  let x = powerInField(square, (FIELD + 3n) / 8n);
  if (inField(x * x) !== square) x = inField(x * ROOT_OF_MINUS_1);
  if (inField(x * x) !== square || (x === 0n && isOdd === 1n)) return null;
  if ((x & 1n) !== isOdd) x = FIELD - x;
  return { x, y, z: 1n, t: inField(x * y) };
}

/** @param {Point} point */
function isOfSmallOrder(point) {
  const eight = multiplyPoint(point, 8n);
  return eight.x === 0n && inField(eight.y - eight.z) === 0n;
}

/** @param {Point} one @param {Point} other */
function samePoint(one, other) {
  const sameX = inField(one.x * other.z - other.x * one.z) === 0n;
  return sameX && inField(one.y * other.z - other.y * one.z) === 0n;
}

/**
 * The base point, whose y is 4/5 and whose x is even. Its t is made with it.
 * @returns {Point}
 */
function basePoint() {
  const y = inField(4n * inverse(5n));
  const bytes = new Uint8Array(32);
  for (let at = 0, left = y; at < 32; at += 1, left >>= 8n) bytes[at] = Number(left & 255n);
  return /** @type {Point} */ (decodePoint(bytes));
}

/**
 * Whether 32 bytes are a public key that can be used.
 * @param {Uint8Array} bytes
 */
function isEd25519Key(bytes) {
  const point = decodePoint(bytes);
  return point !== null && !isOfSmallOrder(point);
}

/**
 * @param {Uint8Array} key one that {@link isEd25519Key} @param {Uint8Array} message
 * @param {Uint8Array} signature
 * @param {SubtleCrypto | null} subtle the browser's own functions, where they are to be used
 * @returns {Promise<boolean>}
 */
async function verifyEd25519(key, message, signature, subtle) {
  if (signature.length !== 64) return false;
  const point = decodePoint(signature.subarray(0, 32));
  const number = littleEndian(signature.subarray(32));
  if (point === null || isOfSmallOrder(point) || number >= ORDER) return false;
  const found = await verifyNatively(key, message, signature, subtle);
  if (found !== null) return found;
  const hash = sha512(concatBytes([signature.subarray(0, 32), key, message]));
  const challenge = littleEndian(hash) % ORDER;
  const public_ = /** @type {Point} */ (decodePoint(key));
  const right = addPoints(point, multiplyPoint(public_, challenge));
  return samePoint(multiplyPoint(basePoint(), number), right);
}

/**
 * What the browser's own function says, or null where it has none.
 * @param {Uint8Array} key @param {Uint8Array} message @param {Uint8Array} signature
 * @param {SubtleCrypto | null} subtle
 * @returns {Promise<boolean | null>}
 */
async function verifyNatively(key, message, signature, subtle) {
  if (!subtle) return null;
  try {
    const imported = await subtle.importKey("raw", asBuffer(key), { name: "Ed25519" }, false, ["verify"]);
    return await subtle.verify({ name: "Ed25519" }, imported, asBuffer(signature), asBuffer(message));
  } catch {
    return null;
  }
}

/** @param {Uint8Array} bytes @returns {ArrayBuffer} */
function asBuffer(bytes) {
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}
