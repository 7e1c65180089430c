// Bytes and texts, read strictly: one spelling of everything.

/** Something that makes an evidence file unusable: exit status 2. */
class Unusable extends Error {
  /** @param {string} step @param {string} message */
  constructor(step, message) {
    super(message);
    this.step = step;
  }
}

/** Something that can be read and does not hold: exit status 1. */
class Mismatch extends Error {
  /** @param {string} step @param {string} message */
  constructor(step, message) {
    super(message);
    this.step = step;
  }
}

/** @param {Uint8Array[]} parts */
function concatBytes(parts) {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** @param {Uint8Array} one @param {Uint8Array} other */
function sameBytes(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

const HEX_OF_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** @param {Uint8Array} bytes */
function hex(bytes) {
  let text = "";
  for (const byte of bytes) text += HEX_OF_BYTE[byte];
  return text;
}

// The byte order mark is kept, so that it is found and refused.
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();

/**
 * The text of the bytes, or null where they are not UTF-8.
 * @param {Uint8Array} bytes @returns {string | null}
 */
function decodeUtf8(bytes) {
  try {
    return utf8Decoder.decode(bytes);
  } catch {
    return null;
  }
}

/** @param {string} text */
function encodeUtf8(text) {
  return utf8Encoder.encode(text);
}

/** Bytes as a text of one character each, for formats whose names are opaque. @param {Uint8Array} bytes */
function decodeLatin1(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x2000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x2000));
  }
  return text;
}

const BASE64_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_VALUES = new Int8Array(128).fill(-1);
for (let at = 0; at < 64; at += 1) BASE64_VALUES[BASE64_DIGITS.charCodeAt(at)] = at;

/**
 * Canonical base64 of RFC 4648 section 4, or null.
 * @param {string} text @returns {Uint8Array | null}
 */
function decodeBase64(text) {
  if (text.length % 4 !== 0) return null;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const digits = text.length - padding;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let position = 0; position < digits; position += 1) {
    const code = text.charCodeAt(position);
    const value = code < 128 ? BASE64_VALUES[code] : -1;
    if (value < 0) return null;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >> bits;
    }
  }
  return (held & ((1 << bits) - 1)) === 0 ? bytes : null;
}

/** @param {Uint8Array} bytes */
function encodeBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const three = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    for (let digit = 0; digit < 4; digit += 1) {
      const isThere = at + digit <= bytes.length;
      text += isThere ? BASE64_DIGITS[(three >> (18 - 6 * digit)) & 63] : "=";
    }
  }
  return text;
}

/** @typedef {null | boolean | number | string | JsonValue[] | Map<string, JsonValue>} Json */
/** @typedef {any} JsonValue */

/** Levels of objects and lists of a block's text, the top one included. */
const LEVELS_MAX = 32;

/** A text is not JSON as it is read here. */
class JsonError extends Error {}

