// Signed notes, checkpoints, keys and policies, as c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature
// and tlog-policy have them.

const NOTE_BYTES_MAX = 128 * 1024;
const SIGNATURES_MAX = 64;
const NAME_BYTES_MAX = 255;
const VKEY_BYTES_MAX = 2048;
const VKEYS_MAX = 256;
const POLICY_BYTES_MAX = 1024 * 1024;
/** Logs, witnesses and groups of a policy, each. */
const POLICY_ITEMS_MAX = 256;
const SIZE_MAX = (1n << 63n) - 1n;
const SIGNATURE_PREFIX = "\u2014 ";

/** Kinds of keys by their signature type. @type {Map<number, {name: string, keyBytes: number}>} */
const KEY_KINDS = new Map([
  [1, { name: "Ed25519", keyBytes: 32 }],
  [4, { name: "Ed25519 cosignature", keyBytes: 32 }],
  [6, { name: "ML-DSA-44 cosignature", keyBytes: 1312 }],
]);
const TYPE_COSIGNATURE = 4;
/** Its signatures are not examined here. */
const TYPE_ML_DSA_44 = 6;

/** @typedef {{name: string, id: number, type: number, key: Uint8Array}} VerifierKey */
/** @typedef {{name: string, id: number, signature: Uint8Array}} Signature */
/** @typedef {{text: string, signatures: Signature[]}} Note */
/** @typedef {{origin: string, size: bigint, root: Uint8Array, note: Note}} Checkpoint */

/** @param {string} name */
function isKeyName(name) {
  return name !== "" && !/[\p{White_Space}+\u0000-\u001f]/u.test(name);
}

/** @param {Uint8Array} bytes @returns {Note} */
function readNote(bytes) {
  const refuse = (/** @type {string} */ why) => new Unusable("checkpoint", `the checkpoint cannot be used: ${why}`);
  if (bytes.length > NOTE_BYTES_MAX) throw refuse("it is too large");
  if (bytes.some((byte) => byte < 0x20 && byte !== 0x0a)) throw refuse("it holds a control character");
  const note = decodeUtf8(bytes);
  if (note === null) throw refuse("it is not UTF-8");
  if (!note.endsWith("\n")) throw refuse("its last line does not end");
  const separator = note.lastIndexOf("\n\n");
  if (separator < 0) throw refuse("it has no empty line before its signatures");
  const lines = note.slice(separator + 2).split("\n").slice(0, -1);
  if (lines.length === 0) throw refuse("it has no signature");
  if (lines.length > SIGNATURES_MAX) throw refuse(`it has more than ${SIGNATURES_MAX} signatures`);
  const signatures = lines.map((line, at) => {
    const signature = readSignature(line);
    if (signature === null) throw refuse(`signature ${at + 1} is not of the form "\u2014 name base64"`);
    return signature;
  });
  return { text: note.slice(0, separator + 1), signatures };
}

/** @param {string} line @returns {Signature | null} */
function readSignature(line) {
  const space = line.indexOf(" ", SIGNATURE_PREFIX.length);
  if (!line.startsWith(SIGNATURE_PREFIX) || space < 0) return null;
  const name = line.slice(SIGNATURE_PREFIX.length, space);
  const bytes = decodeBase64(line.slice(space + 1));
  if (!isKeyName(name) || bytes === null || bytes.length < 5) return null;
  return { name, id: readUint32(bytes), signature: bytes.subarray(4) };
}

/** @param {Uint8Array} bytes */
function readUint32(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
}

/** A number in its one spelling, or null. @param {string} text @param {bigint} max */
function readDecimal(text, max) {
  if (!/^(?:0|[1-9][0-9]{0,19})$/.test(text)) return null;
  const number = BigInt(text);
  return number <= max ? number : null;
}

/** @param {Uint8Array} bytes @returns {Checkpoint} */
function readCheckpoint(bytes) {
  const note = readNote(bytes);
  const refuse = (/** @type {string} */ why) => new Unusable("checkpoint", `the checkpoint cannot be used: ${why}`);
  const lines = note.text.split("\n").slice(0, -1);
  if (lines.length < 3) throw refuse("it has fewer than three lines");
  const [origin, sizeText, rootText, ...extensions] = lines;
  if (origin === "" || encodeUtf8(origin).length > NAME_BYTES_MAX) throw refuse("its origin");
  const size = readDecimal(sizeText, SIZE_MAX);
  if (size === null) throw refuse("its tree size");
  const root = decodeBase64(rootText);
  if (root === null || root.length !== 32) throw refuse("its root hash");
  if (extensions.includes("")) throw refuse("an empty extension line");
  return { origin, size, root, note };
}

