// What the tests share: the scripts of the page without the page, evidence files made and damaged, zip
// archives in every form.

import { createHash, createHmac, createPrivateKey, createPublicKey, sign } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { deflateRawSync, crc32 as zlibCrc32 } from "node:zlib";

export const ROOT = path.resolve(import.meta.dirname, "../..");
/** The page as the crate assembles it. */
export const PAGE = process.env.CAIRN_VERIFY_PAGE ?? fail("CAIRN_VERIFY_PAGE is not set: run make test-page");
/** Evidence files that the crate made, with what is expected of each; empty where it makes none. */
export const BUNDLES = process.env.CAIRN_BUNDLES ?? "";

const NAMES = [
  "verifyEvidence", "openZip", "sha256", "sha512", "hmacSha256", "hex", "readJson", "writeJson", "JsonError", "readBlockText",
  "decodeBase64", "encodeBase64", "decodeUtf8", "readInstant", "nineDigits", "readLeaf", "readLine", "readManifest", "readProof",
  "readNote", "readCheckpoint", "readVkey", "readVkeys", "readPolicy", "verifyTrust", "verifyEd25519", "isEd25519Key", "batchTrouble",
  "csvCell", "commitmentTo", "leafHash", "sentenceOf", "actionFits", "Unusable", "Inflater", "Crc32", "wordsOf", "unknownWords", "REASONS",
  "resultText", "CATALOGUE", "SeenPairs", "comesBefore", "groupedDigits", "shownValue",
];

function fail(why) {
  throw new Error(why);
}

/** The verifier, as it stands in the page: everything up to the part that touches the page. */
export function loadVerifier() {
  const html = fs.readFileSync(PAGE, "utf8");
  const script = html.slice(html.indexOf("<script>") + 8, html.indexOf("</script>"));
  const end = script.indexOf("// The page around the verifier.");
  if (end < 0) fail("the page has no part around the verifier");
  const body = script.slice(script.indexOf("{") + 1, end);
  return new Function(`${body}\nreturn {${NAMES.join(",")}};`)();
}

export function vectors(name) {
  return JSON.parse(fs.readFileSync(path.join(ROOT, "crates/audit-event/tests/vectors", name), "utf8"));
}

/** The seeds of a fuzz target: name and bytes. */
export function seeds(target) {
  const folder = path.join(ROOT, "fuzz/corpus", target);
  return fs.readdirSync(folder).sort().map((name) => [name, fs.readFileSync(path.join(folder, name))]);
}

export function sha256(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Files in memory as the verifier takes them; pieces are small, so that every seam is crossed. */
export function container(files, piece = 1000) {
  return {
    names: [...files.keys()],
    size: (name) => files.get(name).length,
    async *chunks(name) {
      const bytes = files.get(name);
      for (let at = 0; at < bytes.length; at += piece) yield new Uint8Array(bytes.subarray(at, at + piece));
    },
  };
}

/** Bytes in memory as a file that is read in parts. */
export function source(bytes) {
  return { size: bytes.length, read: async (from, end) => new Uint8Array(bytes.subarray(from, end)) };
}

/** Every file of a folder and its proofs, by its name from there; null if it holds other folders or links. */
export function folder(at) {
  const files = new Map();
  for (const entry of fs.readdirSync(at, { withFileTypes: true, recursive: true })) {
    const inner = path.join(entry.parentPath, entry.name);
    if (entry.isDirectory() && path.relative(at, inner) === "proofs") continue;
    if (!entry.isFile()) return null;
    files.set(path.relative(at, inner).replaceAll(path.sep, "/"), fs.readFileSync(inner));
  }
  return files;
}

// Keys and signatures, by Node's own functions.

const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

export function signer(name, seed, type = 1) {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, Buffer.alloc(32, seed)]), format: "der", type: "pkcs8" });
  const bare = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  const tagged = Buffer.concat([Buffer.of(type), bare]);
  const id = sha256(`${name}\n`, tagged).subarray(0, 4);
  const vkey = `${name}+${id.toString("hex")}+${tagged.toString("base64")}`;
  const line = (signature) => `\u2014 ${name} ${Buffer.concat([id, signature]).toString("base64")}\n`;
  return {
    vkey,
    line,
    sign: (text) => line(sign(null, Buffer.from(text), key)),
    cosign(text, time = 1_772_615_500n) {
      const seconds = Buffer.alloc(8);
      seconds.writeBigUInt64BE(time);
      return line(Buffer.concat([seconds, sign(null, Buffer.from(`cosignature/v1\ntime ${time}\n${text}`), key)]));
    },
  };
}

