// Whether everything in an evidence file holds: bytes in, verdict out. No page, no network, no clock that
// decides anything. Findings name places, never values of an event, which may be personal.

/** Findings that are listed; the others are counted. */
const FINDINGS_MAX = 1000;
/** Records that are kept as sentences, for a table. */
const ROWS_MAX = 20_000;
/** Milliseconds of work between two pauses. */
const WORK_MS = 30;
const OWN_SOURCE = "cairn:";

/**
 * One thing that is wrong. Lines count from 1; `index` is the record's number in the log.
 * @typedef {{status: 1 | 2, step: string, line: number | null, index: number | null, block: string | null, message: string}} Finding
 */
/** @typedef {{step: string, value: string}} Step what was done, and what was found */
/** @typedef {{line: number, index: number, received: string, source: string | null, parts: Part[], erased: boolean, withheld: boolean}} TableRow */

/**
 * @typedef {object} Options
 * @property {Uint8Array | null} [key] keys or a policy that the reader has, instead of those in the file
 * @property {Catalogue} [catalogue] for the sentences
 * @property {SubtleCrypto | null} [subtle] the browser's own functions
 * @property {(done: number, all: number, lines: number, events: number) => void} [progress] bytes, and lines
 * @property {() => Promise<void>} [pause] lets the page do its own work
 */

/**
 * @typedef {object} Verdict
 * @property {0 | 1 | 2} status 0: all holds; 1: something does not; 2: it cannot be used
 * @property {Finding[]} findings
 * @property {number} more findings beyond those
 * @property {Step[]} steps
 * @property {string[]} notExamined
 * @property {Manifest | null} manifest
 * @property {string} manifestHash
 * @property {Checkpoint | null} checkpoint
 * @property {Trusted | null} trusted
 * @property {boolean} hasOwnKey whether the reader's own key was used
 * @property {boolean} isOtherLog whether no key of the reader is of this log
 * @property {string} keysHash SHA-256 of `keys.txt`
 * @property {number} lines
 * @property {number} inFull
 * @property {number} reduced
 * @property {number} erased
 * @property {number} unjudged
 * @property {boolean} decided whether it can be seen that the reduced lines do not match the filter
 * @property {number} erasures events in the file that state an erasure
 * @property {TableRow[]} rows
 * @property {{line: number, index: number, received: string} | null} knownGood the last record before which all holds
 */

/** @returns {Verdict} */
function newVerdict() {
  return {
    status: 0,
    findings: [],
    more: 0,
    steps: [],
    notExamined: [],
    manifest: null,
    manifestHash: "",
    checkpoint: null,
    trusted: null,
    hasOwnKey: false,
    isOtherLog: false,
    keysHash: "",
    lines: 0,
    inFull: 0,
    reduced: 0,
    erased: 0,
    unjudged: 0,
    decided: false,
    erasures: 0,
    rows: [],
    knownGood: null,
  };
}

/**
 * @param {Verdict} report @param {1 | 2} status @param {string} step @param {string} message
 * @param {{line?: number, index?: number, block?: string}} [place]
 */
function addFinding(report, status, step, message, place = {}) {
  if (status > report.status) report.status = status;
  if (report.findings.length >= FINDINGS_MAX && status === 1) {
    report.more += 1;
    return;
  }
  const { line = null, index = null, block = null } = place;
  report.findings.push({ status, step, line, index, block, message });
}

/** @typedef {{line: Line, objects: Map<number, Map<string, JsonValue>>, hash: Uint8Array}} CheckedLine */

