// The events of an evidence file as a table: made again of its lines, and compared cell for cell.

/** Columns: name, and the block and member its cells come from. @type {[string, number, string, string][]} */
const COLUMNS = [
  ...columnsOf(0, ["index", "received_at"]),
  ...columnsOf(1, "time source id action category operation outcome outcome_code severity".split(" ")),
  ...columnsOf(0, ["sentence"]),
  ...columnsOf(2, "type id name email groups session_id auth_method on_behalf_of".split(" "), "actor."),
  ...columnsOf(3, "ip forwarded_for host user_agent country device".split(" "), "origin."),
  ...columnsOf(4, ["targets", "description"]),
  ...columnsOf(5, ["changes"]),
  ...innerColumnsOf("request", ["id", "method", "path"]),
  ...innerColumnsOf("trace", ["trace_id", "span_id", "correlation_id"]),
  ...columnsOf(6, ["metadata"]),
  ...columnsOf(1, ["labels", "flags"]),
  ...columnsOf(6, ["truncated", "numbers"]),
  ...columnsOf(1, ["schema", "retention_class"]),
  ...columnsOf(6, ["writer", "raw_content_type"]),
  ...columnsOf(0, ["withheld", "erased", "leaf_hash"]),
];
/** The one column whose words may change from version to version. */
const SENTENCE_COLUMN = 11;
/** Characters of a row or item that is read: more than any line makes. */
const VIEW_ROW_MAX = 32 * 1024 * 1024;

/** @param {number} tag @param {string[]} members @param {string} [prefix] @returns {[string, number, string, string][]} */
function columnsOf(tag, members, prefix = "") {
  return members.map((member) => [prefix + member, tag, member, ""]);
}

/** @param {string} outer @param {string[]} members @returns {[string, number, string, string][]} */
function innerColumnsOf(outer, members) {
  return members.map((member) => [`${outer}.${member}`, 6, outer, member]);
}

/**
 * One event as cells; null where a member is absent or not shown.
 * @typedef {{cells: (string | null)[], objects: Map<number, Map<string, JsonValue>>, line: Line, received: string, leafHash: string}} Row
 */

/**
 * @param {Line} line @param {Map<number, Map<string, JsonValue>>} objects the members of its canonical blocks
 * @param {string} hash @returns {Row}
 */
function rowOf(line, objects, hash) {
  const received = nineDigits(line.leaf.received);
  /** @type {Record<string, string>} */
  const ofLine = {
    index: String(line.index),
    received_at: received,
    withheld: JSON.stringify(blockNames(line.withheld)),
    erased: JSON.stringify(blockNames(line.erased)),
    leaf_hash: hash,
  };
  const cells = COLUMNS.map(([name, tag, member, inner]) => {
    if (tag === 0) return ofLine[name] ?? null;
    const value = objects.get(tag)?.get(member);
    if (inner === "") return cellValue(value);
    return value instanceof Map ? cellValue(value.get(inner)) : null;
  });
  return { cells, objects, line, received, leafHash: hash };
}

/** @param {JsonValue} value @returns {string | null} */
function cellValue(value) {
  if (isAbsent(value)) return null;
  return typeof value === "string" ? value : writeJson(value);
}