/** A verifier key, or null. @param {string} text @returns {VerifierKey | null} */
function readVkey(text) {
  if (encodeUtf8(text).length > VKEY_BYTES_MAX) return null;
  const parts = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(text);
  if (parts === null) return null;
  const [, name, idText, keyText] = parts;
  const tagged = decodeBase64(keyText);
  if (!isKeyName(name) || encodeUtf8(name).length > NAME_BYTES_MAX || !tagged || tagged.length === 0) return null;
  const type = tagged[0];
  const key = tagged.subarray(1);
  if (KEY_KINDS.get(type)?.keyBytes !== key.length) return null;
  if (type !== TYPE_ML_DSA_44 && !isEd25519Key(key)) return null;
  const id = readUint32(sha256(encodeUtf8(`${name}\n`), tagged));
  return id === parseInt(idText, 16) ? { name, id, type, key } : null;
}

/** @param {VerifierKey} one @param {VerifierKey} other */
function sameKey(one, other) {
  return one.type === other.type && one.name === other.name && sameBytes(one.key, other.key);
}

/**
 * A file of keys, one a line, as editors and mail programs leave it.
 * @param {Uint8Array} bytes @param {string} what @returns {VerifierKey[]}
 */
function readVkeys(bytes, what) {
  const text = bytes.length <= POLICY_BYTES_MAX ? decodeUtf8(bytes) : null;
  if (text === null) throw new Unusable("key", `${what} cannot be read`);
  /** @type {VerifierKey[]} */
  const keys = [];
  const lines = text.replace(/^\ufeff/, "").split("\n").map((line) => line.replace(/\r$/, ""));
  lines.forEach((line, at) => {
    if (line === "") return;
    const key = readVkey(line);
    if (key === null) throw new Unusable("key", `line ${at + 1} of ${what} is not a key`);
    if (keys.some((earlier) => sameKey(earlier, key))) {
      throw new Unusable("key", `line ${at + 1} of ${what} repeats a key`);
    }
    keys.push(key);
    if (keys.length > VKEYS_MAX) throw new Unusable("key", `${what} holds more than ${VKEYS_MAX} keys`);
  });
  if (keys.length === 0) throw new Unusable("key", `${what} holds no key`);
  return keys;
}

/**
 * A witness or a group of a policy. A group has members, by their position.
 * @typedef {{name: string, key: VerifierKey | null, threshold: number, members: number[]}} Voter
 */
/** @typedef {{logs: VerifierKey[], voters: Voter[], quorum: number | null}} Policy */

/** Whether a file of keys is a policy: each of its lines begins with a word. @param {Uint8Array} bytes */
function isPolicy(bytes) {
  return /^[ \t]*(?:log|witness|group|quorum)[ \t]/m.test(decodeLatin1(bytes.subarray(0, POLICY_BYTES_MAX)));
}

/** @param {Uint8Array} bytes @param {string} what @returns {Policy} */
function readPolicy(bytes, what) {
  const refuse = (/** @type {string} */ why) => new Unusable("policy", `${what} ${why}`);
  if (bytes.length > POLICY_BYTES_MAX) throw refuse("is too large");
  const text = decodeLatin1(bytes);
  if (text !== "" && !text.endsWith("\n")) throw refuse("has a last line that does not end");
  const reader = new PolicyReader();
  text.split("\n").slice(0, -1).forEach((line, at) => {
    const why = reader.line(line);
    if (why !== null) throw refuse(`is refused: line ${at + 1} ${why}`);
  });
  if (reader.quorum === undefined) throw refuse("has no quorum line");
  return { logs: reader.logs, voters: reader.voters, quorum: reader.quorum };
}

/** What has been read of a policy. A line may only name what stands above it. */
class PolicyReader {
  constructor() {
    /** @type {VerifierKey[]} */
    this.logs = [];
    /** @type {Voter[]} */
    this.voters = [];
    /** @type {number | null | undefined} */
    this.quorum = undefined;
    /** @type {Map<string, number>} */
    this.names = new Map();
    /** @type {Set<number>} */
    this.taken = new Set();
  }