/** Verifies the lines of a file as they come. */
class LineVerifier {
  /** @param {Manifest} manifest @param {Checkpoint} checkpoint @param {Verdict} report */
  constructor(manifest, checkpoint, report) {
    this.manifest = manifest;
    this.checkpoint = checkpoint;
    this.report = report;
    /** @type {TreeNode[]} the lines that the next proof is about */
    this.unproven = [];
    this.proofs = 0;
    this.commitments = 0;
    /** @type {{index: number, received: bigint} | null} */
    this.last = null;
    /** @type {bigint | null} */
    this.firstReceived = null;
    /** @type {number | null} the first line of a complete file that is not the next of its range */
    this.outOfRange = null;
    /** @type {{line: number, index: number, received: bigint} | null} the line before the first finding */
    this.lastGood = null;
    this.seen = new SeenPairs(manifest.events);
    report.decided = isDecidable(manifest.filter);
    if (manifest.origin !== checkpoint.origin) {
      addFinding(report, 1, "checkpoint", "the manifest names another log than the checkpoint");
    }
    if (BigInt(manifest.tree_size) !== checkpoint.size) {
      addFinding(report, 1, "checkpoint", "the manifest states another tree size than the checkpoint");
    }
  }

  /**
   * The next line, with its newline; null where no more are looked at.
   * @param {Uint8Array} bytes @returns {CheckedLine | null}
   */
  line(bytes) {
    const { report, manifest } = this;
    const number = report.lines + 1;
    if (number > manifest.events) {
      if (number === manifest.events + 1) {
        report.lines = number;
        this.add(1, "count", `there are more lines than the ${manifest.events} of the manifest`, {});
      }
      return null;
    }
    report.lines = number;
    if (bytes[bytes.length - 1] !== 0x0a) throw new Unusable("line", `line ${number} does not end`);
    let line;
    try {
      line = readLine(bytes.subarray(0, -1));
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      throw new Unusable(error.step, `line ${number} cannot be used: ${error.message}`);
    }
    return this.check(number, line);
  }

  /** @param {1 | 2} status @param {string} step @param {string} message @param {{line?: number, index?: number, block?: string}} place */
  add(status, step, message, place) {
    addFinding(this.report, status, step, message, place);
  }

  /** @param {number} number @param {Line} line @returns {CheckedLine} */
  check(number, line) {
    const { report } = this;
    const isGood = report.findings.length === 0;
    const hash = leafHash(line.leaf);
    this.unproven.push({ index: line.index, hash });
    this.checkOrder(number, line);
    const objects = this.checkBlocks(number, line);
    const core = objects.get(CORE);
    if (core) this.checkPair(number, line, core);
    this.checkWithheld(number, line);
    if (this.manifest.complete) this.checkComplete(number, line, core);
    if (line.erased !== 0) report.erased += 1;
    if ((line.withheld & ~this.manifest.withheld) === 0) report.inFull += 1;
    else report.reduced += 1;
    if (isGood && report.findings.length === 0) this.lastGood = { line: number, index: line.index, received: line.leaf.received };
    return { line, objects, hash };
  }

  /** @param {number} number @param {Line} line */
  checkOrder(number, line) {
    const { received } = line.leaf;
    const place = { line: number, index: line.index };
    if (this.last) {
      if (line.index <= this.last.index) this.add(1, "order", "its number does not come after the one before", place);
      if (received < this.last.received) this.add(1, "time", "it was received before the one before", place);
    }
    const range = this.manifest.complete;
    if (range && (line.index >= range.end || line.index - range.start !== number - 1)) this.outOfRange ??= number;
    this.firstReceived ??= received;
    this.last = { index: line.index, received };
  }