/** A key of a kind whose signatures the page does not examine, and a line of it. */
export function unexamined(name) {
  const tagged = Buffer.concat([Buffer.of(6), Buffer.alloc(1312, 7)]);
  const id = sha256(`${name}\n`, tagged).subarray(0, 4);
  const line = `\u2014 ${name} ${Buffer.concat([id, Buffer.alloc(2428, 1)]).toString("base64")}\n`;
  return { vkey: `${name}+${id.toString("hex")}+${tagged.toString("base64")}`, line };
}

export const ORIGIN = "example.com/audit";
export const LOG = signer(ORIGIN, 1);
export const KEY = Buffer.from(`${LOG.vkey}\n`);

// A log of events.

const TAGS = ["core", "actor", "origin", "target", "changes", "detail", "raw"];
const START = 1_772_615_411_000_000_000n;

/** The texts of the blocks of event `number`. */
export function blocksOf(number) {
  const outcome = number % 3 === 0 ? "denied" : "success";
  const second = String(number % 60).padStart(2, "0");
  return {
    core: `{"action":"invoice.updated","category":"data","id":"e-${number}","labels":{"n":"${number}"},"operation":"update","outcome":"${outcome}","severity":"info","source":"/billing","time":"2026-03-04T09:10:${second}.5Z"}`,
    actor: `{"email":"ana@example.com","id":"u-${number}","name":"=Ana, \\"${number}\\"","type":"user"}`,
    origin: `{"ip":"192.0.2.7","user_agent":"Mozilla/5.0 (X11; Linux x86_64) \u202eevil"}`,
    target: `{"description":"","targets":[{"id":"4711","type":"invoice"}]}`,
    changes: `{"changes":[{"field":"amount","new":9000,"old":900}]}`,
    detail: `{"metadata":{"10":true,"9":"x","é":5},"raw_content_type":"application/json"}`,
    raw: Buffer.from(`{"number":${number}}\u0000`),
  };
}

/** A line as an object: index, leaf and blocks. */
function lineOf(number, blocks, received = START + BigInt(number) * 1_000_000_000n) {
  const shown = {};
  const parts = [];
  for (const [at, name] of TAGS.entries()) {
    if (blocks[name] === undefined) continue;
    const bytes = Buffer.from(blocks[name]);
    const salt = sha256(`${number}/${name}`).subarray(0, 16);
    const commitment = createHmac("sha256", salt).update(Buffer.of(1, at + 1)).update(bytes).digest();
    parts.push(Buffer.of(at + 1), commitment);
    const value = name === "raw" ? { base64: bytes.toString("base64") } : { text: bytes.toString() };
    shown[name] = { salt: salt.toString("base64"), ...value };
  }
  const head = Buffer.alloc(13);
  head.write("AEL1");
  head.writeBigUInt64BE(received, 4);
  head[12] = parts.length / 2;
  const leaf = Buffer.concat([head, ...parts]);
  return { index: number, leaf, blocks: shown, withheld: [], erased: [] };
}

/** Moves a block of a line to one of its lists. */
export function hide(line, list, ...names) {
  for (const name of names) {
    if (!line.blocks[name]) continue;
    delete line.blocks[name];
    line[list] = TAGS.filter((tag) => tag === name || line[list].includes(tag));
  }
  return line;
}

export function writeLine(line) {
  return `${JSON.stringify({ ...line, leaf: line.leaf.toString("base64") })}\n`;
}

/** The root of hashes, by RFC 6962's recursion. */
export function rootOf(hashes) {
  if (hashes.length === 0) return sha256();
  if (hashes.length === 1) return hashes[0];
  const split = 2 ** Math.floor(Math.log2(hashes.length - 1));
  return sha256(Buffer.of(1), rootOf(hashes.slice(0, split)), rootOf(hashes.slice(split)));
}