  /** Why the line is refused, or null. @param {string} line @returns {string | null} */
  line(line) {
    if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(line)) return "holds a control character";
    const [word, ...items] = line.split(/[ \t]+/).filter((item) => item !== "");
    if (word === undefined || word.startsWith("#")) return null;
    if (word === "log") return this.log(items);
    if (word === "witness") return this.witness(items);
    if (word === "group") return this.group(items);
    return word === "quorum" ? this.setQuorum(items) : "starts with an unknown word";
  }

  /** @param {string[]} items */
  log(items) {
    if (items.length < 1 || items.length > 2) return "is not of the form: log <vkey> [<url>]";
    if (this.logs.length === POLICY_ITEMS_MAX) return "is one log too many";
    const key = readOpaqueVkey(items[0]);
    if (key === null) return "has a bad vkey";
    if (this.logs.some((log) => sameBytes(log.key, key.key))) return "repeats a public key";
    this.logs.push(key);
    return null;
  }

  /** @param {string[]} items */
  witness(items) {
    if (items.length < 2 || items.length > 3) return "is not of the form: witness <name> <vkey> [<url>]";
    const witnesses = this.voters.flatMap((voter) => (voter.key ? [voter.key] : []));
    if (witnesses.length === POLICY_ITEMS_MAX) return "is one witness too many";
    const key = readOpaqueVkey(items[1]);
    if (key === null) return "has a bad vkey";
    if (key.type < TYPE_COSIGNATURE) return "gives a witness a key that makes no cosignatures";
    if (witnesses.some((earlier) => sameBytes(earlier.key, key.key))) return "repeats a public key";
    return this.define({ name: items[0], key, threshold: 0, members: [] });
  }

  /** @param {string[]} items */
  group([name, thresholdText, ...names]) {
    if (names.length === 0) return "is not of the form: group <name> all|any|<k> <name>...";
    if (this.voters.filter((voter) => !voter.key).length === POLICY_ITEMS_MAX) return "is one group too many";
    const named = new Map([["any", 1n], ["all", BigInt(names.length)]]).get(thresholdText);
    const threshold = named ?? readDecimal(thresholdText, (1n << 64n) - 1n);
    if (threshold === null || threshold < 1n || threshold > BigInt(names.length)) return "has a bad threshold";
    /** @type {number[]} */
    const members = [];
    for (const member of names) {
      const at = this.names.get(member);
      if (at === undefined) return "names what no line above defines";
      if (this.taken.has(at)) return "makes a name a member a second time";
      this.taken.add(at);
      members.push(at);
    }
    return this.define({ name, key: null, threshold: Number(threshold), members });
  }

  /** @param {string[]} items */
  setQuorum(items) {
    if (items.length !== 1) return "is not of the form: quorum <name>";
    if (this.quorum !== undefined) return "is a second quorum line";
    const at = items[0] === "none" ? null : this.names.get(items[0]);
    if (at === undefined) return "names what no line above defines";
    this.quorum = at;
    return null;
  }

  /** @param {Voter} voter */
  define(voter) {
    if (voter.name === "none") return "uses the predefined name none";
    if (this.names.has(voter.name)) return "defines a name again";
    this.names.set(voter.name, this.voters.length);
    this.voters.push(voter);
    return null;
  }
}

/** @param {string} latin1 @returns {VerifierKey | null} */
function readOpaqueVkey(latin1) {
  const text = decodeUtf8(Uint8Array.from(latin1, (character) => character.charCodeAt(0)));
  return text === null ? null : readVkey(text);
}

/**
 * Whom a verifier believes: keys of logs, and a policy where there is one.
 * @typedef {{logs: VerifierKey[], policy: Policy | null}} Trust
 */

/**
 * What became of one signature line.
 * @typedef {{name: string, id: number, verdict: "verified" | "not known" | "not examined here", time: bigint | null}} Seen
 */

/**
 * @typedef {object} Trusted what the signatures of a checkpoint say
 * @property {Seen[]} signatures
 * @property {string[]} witnesses names of the policy's witnesses that vouch
 * @property {number} witnessesKnown witnesses of the policy
 * @property {Unusable | Mismatch | null} trouble why the checkpoint is not believed
 */

/**
 * Verifies the signatures of all known keys, and that log and quorum are among them.
 * @param {Checkpoint} checkpoint @param {Trust} trust @param {SubtleCrypto | null} subtle
 * @returns {Promise<Trusted>}
 */