  /**
   * Whether the blocks of a line are those of its leaf and canonical; the members of those that are.
   * @param {number} number @param {Line} line
   */
  checkBlocks(number, line) {
    const { leaf, shown, withheld, erased } = line;
    const place = { line: number, index: line.index };
    for (const block of blockNames(withheld & erased)) {
      this.add(1, "lists", "the block is both withheld and erased", { ...place, block });
    }
    if (withheld & CORE) this.add(1, "lists", "the block core is withheld", { ...place, block: "core" });
    if ((shown | withheld | erased) !== leaf.tags || (shown & (withheld | erased)) !== 0) {
      this.add(1, "lists", "shown, withheld and erased blocks are not exactly those of the leaf", place);
    }
    /** @type {Map<number, Map<string, JsonValue>>} */
    const objects = new Map();
    for (const block of line.blocks) {
      const name = BLOCKS[block.tag - 1];
      const commitment = leaf.commitments.get(block.tag);
      this.commitments += 1;
      if (!commitment) {
        this.add(1, "commitment", "the leaf has no such block", { ...place, block: name });
      } else if (!sameBytes(commitmentTo(block), commitment)) {
        this.add(1, "commitment", "the block is not what the leaf commits to", { ...place, block: name });
      }
      if (block.text === null) continue;
      const members = readBlockText(block.text);
      if (typeof members !== "string") objects.set(block.tag, members);
      else this.add(1, "text", `the block is committed, but not canonical: ${members}`, { ...place, block: name });
    }
    return objects;
  }

  /** An event is known by its source and id. @param {number} number @param {Line} line @param {Map<string, JsonValue>} core */
  checkPair(number, line, core) {
    const [source, id] = [core.get("source"), core.get("id")];
    if (typeof source !== "string" || typeof id !== "string") return;
    if (!this.seen.add(source, id)) {
      this.add(1, "source and id", "an earlier line has the same source and id", { line: number, index: line.index });
    }
    if (source === OWN_SOURCE + this.checkpoint.origin && core.get("action") === "privacy.erased") this.report.erasures += 1;
  }

  /** @param {number} number @param {Line} line */
  checkWithheld(number, line) {
    const announced = this.manifest.withheld;
    const place = { line: number, index: line.index };
    const [shown] = blockNames(line.shown & announced);
    if (shown) this.add(1, "withheld", "the block is shown, and the manifest says that it is withheld", { ...place, block: shown });
    const [unannounced] = blockNames(line.withheld & ~announced);
    const mayBeReduced = this.manifest.complete !== null && (line.shown & ~CORE) === 0;
    if (unannounced && !mayBeReduced) {
      this.add(1, "withheld", "the block is withheld, and the manifest does not say so", { ...place, block: unannounced });
    }
  }

  /**
   * A line that matches the filter is whole, one that does not shows `core` alone.
   * @param {number} number @param {Line} line @param {Map<string, JsonValue> | undefined} core
   */
  checkComplete(number, line, core) {
    if (line.erased & CORE) this.report.unjudged += 1;
    if (!core || !this.report.decided) return;
    const place = { line: number, index: line.index };
    if (filterMatches(this.manifest.filter, core, line.leaf.received)) {
      if (line.withheld & ~this.manifest.withheld) this.add(1, "filter", "it is withheld, and the filter matches it", place);
    } else if (line.shown & ~CORE) {
      this.add(1, "filter", "it is shown, and the filter does not match it", place);
    }
  }

  /** The proof of the lines that wait. @param {Uint8Array} bytes */
  proof(bytes) {
    this.proofs += 1;
    const name = proofName(this.proofs);
    const proof = readProof(bytes, name);
    if (proof.size !== this.checkpoint.size) {
      this.add(1, "proof", `${name} states another tree size than the checkpoint`, {});
    }
    const trouble = batchTrouble(this.unproven, this.checkpoint.size, proof.hashes, this.checkpoint.root);
    if (trouble) this.add(1, "proof", `${name} does not lead to the checkpoint: ${trouble}`, {});
    this.unproven = [];
  }

  finish() {
    const { lines } = this.report;
    const { events } = this.manifest;
    if (lines < events) this.add(1, "count", `there are ${lines} lines where the manifest says ${events}`, {});
    for (const reason of this.gaps()) this.add(1, "complete", `the file is not complete: ${reason}`, {});
  }