/** A batch proof, by drawing every row of the tree. */
export function proofOf(hashes, indexes) {
  const proof = [];
  let known = new Set(indexes);
  for (let row = hashes; row.length > 1; ) {
    for (const at of [...known].sort((a, b) => a - b)) {
      const sibling = at ^ 1;
      if (!known.has(sibling) && sibling < row.length) proof.push(row[sibling]);
    }
    known = new Set([...known].map((at) => at >> 1));
    const above = [];
    for (let at = 0; at < row.length; at += 2) above.push(at + 1 < row.length ? sha256(Buffer.of(1), row[at], row[at + 1]) : row[at]);
    row = above;
  }
  return proof;
}

export class Log {
  constructor(size, make = blocksOf, time = undefined) {
    this.lines = Array.from({ length: size }, (_, number) => lineOf(number, make(number), time?.(number)));
    this.hashes = this.lines.map((line) => sha256(Buffer.of(0), line.leaf));
  }

  /** The text that log and witnesses sign. */
  get head() {
    return `${ORIGIN}\n${this.lines.length}\n${rootOf(this.hashes).toString("base64")}\n`;
  }

  /** Copies of some lines. */
  pick(indexes = this.lines.keys()) {
    return [...indexes].map((index) => structuredClone({ ...this.lines[index], leaf: [...this.lines[index].leaf] })).map((line) => ({ ...line, leaf: Buffer.from(line.leaf) }));
  }

  /** An evidence file of some lines, as a map of files. */
  export(lines, { signatures = LOG.sign(this.head), policy = "quorum none\n", keys = KEY, ...members } = {}) {
    const files = new Map([
      ["READ ME FIRST.txt", Buffer.from("Read me.\n")],
      ["checkpoint", Buffer.from(`${this.head}\n${signatures}`)],
      ["events.ndjson", Buffer.from(lines.map(writeLine).join(""))],
      ["keys.txt", keys],
      ["policy.txt", Buffer.from(policy)],
      ["verify.html", Buffer.from("<!doctype html>\n")],
    ]);
    for (let from = 0, number = 1; from < lines.length; from += 10_000, number += 1) {
      const indexes = lines.slice(from, from + 10_000).map((line) => line.index);
      const hashes = proofOf(this.hashes, indexes).map((hash) => `${hash.toString("base64")}\n`);
      files.set(`proofs/${String(number).padStart(6, "0")}.txt`, Buffer.from(`cairn/batch-proof@v1\n${this.lines.length}\n${hashes.join("")}`));
    }
    const manifest = {
      format: "cairn-evidence@v1", log: "audit", origin: ORIGIN, tree_size: this.lines.length, made_at: "2026-03-05T08:00:00Z", made_by: "Tom Hale",
      purpose: "Q4 \"audit\"", filter: {}, filter_text: "everything", time_zone: "Europe/London", events: lines.length, complete: null, withheld: [],
      ...members,
    };
    return seal(files, manifest);
  }
}

/** Writes the manifest anew, with what every other file is. */
export function seal(files, manifest = JSON.parse(files.get("manifest.json"))) {
  const sealed = new Map(files);
  sealed.delete("manifest.json");
  const facts = [...sealed].map(([name, bytes]) => [name, { bytes: bytes.length, sha256: sha256(bytes).toString("hex") }]);
  sealed.set("manifest.json", Buffer.from(`${JSON.stringify({ ...manifest, files: Object.fromEntries(facts.sort()) })}\n`));
  return sealed;
}

/** The files with one of them altered, and the manifest with it unless it is to be another. */
export function altered(files, name, alter, { sealed = true } = {}) {
  const changed = new Map(files);
  const found = changed.get(name);
  const after = Buffer.from(alter(found));
  if (after.equals(found)) throw new Error(`${name} was not altered`);
  changed.set(name, after);
  return sealed && name !== "manifest.json" ? seal(changed) : changed;
}

/** Replaces a text once. */
export function swap(find, replace) {
  return (bytes) => {
    const text = bytes.toString("latin1");
    if (!text.includes(Buffer.from(find).toString("latin1"))) throw new Error(`${find} is not there`);
    return Buffer.from(text.replace(Buffer.from(find).toString("latin1"), () => Buffer.from(replace).toString("latin1")), "latin1");
  };
}

// Zip archives.

