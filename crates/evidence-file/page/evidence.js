// The parts of an evidence file: manifest, filter, lines with their leaves, batch proofs.

const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
const LINE_BYTES_MAX = 8 * 1024 * 1024;
const EVENTS_MAX = 10_000_000;
const EVENTS_PER_PROOF = 10_000;
/** At most one hash for each leaf and level. */
const PROOF_BYTES_MAX = 64 + 10_000 * 63 * 45;
const MANIFEST = "manifest.json";
const REQUIRED_FILES = ["READ ME FIRST.txt", "checkpoint", "events.ndjson", "keys.txt", "policy.txt", "verify.html"];
const VIEW_FILES = ["events.csv", "events.json", "events.parquet"];
/** Names of blocks; the tag of one is its place, from 1. A set of blocks has a bit for each. */
const BLOCKS = ["core", "actor", "origin", "target", "changes", "detail", "raw"];
const CORE = 1;
const RAW_TAG = 7;
const LEAF_HEAD = 13;
const LEAF_PART = 33;

/** @param {number} tag */
function bitOf(tag) {
  return 1 << (tag - 1);
}

/** @param {number} set @returns {string[]} */
function blockNames(set) {
  return BLOCKS.filter((_, at) => set & bitOf(at + 1));
}

/** The members of one object: all required, none unknown. */
class Fields {
  /** @param {string} step @param {JsonValue} value @param {string} path */
  constructor(step, value, path) {
    if (!(value instanceof Map)) throw new Unusable(step, `${path} is not an object`);
    this.step = step;
    this.path = path;
    this.members = value;
    this.taken = 0;
  }

  /** @param {string} name @param {string} expected */
  refuse(name, expected) {
    return new Unusable(this.step, `${name} of ${this.path} is not ${expected}`);
  }

  /** @param {string} name @returns {JsonValue} */
  value(name) {
    const value = this.members.get(name);
    if (value === undefined) throw new Unusable(this.step, `${name} of ${this.path} is missing`);
    this.taken += 1;
    return value;
  }

  /** @param {string} name @returns {string} */
  text(name) {
    const value = this.value(name);
    if (typeof value !== "string") throw this.refuse(name, "a text");
    return value;
  }

  /** @param {string} name @returns {number} */
  number(name) {
    const value = this.value(name);
    if (typeof value !== "number" || value < 0) throw this.refuse(name, "a number from 0 on");
    return value;
  }

  /** @param {string} name */
  base64(name) {
    const bytes = decodeBase64(this.text(name));
    if (bytes === null) throw this.refuse(name, "canonical base64");
    return bytes;
  }

  /** A set of blocks. @param {string} name */
  blocks(name) {
    const value = this.value(name);
    if (!Array.isArray(value)) throw this.refuse(name, "a list");
    let [set, last] = [0, 0];
    for (const block of value) {
      const tag = BLOCKS.indexOf(block) + 1;
      if (tag <= last) throw this.refuse(name, "a list of blocks in their order");
      last = tag;
      set |= bitOf(tag);
    }
    return set;
  }

  finish() {
    if (this.taken !== this.members.size) throw new Unusable(this.step, `${this.path} has an unknown member`);
  }
}

/** @param {string} step @param {Uint8Array} bytes @param {string} what */
function readJsonBytes(step, bytes, what) {
  const text = decodeUtf8(bytes);
  if (text === null) throw new Unusable(step, `${what} is not UTF-8`);
  try {
    return readJson(text);
  } catch (error) {
    if (error instanceof JsonError) throw new Unusable(step, `${what} is not JSON as it is read here: ${error.message}`);
    throw error;
  }
}

/**
 * @typedef {object} Filter
 * @property {bigint | null} from
 * @property {bigint | null} to
 * @property {"received" | "event"} time which time counts
 * @property {Map<string, string[]>} members
 */

/** @param {JsonValue} value @returns {Filter} */
function readFilter(value) {
  const refuse = (/** @type {string} */ expected) => new Unusable("manifest", `a member of filter is not ${expected}`);
  if (!(value instanceof Map)) throw new Unusable("manifest", "filter is not an object");
  /** @type {Filter} */
  const filter = { from: null, to: null, time: "received", members: new Map() };
  for (const [name, member] of value) {
    if (name === "from" || name === "to") {
      const instant = readInstant(member);
      if (instant === null) throw refuse("an instant in UTC");
      if (name === "from") filter.from = instant;
      else filter.to = instant;
    } else if (name === "time") {
      if (member !== "received" && member !== "event") throw refuse("received or event");
      filter.time = member;
    } else {
      const isTexts = Array.isArray(member) && member.every((text) => typeof text === "string");
      if (!isTexts) throw refuse("a list of texts");
      filter.members.set(name, member);
    }
  }
  return filter;
}