  /** Completeness, judged from the first and last line. @returns {string[]} */
  gaps() {
    const { complete: range, filter } = this.manifest;
    if (!range) return [];
    const size = this.checkpoint.size;
    const [start, end] = [BigInt(range.start), BigInt(range.end)];
    const gaps = [];
    if (end > size) gaps.push("its range ends beyond the tree");
    if (this.outOfRange !== null) gaps.push(`line ${this.outOfRange} is not the next of its range`);
    if (this.report.lines < range.end - range.start) gaps.push("its range has more events than lines");
    if (!hasReceiptRange(filter)) {
      if (start !== 0n || end !== size) gaps.push("its range is not the whole tree");
      return gaps;
    }
    const before = this.firstReceived !== null && !isNotBefore(filter, this.firstReceived);
    if (start !== 0n && !before) gaps.push("events before its first line may have been received in time");
    const after = this.last !== null && !isBeforeEnd(filter, this.last.received);
    if (end !== size && !after) gaps.push("events after its last line may have been received in time");
    return gaps;
  }
}

/** One verification of a whole file. */
class FileVerifier {
  /** @param {Container} container @param {Options} options @param {Verdict} report */
  constructor(container, options, report) {
    this.container = container;
    this.options = options;
    this.report = report;
    this.bytesAll = container.names.reduce((sum, name) => sum + container.size(name), 0);
    this.bytesDone = 0;
    this.worked = Date.now();
    /** @type {Set<string>} files whose facts were compared */
    this.compared = new Set();
    /** @type {{name: string, view: CsvView | JsonView, feed: TextFeed, trouble: boolean}[]} */
    this.views = [];
  }

  /** @param {string} step @param {string} value */
  step(step, value) {
    this.report.steps.push({ step, value });
  }

  async breathe() {
    if (Date.now() - this.worked < WORK_MS) return;
    const { lines, manifest } = this.report;
    this.options.progress?.(this.bytesDone, this.bytesAll, lines, manifest?.events ?? 0);
    await this.options.pause?.();
    this.worked = Date.now();
  }

  /** The pieces of a file; once all are read, it is compared with what the manifest says. @param {string} name */
  async *chunks(name) {
    const hasher = new Sha256();
    let bytes = 0;
    for await (const chunk of this.container.chunks(name)) {
      hasher.update(chunk);
      bytes += chunk.length;
      this.bytesDone += chunk.length;
      await this.breathe();
      yield chunk;
    }
    const digest = hex(hasher.digest());
    if (name === MANIFEST) {
      this.report.manifestHash = digest;
      return;
    }
    if (name === "keys.txt") this.report.keysHash = digest;
    const stated = this.report.manifest?.files.get(name);
    this.compared.add(name);
    if (!stated || stated.bytes !== bytes || stated.sha256 !== digest) {
      addFinding(this.report, 1, "files", `the file ${name} is not the one in the manifest`);
    }
  }

  /** A whole file, or its beginning where it is larger than it may be. @param {string} name @param {number} max */
  async whole(name, max) {
    /** @type {Uint8Array[]} */
    const parts = [];
    let bytes = 0;
    for await (const chunk of this.chunks(name)) {
      if (bytes <= max) parts.push(chunk);
      bytes += chunk.length;
    }
    return concatBytes(parts);
  }

  async run() {
    const { container, report } = this;
    if (!container.names.includes(MANIFEST)) throw new Unusable("files", `the file ${MANIFEST} is missing`);
    if (container.size(MANIFEST) > MANIFEST_BYTES_MAX) throw new Unusable("manifest", "the manifest is too large");
    const manifest = readManifest(await this.whole(MANIFEST, MANIFEST_BYTES_MAX));
    checkPresentFiles(manifest, container.names);
    report.manifest = manifest;
    this.step("Files", `${container.names.length}, as the manifest lists them`);
    const trust = await this.trust();
    const checkpoint = readCheckpoint(await this.whole("checkpoint", NOTE_BYTES_MAX));
    report.checkpoint = checkpoint;
    await this.verifyCheckpoint(checkpoint, trust);
    await this.verifyEvents(manifest, checkpoint);
    for (const name of manifest.files.keys()) {
      if (!this.compared.has(name)) for await (const _ of this.chunks(name));
    }
    if (manifest.files.has("events.parquet")) report.notExamined.push("events.parquet");
    this.step("Fingerprints of files (SHA-256)", `${this.compared.size} compared with the manifest`);
  }