async function verifyTrust(checkpoint, trust, subtle) {
  const voters = trust.policy?.voters ?? [];
  const keys = [...trust.logs, ...voters.flatMap((voter) => (voter.key ? [voter.key] : []))];
  /** @type {Trusted} */
  const result = { signatures: [], witnesses: [], witnessesKnown: 0, trouble: null };
  /** @type {VerifierKey[]} */
  const verified = [];
  /** @type {VerifierKey[]} */
  const unexamined = [];
  try {
    for (const line of checkpoint.note.signatures) {
      const key = knownKey(keys, line);
      const seen = await verifySignature(checkpoint.note.text, key, line, subtle);
      result.signatures.push(seen);
      if (key) (seen.verdict === "verified" ? verified : unexamined).push(key);
    }
    expectLog(checkpoint, trust.logs, verified, unexamined);
    if (trust.policy) expectQuorum(trust.policy, verified, unexamined);
  } catch (error) {
    if (!(error instanceof Mismatch || error instanceof Unusable)) throw error;
    result.trouble = error;
  }
  const witnesses = voters.filter((voter) => voter.key);
  result.witnessesKnown = witnesses.length;
  result.witnesses = witnesses
    .filter((voter) => verified.some((key) => voter.key && sameKey(voter.key, key)))
    .map((voter) => decodeUtf8(Uint8Array.from(voter.name, (it) => it.charCodeAt(0))) ?? voter.name);
  return result;
}

/** @param {VerifierKey[]} keys @param {Signature} line @returns {VerifierKey | null} */
function knownKey(keys, line) {
  const known = keys.filter((key) => key.name === line.name && key.id === line.id);
  if (known.some((key) => !sameKey(key, known[0]))) {
    throw new Mismatch("signatures", "two different keys have one name and id");
  }
  return known[0] ?? null;
}

/**
 * @param {string} text @param {VerifierKey | null} key @param {Signature} line
 * @param {SubtleCrypto | null} subtle @returns {Promise<Seen>}
 */
async function verifySignature(text, key, line, subtle) {
  const { name, id } = line;
  if (key === null) return { name, id, verdict: "not known", time: null };
  if (key.type === TYPE_ML_DSA_44) return { name, id, verdict: "not examined here", time: null };
  let [message, signature] = [text, line.signature];
  /** @type {bigint | null} */
  let time = null;
  if (key.type === TYPE_COSIGNATURE && signature.length >= 8) {
    time = new DataView(signature.buffer, signature.byteOffset, 8).getBigUint64(0);
    message = `cosignature/v1\ntime ${time}\n${text}`;
    signature = signature.subarray(8);
  }
  const isTime = key.type === TYPE_COSIGNATURE ? time !== null && time <= SIZE_MAX : true;
  if (!isTime || !(await verifyEd25519(key.key, encodeUtf8(message), signature, subtle))) {
    throw new Mismatch("signatures", `the signature of ${name}+${id.toString(16).padStart(8, "0")} does not verify`);
  }
  return { name, id, verdict: "verified", time };
}

/**
 * @param {Checkpoint} checkpoint @param {VerifierKey[]} logs
 * @param {VerifierKey[]} verified @param {VerifierKey[]} unexamined
 */
function expectLog(checkpoint, logs, verified, unexamined) {
  const isOfLog = (/** @type {VerifierKey} */ key) =>
    key.name === checkpoint.origin && logs.some((log) => sameKey(log, key));
  if (verified.some(isOfLog)) return;
  if (unexamined.some(isOfLog)) {
    throw new Unusable("signatures", "the key of the log is of a kind that is not examined here");
  }
  throw new Mismatch("signatures", "no known key of the log has signed the checkpoint");
}

/** @param {Policy} policy @param {VerifierKey[]} verified @param {VerifierKey[]} unexamined */
function expectQuorum(policy, verified, unexamined) {
  const isQuorum = (/** @type {VerifierKey[]} */ keys) => {
    if (policy.quorum === null) return true;
    /** @type {boolean[]} */
    const counts = [];
    for (const { key, threshold, members } of policy.voters) {
      const cosigned = () => keys.some((found) => key !== null && sameKey(found, key));
      counts.push(key ? cosigned() : members.filter((at) => counts[at]).length >= threshold);
    }
    return counts[policy.quorum];
  };
  if (isQuorum(verified)) return;
  if (isQuorum([...verified, ...unexamined])) {
    throw new Unusable("quorum", "the quorum needs cosignatures of a kind that is not examined here");
  }
  throw new Mismatch("quorum", "too few of the policy's witnesses have cosigned the checkpoint");
}