function numbers(...fields) {
  return Buffer.concat(fields.map(([bytes, value]) => {
    const field = Buffer.alloc(bytes);
    if (bytes === 8) field.writeBigUInt64LE(BigInt(value));
    else field.writeUIntLE(value, 0, bytes);
    return field;
  }));
}

/**
 * A zip archive. `of(name)` gives what is special of one entry: deflate, descriptor ("16", "12", "24", "20"), zip64, and
 * `local` and `central` to alter the fields of its headers; `whole` what is special of the archive.
 */
export function zip(files, of = () => ({}), whole = {}) {
  const parts = [];
  const directory = [];
  let offset = 0;
  const put = (bytes) => {
    parts.push(bytes);
    offset += bytes.length;
  };
  put(whole.prefix ?? Buffer.alloc(0));
  for (const [name, bytes] of files) {
    const { deflate = false, descriptor = "", zip64 = false, local = {}, central = {}, packed: given, behind = Buffer.alloc(0) } = of(name);
    const packed = given ?? (deflate ? deflateRawSync(bytes, { level: 6 }) : bytes);
    const method = deflate ? 8 : 0;
    const base = { flags: descriptor ? 8 : 0, method, crc: zlibCrc32(bytes), packed: packed.length, size: bytes.length, name, extra: Buffer.alloc(0), comment: "", attributes: 0o100644 * 65536, offset, madeBy: 0x031e };
    const head = { ...base, ...(descriptor ? { crc: 0, packed: 0, size: 0 } : {}), ...local };
    const entry = { ...base, ...central };
    const marked = (it) => (zip64 ? 0xffffffff : it);
    const extraOf = (it, ...values) => (zip64 ? Buffer.concat([it.extra, numbers([2, 1], [2, 8 * values.length], ...values.map((value) => [8, value]))]) : it.extra);
    const localExtra = extraOf(head, head.size, head.packed);
    put(numbers([4, 0x04034b50], [2, 45], [2, head.flags], [2, head.method], [4, 0], [4, head.crc], [4, marked(head.packed)], [4, marked(head.size)], [2, Buffer.byteLength(head.name)], [2, localExtra.length]));
    put(Buffer.concat([Buffer.from(head.name, "latin1"), localExtra, packed]));
    const wide = descriptor === "24" || descriptor === "20" ? 8 : 4;
    if (descriptor) put(Buffer.concat([descriptor === "16" || descriptor === "24" ? numbers([4, 0x08074b50]) : Buffer.alloc(0), numbers([4, entry.crc], [wide, entry.packed], [wide, entry.size])]));
    put(behind);
    const centralExtra = extraOf(entry, entry.size, entry.packed, entry.offset);
    directory.push(Buffer.concat([
      numbers([4, 0x02014b50], [2, entry.madeBy], [2, 45], [2, entry.flags], [2, entry.method], [4, 0], [4, entry.crc], [4, marked(entry.packed)], [4, marked(entry.size)], [2, Buffer.byteLength(entry.name)], [2, centralExtra.length], [2, entry.comment.length], [2, 0], [2, 0], [4, entry.attributes], [4, marked(entry.offset)]),
      Buffer.from(entry.name, "latin1"), centralExtra, Buffer.from(entry.comment),
    ]));
  }
  put(whole.gap ?? Buffer.alloc(0));
  const end = { count: directory.length, bytes: Buffer.concat(directory).length, offset, ...whole.end };
  if (whole.reversed) directory.reverse();
  directory.forEach(put);
  if (whole.zip64) {
    const at = offset;
    put(numbers([4, 0x06064b50], [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, end.count], [8, end.count], [8, end.bytes], [8, end.offset]));
    put(numbers([4, 0x07064b50], [4, 0], [8, at + (whole.zip64.shift ?? 0)], [4, 1]));
  }
  const small = whole.zip64 && !whole.zip64.same ? { count: 0xffff, bytes: 0xffffffff, offset: 0xffffffff } : end;
  const comment = Buffer.from(whole.comment ?? "");
  put(numbers([4, 0x06054b50], [2, 0], [2, 0], [2, small.count], [2, small.count], [4, small.bytes], [4, small.offset], [2, comment.length]));
  put(comment);
  put(whole.suffix ?? Buffer.alloc(0));
  return Buffer.concat(parts);
}