  /** The reader's own keys, else those in the file. @returns {Promise<Trust>} */
  async trust() {
    const { report } = this;
    const [keys, policy] = [await this.whole("keys.txt", POLICY_BYTES_MAX), await this.whole("policy.txt", POLICY_BYTES_MAX)];
    const own = this.options.key ?? null;
    report.hasOwnKey = own !== null;
    if (own === null) {
      const known = readPolicy(policy, "policy.txt");
      const logs = readVkeys(keys, "keys.txt");
      const others = known.logs.filter((log) => !logs.some((key) => sameKey(key, log)));
      return { logs: [...logs, ...others], policy: known };
    }
    if (!isPolicy(own)) return { logs: readVkeys(own, "the key that was chosen"), policy: null };
    const chosen = readPolicy(own, "the policy that was chosen");
    return { logs: chosen.logs, policy: chosen };
  }

  /** @param {Checkpoint} checkpoint @param {Trust} trust */
  async verifyCheckpoint(checkpoint, trust) {
    const { report } = this;
    const trusted = await verifyTrust(checkpoint, trust, this.options.subtle ?? null);
    report.trusted = trusted;
    report.isOtherLog = report.hasOwnKey && !trust.logs.some((key) => key.name === checkpoint.origin);
    if (trusted.trouble instanceof Unusable) throw trusted.trouble;
    if (trusted.trouble) addFinding(report, 1, trusted.trouble.step, trusted.trouble.message);
    this.step("Checkpoint: log", checkpoint.origin);
    this.step("Checkpoint: tree size", String(checkpoint.size));
    this.step("Checkpoint: root hash", hex(checkpoint.root));
    for (const { name, id, verdict, time } of trusted.signatures) {
      const when = time === null || time > 253402300799n ? "" : `, at ${new Date(Number(time) * 1000).toISOString().slice(0, 19)}Z`;
      this.step("Signature", `${name}+${id.toString(16).padStart(8, "0")}: ${verdict}${when}`);
    }
    const unexamined = trusted.signatures.filter(({ verdict }) => verdict === "not examined here").length;
    if (unexamined > 0) report.notExamined.push(`${unexamined} ML-DSA signature${unexamined > 1 ? "s" : ""}`);
    for (const key of trust.logs) this.step("Key of the log", `${KEY_KINDS.get(key.type)?.name}, ${hex(key.key.subarray(0, 32))}`);
    if (trust.policy) this.step("Witnesses", `${trusted.witnesses.length} of ${trusted.witnessesKnown} in the policy`);
  }

  /** @param {Manifest} manifest @param {Checkpoint} checkpoint */
  async verifyEvents(manifest, checkpoint) {
    const verifier = new LineVerifier(manifest, checkpoint, this.report);
    await this.openViews(manifest);
    for await (const bytes of this.splitLines()) {
      const checked = verifier.line(bytes);
      if (checked === null) continue;
      this.keep(checked);
      if (this.views.length > 0) await this.compareViews(checked);
      if (verifier.unproven.length === EVENTS_PER_PROOF) await this.prove(verifier);
    }
    if (verifier.unproven.length > 0) await this.prove(verifier);
    verifier.finish();
    for (const view of this.views) {
      await this.compare(view, () => view.view.end());
      await view.feed.drain();
    }
    this.tell(verifier);
  }

  /** @param {LineVerifier} verifier */
  async prove(verifier) {
    const name = proofName(verifier.proofs + 1);
    if (this.container.size(name) > PROOF_BYTES_MAX) throw new Unusable("proof", `the file ${name} is too large`);
    verifier.proof(await this.whole(name, PROOF_BYTES_MAX));
  }