const JSON_PLAIN = /[^"\\\u0000-\u001f]*/y;
const JSON_BLANKS = /[ \t\n\r]*/y;
const JSON_NUMBER = /-?(?:0|[1-9][0-9]*)/y;
const JSON_UNIT = /u[0-9a-fA-F]{4}/y;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** A reader of one JSON text. Objects become maps, so that a key is never taken for something else. */
class JsonReader {
  /** @param {string} text @param {number} levelsMax @param {boolean} asksForCanonical */
  constructor(text, levelsMax, asksForCanonical) {
    this.text = text;
    this.at = 0;
    this.levels = levelsMax;
    this.asksForCanonical = asksForCanonical;
    /** Whether what was read is written as a block's text is; only looked at where it is asked for. */
    this.isCanonical = true;
  }

  /** @returns {JsonValue} */
  whole() {
    this.blanks();
    const value = this.value();
    this.blanks();
    if (this.at !== this.text.length) throw new JsonError("something follows the value");
    return value;
  }

  blanks() {
    const code = this.text.charCodeAt(this.at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    this.isCanonical = false;
    JSON_BLANKS.lastIndex = this.at;
    JSON_BLANKS.test(this.text);
    this.at = JSON_BLANKS.lastIndex;
  }

  /** @returns {JsonValue} */
  value() {
    switch (this.text[this.at]) {
      case "{":
      case "[":
        return this.nested();
      case '"':
        return this.string();
      case "t":
        return this.word("true", true);
      case "f":
        return this.word("false", false);
      case "n":
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  /** An object or a list, whose opening bracket is next. */
  nested() {
    if (this.levels === 0) throw new JsonError("too many levels of objects and lists");
    this.levels -= 1;
    const isObject = this.text[this.at] === "{";
    this.at += 1;
    this.blanks();
    const value = isObject ? this.object() : this.list();
    this.levels += 1;
    return value;
  }

  object() {
    /** @type {Map<string, JsonValue>} */
    const members = new Map();
    if (this.take("}")) return members;
    /** @type {string | null} */
    let before = null;
    for (;;) {
      const key = this.string();
      if (this.asksForCanonical && before !== null && !comesBefore(before, key)) this.isCanonical = false;
      before = key;
      this.blanks();
      if (!this.take(":")) throw new JsonError("no colon after a key");
      this.blanks();
      if (members.has(key)) throw new JsonError("a key stands twice");
      members.set(key, this.value());
      if (this.ends("}")) return members;
    }
  }

  list() {
    /** @type {JsonValue[]} */
    const items = [];
    if (this.take("]")) return items;
    for (;;) {
      items.push(this.value());
      if (this.ends("]")) return items;
    }
  }

  /** @param {string} close */
  ends(close) {
    this.blanks();
    if (this.take(close)) return true;
    if (!this.take(",")) throw new JsonError("no comma between two values");
    this.blanks();
    return false;
  }

  /** @param {string} character */
  take(character) {
    const found = this.text[this.at] === character;
    if (found) this.at += 1;
    return found;
  }

  /** @param {string} word @param {JsonValue} value */
  word(word, value) {
    if (!this.text.startsWith(word, this.at)) throw new JsonError("an unknown word");
    this.at += word.length;
    return value;
  }

  /** An integer of ±(2^53 − 1) in its one spelling; no other number is read. */
  number() {
    JSON_NUMBER.lastIndex = this.at;
    const spelling = JSON_NUMBER.exec(this.text)?.[0];
    if (spelling === undefined) throw new JsonError("no value where one belongs");
    this.at += spelling.length;
    const number = Number(spelling);
    const next = this.text[this.at];
    if (next === "." || next === "e" || next === "E") throw new JsonError("a number that is no integer");
    if (spelling === "-0" || !Number.isSafeInteger(number)) throw new JsonError("a number that is not kept exactly");
    return number;
  }

  string() {
    const { text } = this;
    if (text[this.at] !== '"') throw new JsonError("no text where one belongs");
    const start = this.at;
    let surrogates = false;
    let escaped = false;
    for (this.at += 1; ; ) {
      JSON_PLAIN.lastIndex = this.at;
      JSON_PLAIN.test(text);
      this.at = JSON_PLAIN.lastIndex;
      const next = text[this.at];
      if (next === '"') break;
      if (next !== "\\") throw new JsonError("a text that does not end, or holds a control character");
      surrogates = this.escape() || surrogates;
      escaped = true;
    }
    this.at += 1;
    if (!escaped) return text.slice(start + 1, this.at - 1);
    /** @type {string} */
    const value = JSON.parse(text.slice(start, this.at)); // its escapes have just been checked
    if (surrogates && LONE_SURROGATE.test(value)) throw new JsonError("half of a surrogate pair");
    // Escapes of JSON.stringify are exactly those of a block's text.
    if (this.asksForCanonical && JSON.stringify(value) !== text.slice(start, this.at)) this.isCanonical = false;
    return value;
  }

  /** Skips one escape; true if it may be half of a surrogate pair. */
  escape() {
    const letter = this.text[this.at + 1];
    if (letter !== "u") {
      if (letter === undefined || !'"\\/bfnrt'.includes(letter)) throw new JsonError("an unknown escape");
      this.at += 2;
      return false;
    }
    JSON_UNIT.lastIndex = this.at + 1;
    if (!JSON_UNIT.test(this.text)) throw new JsonError("an escape without four digits");
    const isSurrogate = this.text[this.at + 2] === "d" || this.text[this.at + 2] === "D";
    this.at += 6;
    return isSurrogate;
  }
}

/**
 * The value of a JSON text. Throws a {@link JsonError}.
 * @param {string} text @param {number} [levelsMax] @returns {JsonValue}
 */
function readJson(text, levelsMax = LEVELS_MAX) {
  return new JsonReader(text, levelsMax, false).whole();
}

/**
 * The text of a value, members in the order in which they were read, otherwise as a block's text has it.
 * @param {JsonValue} value @returns {string}
 */
function writeJson(value) {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(writeJson).join(",")}]`;
  if (value instanceof Map) {
    let text = "{";
    for (const [key, inner] of value) {
      if (text.length > 1) text += ",";
      text += `${JSON.stringify(key)}:${writeJson(inner)}`;
    }
    return `${text}}`;
  }
  return String(value);
}

/** Whether `one` comes before `other` by code points. @param {string} one @param {string} other */
function comesBefore(one, other) {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at += 1) {
    const left = one.charCodeAt(at);
    const right = other.charCodeAt(at);
    if (left !== right) {
      // Units of surrogate pairs stand for characters beyond all single units.
      const isPair = (/** @type {number} */ unit) => unit >= 0xd800 && unit < 0xe000;
      return isPair(left) === isPair(right) ? left < right : isPair(right);
    }
  }
  return one.length < other.length;
}

/**
 * The members of a block's text, or why it is not one canonical object.
 * @param {string} text @returns {Map<string, JsonValue> | string}
 */
function readBlockText(text) {
  const reader = new JsonReader(text, LEVELS_MAX, true);
  let value;
  try {
    value = reader.whole();
  } catch (error) {
    if (error instanceof JsonError) return error.message;
    throw error;
  }
  if (!(value instanceof Map)) return "it is not an object";
  return reader.isCanonical ? value : "it is written in another way";
}

/** @param {JsonValue} one @param {JsonValue} other @returns {boolean} */
function sameValue(one, other) {
  if (one instanceof Map) {
    if (!(other instanceof Map) || one.size !== other.size) return false;
    for (const [key, inner] of one) {
      if (!other.has(key) || !sameValue(inner, other.get(key))) return false;
    }
    return true;
  }
  if (Array.isArray(one)) {
    const sameItem = (/** @type {JsonValue} */ item, /** @type {number} */ at) => sameValue(item, other[at]);
    return Array.isArray(other) && one.length === other.length && one.every(sameItem);
  }
  return one === other;
}

/** What says nothing. @param {JsonValue} value */
function isAbsent(value) {
  if (value === null || value === undefined) return true;
  return Array.isArray(value) ? value.length === 0 : value instanceof Map && value.size === 0;
}

const UTC_FORM = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z$/;

/**
 * Nanoseconds since the Unix epoch of an instant in UTC, or null.
 * @param {JsonValue} text @returns {bigint | null}
 */
function readInstant(text) {
  const parts = typeof text === "string" ? UTC_FORM.exec(text) : null;
  if (parts === null) return null;
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day); // a day that does not exist comes back as another one
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  const seconds = date.getTime() / 1000 + hour * 3600 + minute * 60 + second;
  return BigInt(seconds) * 1_000_000_000n + BigInt((parts[7] ?? "").padEnd(9, "0"));
}

/** `2026-03-04T09:10:11.000000000Z` @param {bigint} nanos since the Unix epoch */
function nineDigits(nanos) {
  const seconds = Number(nanos / 1_000_000_000n);
  const fraction = String(nanos % 1_000_000_000n).padStart(9, "0");
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}