const FILTER_CORE = new Set("id source action category operation outcome outcome_code severity schema retention_class labels flags flag label".split(" "));

/** Whether `core` and the time of receipt decide it. @param {Filter} filter */
function isDecidable(filter) {
  return [...filter.members.keys()].every((name) => FILTER_CORE.has(name));
}

/** Whether it has a range of receipt times. @param {Filter} filter */
function hasReceiptRange(filter) {
  return filter.time === "received" && (filter.from !== null || filter.to !== null);
}

/** @param {Filter} filter @param {bigint} time */
function isNotBefore(filter, time) {
  return filter.from === null || filter.from <= time;
}

/** @param {Filter} filter @param {bigint} time */
function isBeforeEnd(filter, time) {
  return filter.to === null || time < filter.to;
}

/** @param {Filter} filter @param {Map<string, JsonValue>} core @param {bigint} received */
function filterMatches(filter, core, received) {
  const time = filter.time === "received" ? received : readInstant(core.get("time"));
  if (filter.from !== null || filter.to !== null) {
    if (time === null || !isNotBefore(filter, time) || !isBeforeEnd(filter, time)) return false;
  }
  for (const [name, texts] of filter.members) {
    const found = filterTexts(core, name);
    if (!texts.some((text) => found.includes(text))) return false;
  }
  return true;
}

/** What a member of a filter is compared with. @param {Map<string, JsonValue>} core @param {string} name @returns {string[]} */
function filterTexts(core, name) {
  if (name === "flag") {
    const flags = core.get("flags");
    return Array.isArray(flags) ? flags.filter((flag) => typeof flag === "string") : [];
  }
  if (name === "label") {
    const labels = core.get("labels");
    const texts = labels instanceof Map ? [...labels].filter(([, value]) => typeof value === "string") : [];
    return texts.map(([key, value]) => `${key}=${value}`);
  }
  const value = core.get(name);
  if (value === undefined) return [];
  return [typeof value === "string" ? value : writeJson(value)];
}

/**
 * @typedef {object} Manifest
 * @property {string} log
 * @property {string} origin
 * @property {number} tree_size
 * @property {string} made_at
 * @property {string} made_by
 * @property {string} purpose
 * @property {Filter} filter
 * @property {string} filter_text
 * @property {string} time_zone
 * @property {number} events
 * @property {{start: number, end: number} | null} complete
 * @property {number} withheld a set of blocks
 * @property {Map<string, {bytes: number, sha256: string}>} files
 */

/** @param {Uint8Array} bytes @returns {Manifest} */
function readManifest(bytes) {
  const fields = new Fields("manifest", readJsonBytes("manifest", bytes, "the manifest"), "the manifest");
  if (fields.text("format") !== "cairn-evidence@v1") throw fields.refuse("format", "cairn-evidence@v1");
  const manifest = {
    log: fields.text("log"),
    origin: fields.text("origin"),
    tree_size: fields.number("tree_size"),
    made_at: fields.text("made_at"),
    made_by: fields.text("made_by"),
    purpose: fields.text("purpose"),
    filter: readFilter(fields.value("filter")),
    filter_text: fields.text("filter_text"),
    time_zone: fields.text("time_zone"),
    events: fields.number("events"),
    complete: readComplete(fields.value("complete")),
    withheld: fields.blocks("withheld"),
    files: readFileFacts(fields.value("files")),
  };
  fields.finish();
  if (manifest.events > EVENTS_MAX) throw new Unusable("manifest", `events is more than ${EVENTS_MAX}`);
  checkListedFiles(manifest);
  return manifest;
}

/** @param {JsonValue} value */
function readComplete(value) {
  if (value === null) return null;
  const fields = new Fields("manifest", value, "complete");
  const range = { start: fields.number("start"), end: fields.number("end") };
  fields.finish();
  if (range.start > range.end) throw new Unusable("manifest", "complete ends before it starts");
  return range;
}