// Characters that change how a line reads without being seen.
const CSV_HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
// What a spreadsheet takes for the beginning of a formula, its full-width forms, and the apostrophe itself.
const CSV_FORMULA = /^[=+\-@'\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const CSV_NUMBER = /^-?[0-9]+(?:\.[0-9]+)?$/;
const CSV_QUOTED = /[,;"\r\n]/;

/** @param {string | null} value */
function csvCell(value) {
  if (value === null) return "";
  const isFormula = CSV_FORMULA.test(value) && !CSV_NUMBER.test(value);
  let text = value.replace(CSV_HIDDEN, (it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, "0")}`);
  if (isFormula) text = `'${text}`;
  return isFormula || text === "" || CSV_QUOTED.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {Row} row @returns {Map<string, JsonValue>} */
function jsonItem(row) {
  /** @type {Map<string, JsonValue>} */
  const item = new Map();
  for (const [tag, members] of row.objects) {
    if (tag === 2 || tag === 3) item.set(BLOCKS[tag - 1], members);
    else for (const [name, value] of members) item.set(name, value);
  }
  item.set("index", row.line.index);
  item.set("received_at", row.received);
  item.set("leaf_hash", row.leafHash);
  item.set("withheld", blockNames(row.line.withheld));
  item.set("erased", blockNames(row.line.erased));
  return item;
}

/** A text that comes in pieces of bytes. */
class TextFeed {
  /** @param {AsyncIterator<Uint8Array>} chunks */
  constructor(chunks) {
    this.chunks = chunks;
    this.decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    this.text = "";
    this.at = 0;
    this.hasEnded = false;
  }

  /** Adds the next piece; false if there is none. Throws a Mismatch where the text is not UTF-8. */
  async more() {
    if (this.hasEnded) return false;
    const { value, done } = await this.chunks.next();
    this.hasEnded = done === true;
    try {
      const piece = done ? this.decoder.decode() : this.decoder.decode(value, { stream: true });
      this.text = this.text.slice(this.at) + piece;
    } catch {
      throw new Mismatch("views", "it is not UTF-8");
    }
    this.at = 0;
    if (this.text.length > VIEW_ROW_MAX + CHUNK_BYTES) throw new Mismatch("views", "a row is longer than any event");
    return !this.hasEnded;
  }

  /** The rest of the file, so that all of it is read and hashed. */
  async drain() {
    this.text = "";
    while (!this.hasEnded) this.hasEnded = (await this.chunks.next()).done === true;
  }
}

/** `events.csv`, row by row. */
class CsvView {
  /** @param {TextFeed} feed */
  constructor(feed) {
    this.feed = feed;
    this.separator = ",";
  }

  async head() {
    const { feed } = this;
    const names = COLUMNS.map(([name]) => name);
    while (feed.text.length < 2000 && (await feed.more()));
    if (feed.text.startsWith("\ufeff")) feed.at = 1;
    if (feed.text.startsWith("index;", feed.at)) this.separator = ";";
    const head = `${names.join(this.separator)}\r\n`;
    if (!feed.text.startsWith(head, feed.at)) throw new Mismatch("views", "its head, column index");
    feed.at += head.length;
  }

  /** @param {Row} row */
  async next(row) {
    const cells = row.cells.map(csvCell);
    const before = cells.slice(0, SENTENCE_COLUMN).join(this.separator) + this.separator;
    const after = this.separator + cells.slice(SENTENCE_COLUMN + 1).join(this.separator) + "\r\n";
    while (!this.takes(before, after)) {
      // Only a whole row can differ; the rest of this one may be still to come.
      if (this.splitRow().isWhole || !(await this.feed.more())) {
        throw new Mismatch("views", `column ${this.firstDifference(cells)}`);
      }
    }
  }

  /** Whether the next row is there, and these are its cells around the sentence. @param {string} before @param {string} after */
  takes(before, after) {
    const { feed } = this;
    if (!feed.text.startsWith(before, feed.at)) return false;
    const end = this.cellEnd(feed.at + before.length);
    if (end < 0 || !feed.text.startsWith(after, end)) return false;
    feed.at = end + after.length;
    return true;
  }

  /** Where the cell that begins at a place ends, or -1. @param {number} from */
  cellEnd(from) {
    const { text } = this.feed;
    let isQuoted = false;
    for (let at = from; at < text.length; at += 1) {
      const character = text[at];
      if (character === '"') isQuoted = !isQuoted;
      else if (!isQuoted && character === this.separator) return at;
      else if (!isQuoted && character === "\n" && text[at - 1] === "\r") return at - 1;
    }
    return -1;
  }

  /** The cells from here up to the end of the row, as far as it is there. */
  splitRow() {
    const cells = [];
    for (let from = this.feed.at; ; ) {
      const end = this.cellEnd(from);
      if (end < 0) return { cells, isWhole: false };
      cells.push(this.feed.text.slice(from, end));
      if (this.feed.text[end] !== this.separator) return { cells, isWhole: true };
      from = end + 1;
    }
  }

  /** @param {string[]} cells */
  firstDifference(cells) {
    const found = this.splitRow().cells;
    const at = cells.findIndex((cell, place) => place !== SENTENCE_COLUMN && cell !== found[place]);
    return COLUMNS[at < 0 ? COLUMNS.length - 1 : at][0];
  }

  async end() {
    while (await this.feed.more());
    if (this.feed.at < this.feed.text.length) throw new Mismatch("views", "it has more rows than there are records");
  }
}

/** `events.json`, item by item. */
class JsonView {
  /** @param {TextFeed} feed */
  constructor(feed) {
    this.feed = feed;
    this.isFirst = true;
  }

  async head() {}

  /** The next character that is no white space; undefined at the end. */
  async blanks() {
    const { feed } = this;
    for (;;) {
      while (feed.at < feed.text.length && " \t\n\r".includes(feed.text[feed.at])) feed.at += 1;
      if (feed.at < feed.text.length) return feed.text[feed.at];
      if (!(await feed.more())) return undefined;
    }
  }

  /** @param {Row} row */
  async next(row) {
    const { feed } = this;
    if ((await this.blanks()) !== (this.isFirst ? "[" : ",")) throw new Mismatch("views", "it is not an array of objects");
    this.isFirst = false;
    feed.at += 1;
    if ((await this.blanks()) !== "{") throw new Mismatch("views", "it has fewer items than there are records");
    let end = objectEnd(feed.text, feed.at);
    while (end < 0 && (await feed.more())) end = objectEnd(feed.text, feed.at);
    if (end < 0) throw new Mismatch("views", "an item does not end");
    /** @type {JsonValue} */
    let found;
    try {
      found = readJson(feed.text.slice(feed.at, end), LEVELS_MAX + 1);
    } catch (error) {
      if (error instanceof JsonError) throw new Mismatch("views", error.message);
      throw error;
    }
    feed.at = end;
    const expected = jsonItem(row);
    if (!sameValue(found, expected)) throw new Mismatch("views", `column ${firstOtherMember(found, expected)}`);
  }

  async end() {
    const first = await this.blanks();
    if (this.isFirst && first === "[") {
      this.feed.at += 1;
      await this.blanks();
    }
    if (this.feed.text[this.feed.at] !== "]") throw new Mismatch("views", "it has more items than there are records");
    this.feed.at += 1;
    if ((await this.blanks()) !== undefined) throw new Mismatch("views", "something follows its array");
  }
}

/** The first member that is not as expected, if it is one that events have. @param {JsonValue} found @param {Map<string, JsonValue>} expected */
function firstOtherMember(found, expected) {
  const differs = (/** @type {string} */ name) => !sameValue(found.get(name), expected.get(name));
  return [...expected.keys()].find(differs) ?? "beyond those of the event";
}

/** Where the object that begins at a place ends, or -1. @param {string} text @param {number} from */
function objectEnd(text, from) {
  const interesting = /["{}[\]]/g;
  interesting.lastIndex = from;
  let depth = 0;
  for (let found = interesting.exec(text); found; found = interesting.exec(text)) {
    if (found[0] === '"') {
      const end = stringEnd(text, found.index);
      if (end < 0) return -1;
      interesting.lastIndex = end;
    } else if (found[0] === "{" || found[0] === "[") {
      depth += 1;
    } else {
      depth -= 1;
      if (depth === 0) return found.index + 1;
    }
  }
  return -1;
}

/** Where the string that begins at a place ends, or -1. @param {string} text @param {number} from */
function stringEnd(text, from) {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = at;
    while (text[before - 1] === "\\") before -= 1;
    if ((at - before) % 2 === 0) return at + 1;
  }
  return -1;
}