  /** @param {LineVerifier} verifier */
  tell(verifier) {
    const { report } = this;
    this.step("Records", `${report.lines} read, in order, times not decreasing`);
    this.step("Blocks", `${verifier.commitments} compared with what the log committed to`);
    this.step("Batch proofs", `${verifier.proofs} verified up to the root hash`);
    for (const { name, trouble } of this.views) if (!trouble) this.step(name, `${report.lines} rows made again and compared, sentences aside`);
    // A proof that fails says nothing about which of its lines is wrong.
    const isProven = report.findings.every(({ step }) => !["proof", "signatures", "quorum", "checkpoint"].includes(step));
    const good = verifier.lastGood;
    if (good && isProven) report.knownGood = { ...good, received: nineDigits(good.received) };
  }

  /** The lines of `events.ndjson`, each with its newline. */
  async *splitLines() {
    /** @type {Uint8Array[]} */
    let begun = [];
    let length = 0;
    for await (const chunk of this.chunks("events.ndjson")) {
      for (let from = 0; from < chunk.length; ) {
        const end = chunk.indexOf(0x0a, from) + 1;
        const part = chunk.subarray(from, end === 0 ? chunk.length : end);
        from += part.length;
        length += part.length;
        if (length > LINE_BYTES_MAX + 1) throw new Unusable("line", `line ${this.report.lines + 1} is too long`);
        begun.push(part);
        if (end === 0) break;
        yield begun.length === 1 ? part : concatBytes(begun);
        await this.breathe();
        begun = [];
        length = 0;
      }
    }
    if (length > 0) yield concatBytes(begun);
  }

  /** @param {Manifest} manifest */
  async openViews(manifest) {
    const kinds = { "events.csv": CsvView, "events.json": JsonView };
    for (const [name, View] of Object.entries(kinds)) {
      if (!manifest.files.has(name)) continue;
      const feed = new TextFeed(this.chunks(name));
      const view = { name, view: new View(feed), feed, trouble: false };
      this.views.push(view);
      await this.compare(view, () => view.view.head());
    }
  }

  /** @param {CheckedLine} checked */
  async compareViews({ line, objects, hash }) {
    const row = rowOf(line, objects, hex(hash));
    for (const view of this.views) await this.compare(view, () => view.view.next(row));
  }

  /** Compares one more row; after the first difference the view is only read on. @param {{name: string, trouble: boolean}} view @param {() => Promise<void>} step */
  async compare(view, step) {
    if (view.trouble) return;
    try {
      await step();
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error;
      view.trouble = true;
      addFinding(this.report, 1, "views", `the file ${view.name} is not made of the events: ${error.message}`, { line: this.report.lines });
    }
  }

  /** Keeps a record for the table. @param {CheckedLine} checked */
  keep({ line, objects }) {
    const { rows } = this.report;
    if (rows.length >= ROWS_MAX || !this.options.catalogue) return;
    const isErased = !objects.has(CORE);
    const parts = isErased ? [{ words: "Content erased" }] : sentenceOf(this.options.catalogue, objects);
    const source = asText(objects.get(CORE)?.get("source"));
    const received = nineDigits(line.leaf.received);
    const [erased, withheld] = [line.erased !== 0, line.withheld !== 0];
    rows.push({ line: this.report.lines, index: line.index, received, source, parts, erased, withheld });
  }
}

/**
 * Verifies an evidence file.
 * @param {Container | Source} file a zip archive, or the files of a folder @param {Options} [options]
 * @returns {Promise<Verdict>}
 */
async function verifyEvidence(file, options = {}) {
  const report = newVerdict();
  try {
    const container = "names" in file ? file : await openZip(file);
    await new FileVerifier(container, options, report).run();
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    addFinding(report, 2, error.step, error.message);
  }
  return report;
}