/** @param {JsonValue} value */
function readFileFacts(value) {
  const listed = new Fields("manifest", value, "files").members;
  if (listed.size >= FILES_MAX) throw new Unusable("manifest", `files is more than ${FILES_MAX}`);
  /** @type {Map<string, {bytes: number, sha256: string}>} */
  const files = new Map();
  for (const [name, fact] of listed) {
    const fields = new Fields("manifest", fact, "a file");
    const [bytes, digest] = [fields.number("bytes"), fields.text("sha256")];
    if (!/^[0-9a-f]{64}$/.test(digest)) throw fields.refuse("sha256", "64 lower-case digits");
    fields.finish();
    files.set(name, { bytes, sha256: digest });
  }
  return files;
}

/** @param {number} number from 1 */
function proofName(number) {
  return `proofs/${String(number).padStart(6, "0")}.txt`;
}

/** @param {Manifest} manifest */
function checkListedFiles(manifest) {
  const required = [...REQUIRED_FILES];
  for (let number = 1; number <= Math.ceil(manifest.events / EVENTS_PER_PROOF); number += 1) required.push(proofName(number));
  for (const name of required) {
    if (!manifest.files.has(name)) throw new Unusable("files", `the file ${name} is missing`);
  }
  const known = new Set([...required, ...VIEW_FILES]);
  for (const name of manifest.files.keys()) {
    if (!known.has(name)) throw new Unusable("files", "the manifest lists a file that does not belong there");
  }
}

/** @param {Manifest} manifest @param {string[]} names */
function checkPresentFiles(manifest, names) {
  for (const name of names) {
    if (name !== MANIFEST && !manifest.files.has(name)) throw new Unusable("files", "a file is not in the manifest");
  }
  const present = new Set(names);
  for (const name of manifest.files.keys()) {
    if (!present.has(name)) throw new Unusable("files", `the file ${name} is missing`);
  }
}

/** @typedef {{bytes: Uint8Array, received: bigint, tags: number, commitments: Map<number, Uint8Array>}} Leaf */

/** @param {Uint8Array} bytes @returns {Leaf} */
function readLeaf(bytes) {
  const refuse = (/** @type {string} */ why) => new Unusable("leaf", `the leaf is none: ${why}`);
  const [a, e, l, one] = bytes;
  if (a !== 0x41 || e !== 0x45 || l !== 0x4c || one !== 0x31) throw refuse("it does not begin with AEL1");
  if (bytes.length < LEAF_HEAD) throw refuse("its length");
  const count = bytes[12];
  if (count < 1 || count > 7 || bytes.length !== LEAF_HEAD + LEAF_PART * count) throw refuse("its length");
  const received = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(4);
  const commitments = new Map();
  let [tags, last] = [0, 0];
  for (let at = LEAF_HEAD; at < bytes.length; at += LEAF_PART) {
    const tag = bytes[at];
    if (tag > 7 || tag <= last || (last === 0 && tag !== CORE)) throw refuse("its tags");
    last = tag;
    tags |= bitOf(tag);
    commitments.set(tag, bytes.subarray(at + 1, at + LEAF_PART));
  }
  return { bytes, received, tags, commitments };
}

/** @typedef {{tag: number, salt: Uint8Array, bytes: Uint8Array, text: string | null}} Block */
/** @typedef {{index: number, leaf: Leaf, blocks: Block[], shown: number, withheld: number, erased: number}} Line */

/** A line without its newline. @param {Uint8Array} bytes @returns {Line} */
function readLine(bytes) {
  if (bytes.length > LINE_BYTES_MAX) throw new Unusable("line", "it is too long");
  const fields = new Fields("line", readJsonBytes("line", bytes, "it"), "it");
  const index = fields.number("index");
  const leaf = readLeaf(fields.base64("leaf"));
  const blocks = readBlocks(new Fields("line", fields.value("blocks"), "blocks"));
  const [withheld, erased] = [fields.blocks("withheld"), fields.blocks("erased")];
  fields.finish();
  const shown = blocks.reduce((set, block) => set | bitOf(block.tag), 0);
  return { index, leaf, blocks, shown, withheld, erased };
}

/** @param {Fields} fields @returns {Block[]} */
function readBlocks(fields) {
  /** @type {Block[]} */
  const blocks = [];
  BLOCKS.forEach((name, at) => {
    if (!fields.members.has(name)) return;
    const inner = new Fields("line", fields.value(name), `the block ${name}`);
    const salt = inner.base64("salt");
    if (salt.length !== 16) throw inner.refuse("salt", "16 bytes in base64");
    const tag = at + 1;
    const text = tag === RAW_TAG ? null : inner.text("text");
    const bytes = text === null ? inner.base64("base64") : encodeUtf8(text);
    inner.finish();
    blocks.push({ tag, salt, bytes, text });
  });
  fields.finish();
  return blocks;
}

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);
const blockPrefix = new Uint8Array(2);

/** @param {Leaf} leaf */
function leafHash(leaf) {
  return sha256(LEAF_PREFIX, leaf.bytes);
}

/** @param {Block} block */
function commitmentTo(block) {
  blockPrefix[0] = 1;
  blockPrefix[1] = block.tag;
  return hmacSha256(block.salt, blockPrefix, block.bytes);
}

/** @typedef {{size: bigint, hashes: Uint8Array[]}} BatchProof */

/** @param {Uint8Array} bytes @param {string} name @returns {BatchProof} */
function readProof(bytes, name) {
  const refuse = (/** @type {string} */ why) => new Unusable("proof", `the file ${name} cannot be used: ${why}`);
  if (bytes.length > PROOF_BYTES_MAX) throw refuse("it is too large");
  const text = decodeLatin1(bytes);
  if (!text.endsWith("\n")) throw refuse("its last line does not end");
  const [header, sizeText, ...lines] = text.split("\n").slice(0, -1);
  if (header !== "cairn/batch-proof@v1") throw refuse("its first line");
  const size = sizeText === undefined ? null : readDecimal(sizeText, SIZE_MAX);
  if (size === null) throw refuse("it has no size line");
  const hashes = lines.map((line, at) => {
    const hash = decodeBase64(line);
    if (hash === null || hash.length !== 32) throw refuse(`hash ${at + 1} is not 32 bytes in base64`);
    return hash;
  });
  return { size, hashes };
}

/** @typedef {{index: number, hash: Uint8Array}} TreeNode a leaf, or what stands above it in its row */

/**
 * Why the leaves, ascending, are not in the tree of this size and root; null if they are.
 * @param {TreeNode[]} leaves @param {bigint} treeSize @param {Uint8Array[]} proof @param {Uint8Array} root
 * @returns {string | null}
 */
function batchTrouble(leaves, treeSize, proof, root) {
  if (leaves.some(({ index }, at) => at > 0 && index <= leaves[at - 1].index)) return "its records do not ascend";
  if (leaves.length === 0) return "there is no record";
  if (treeSize > BigInt(Number.MAX_SAFE_INTEGER)) return "the tree is larger than a manifest can say";
  const size = Number(treeSize);
  if (leaves[leaves.length - 1].index >= size) return "a record lies beyond the tree";
  let known = leaves;
  let used = 0;
  for (let last = size - 1; last > 0; last = Math.floor(last / 2)) {
    /** @type {TreeNode[]} */
    const above = [];
    for (let at = 0; at < known.length; at += 1) {
      const { index, hash } = known[at];
      const isLeft = index % 2 === 0;
      let parent = hash; // the last node of its row has no neighbour and moves up
      if (isLeft && known[at + 1]?.index === index + 1) {
        at += 1;
        parent = sha256(NODE_PREFIX, hash, known[at].hash);
      } else if (!isLeft || index < last) {
        if (used === proof.length) return "a hash is missing";
        const sibling = proof[used++];
        parent = isLeft ? sha256(NODE_PREFIX, hash, sibling) : sha256(NODE_PREFIX, sibling, hash);
      }
      above.push({ index: Math.floor(index / 2), hash: parent });
    }
    known = above;
  }
  if (used !== proof.length) return "it has a hash too many";
  return sameBytes(known[0].hash, root) ? null : "it leads to another root";
}

/** Which pairs of source and id were seen, in 16 bytes a line: the first of SHA-256 over each pair. */
class SeenPairs {
  /** @param {number} lines no more pairs may come */
  constructor(lines) {
    this.count = Math.floor((lines * 10) / 9) + 2;
    this.slots = new Uint32Array(4 * this.count);
  }

  /** Adds a pair; false if it was there. @param {string} source @param {string} id */
  add(source, id) {
    const digest = sha256(encodeUtf8(`${source.length}:${source}${id}`));
    const view = new DataView(digest.buffer);
    const key = [view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12) | 1];
    key[3] >>>= 0; // an empty slot is all zeros, a full one never
    for (let slot = key[0] % this.count; ; slot = (slot + 1) % this.count) {
      const at = slot * 4;
      if (this.slots[at + 3] === 0) {
        this.slots.set(key, at);
        return true;
      }
      if (key.every((word, place) => this.slots[at + place] === word)) return false;
    }
  }
}
