// Zip archives, read strictly: what the directory says, the local headers say too, and every byte of the
// archive belongs to exactly one part of it. Files are stored or deflated. Deflate is undone here and not
// by the browser, so that no browser decides otherwise and no archive grows without bound.

/** @typedef {{size: number, read: (from: number, end: number) => Promise<Uint8Array>}} Source */
/** @typedef {{names: string[], size: (name: string) => number, chunks: (name: string) => AsyncIterable<Uint8Array>}} Container */
/**
 * @typedef {object} ZipEntry
 * @property {string} name
 * @property {number} flags
 * @property {number} method
 * @property {number} crc
 * @property {number} packed bytes in the archive
 * @property {number} size
 * @property {number} offset of the local header
 * @property {number} data where its bytes begin
 */

/** Files in one evidence file. */
const FILES_MAX = 1100;
/** Bytes of the directory: what its entries need many times over. */
const DIRECTORY_BYTES_MAX = 1024 * 1024;
/** Bytes that are read at once. */
const CHUNK_BYTES = 1024 * 1024;
/** Bytes that are given to the inflater at once: they grow to at most 17 MB. */
const INFLATE_BYTES = 16 * 1024;
const METHOD_STORED = 0;
const METHOD_DEFLATED = 8;
const FLAG_DESCRIPTOR = 1 << 3;
const FLAG_UTF8 = 1 << 11;
const MARK_16 = 0xffff;
const MARK_32 = 0xffffffff;

/** @param {string} why */
function badZip(why) {
  return new Unusable("archive", `the zip archive cannot be used: ${why}`);
}

/** Takes numbers from the front of bytes. */
class Numbers {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
  }

  /** @param {number} count */
  take(count) {
    if (this.at + count > this.bytes.length) throw badZip("a part of it is cut short");
    this.at += count;
    return this.at - count;
  }

  u16() {
    return this.view.getUint16(this.take(2), true);
  }

  u32() {
    return this.view.getUint32(this.take(4), true);
  }

  u64() {
    const number = Number(this.view.getBigUint64(this.take(8), true));
    if (!Number.isSafeInteger(number)) throw badZip("a number in it is too large");
    return number;
  }

  /** @param {number} count */
  part(count) {
    const from = this.take(count);
    return this.bytes.subarray(from, from + count);
  }
}

/** @param {Source} source @param {number} from @param {number} length */
async function readExactly(source, from, length) {
  if (from < 0 || length < 0 || from + length > source.size) throw badZip("a part of it lies outside");
  const bytes = await source.read(from, from + length);
  if (bytes.length !== length) throw badZip("it was cut while it was read");
  return bytes;
}

/** @param {Source} source @returns {Promise<Container>} */
async function openZip(source) {
  const end = await readZipEnd(source);
  const directory = new Numbers(await readExactly(source, end.offset, end.bytes));
  /** @type {Map<string, ZipEntry>} */
  const entries = new Map();
  for (let count = 0; count < end.count; count += 1) {
    const entry = readDirectoryEntry(directory);
    if (entries.has(entry.name)) throw badZip("a name stands in it twice");
    entries.set(entry.name, entry);
  }
  if (directory.at !== directory.bytes.length) throw badZip("its directory has more than its entries");
  let at = 0;
  for (const entry of [...entries.values()].sort((one, other) => one.offset - other.offset)) {
    if (entry.offset !== at) throw badZip("there is a gap or an overlap in it");
    at = await readLocalPart(source, entry, end.offset, entries);
  }
  if (at !== end.offset) throw badZip("there is a gap before its directory");
  return zipContainer(source, entries);
}

/**
 * Where the directory lies. Nothing may follow the end record, and it has no comment.
 * @param {Source} source @returns {Promise<{count: number, bytes: number, offset: number}>}
 */
async function readZipEnd(source) {
  if (source.size < 22) throw badZip("it is cut short, or is no zip archive");
  const endAt = source.size - 22;
  const end = new Numbers(await readExactly(source, endAt, 22));
  if (end.u32() !== 0x06054b50) throw badZip("it is cut short, is no zip archive, or has a comment");
  end.take(4); // numbers of disks
  const [here, count, bytes, offset] = [end.u16(), end.u16(), end.u32(), end.u32()];
  if (end.u16() !== 0) throw badZip("it has a comment");
  if (here !== count) throw badZip("its end counts its entries in two ways");
  const locator = endAt >= 20 ? new Numbers(await readExactly(source, endAt - 20, 20)) : null;
  if (locator === null || locator.u32() !== 0x07064b50) return checkedEnd({ count, bytes, offset }, endAt);
  locator.take(4);
  const recordAt = locator.u64();
  if (recordAt + 56 !== endAt - 20) throw badZip("its ZIP64 end record is not where it belongs");
  const record = new Numbers(await readExactly(source, recordAt, 56));
  if (record.u32() !== 0x06064b50 || record.u64() !== 44) throw badZip("its ZIP64 end record");
  record.take(12); // versions and numbers of disks
  const large = [record.u64(), record.u64(), record.u64(), record.u64()];
  if (large[0] !== large[1]) throw badZip("its end counts its entries in two ways");
  const [small, marks] = [[count, bytes, offset], [MARK_16, MARK_32, MARK_32]];
  if (small.some((it, at) => it !== marks[at] && it !== large[at + 1])) throw badZip("its two end records differ");
  return checkedEnd({ count: large[1], bytes: large[2], offset: large[3] }, recordAt);
}

/** @param {{count: number, bytes: number, offset: number}} end @param {number} endAt */
function checkedEnd(end, endAt) {
  if (end.count > FILES_MAX) throw badZip(`it holds more than ${FILES_MAX} files`);
  if (end.bytes > DIRECTORY_BYTES_MAX) throw badZip("its directory is too large");
  if (end.offset + end.bytes !== endAt) throw badZip("there is a gap behind its directory");
  return end;
}

/** @param {Uint8Array} bytes */
function readZipName(bytes) {
  const name = decodeLatin1(bytes);
  if (!/^[\x20-\x7e]{1,64}$/.test(name)) throw badZip("it holds a file of an unknown name");
  return name;
}

/** @param {number} flags */
function checkZipFlags(flags) {
  if ((flags & ~(FLAG_DESCRIPTOR | FLAG_UTF8)) !== 0) throw badZip("a file in it is encrypted, or has unknown flags");
}

/** @param {Numbers} directory @returns {ZipEntry} */
function readDirectoryEntry(directory) {
  if (directory.u32() !== 0x02014b50) throw badZip("its directory");
  directory.take(4); // versions
  const [flags, method] = [directory.u16(), directory.u16()];
  directory.take(4); // date and time
  const crc = directory.u32();
  let [packed, size] = [directory.u32(), directory.u32()];
  const [nameLength, extraLength, commentLength] = [directory.u16(), directory.u16(), directory.u16()];
  directory.take(4); // number of the disk, kind of text
  const attributes = directory.u32();
  let offset = directory.u32();
  const name = readZipName(directory.part(nameLength));
  const extra = directory.part(extraLength);
  if (commentLength !== 0) throw badZip("a file in it has a comment");
  checkZipFlags(flags);
  if (method !== METHOD_STORED && method !== METHOD_DEFLATED) throw badZip("a file in it is packed in an unknown way");
  const kind = attributes >>> 28; // of Unix: 8 is a file
  if (kind !== 0 && kind !== 8) throw badZip("it holds a link or a folder");
  if (size === MARK_32 || packed === MARK_32 || offset === MARK_32) {
    const large = zip64Extra(extra);
    if (size === MARK_32) size = large.u64();
    if (packed === MARK_32) packed = large.u64();
    if (offset === MARK_32) offset = large.u64();
  }
  if (method === METHOD_STORED && packed !== size) throw badZip("a stored file in it has two sizes");
  return { name, flags, method, crc, packed, size, offset, data: 0 };
}

/** The ZIP64 field among the extra fields. @param {Uint8Array} extra @returns {Numbers} */
function zip64Extra(extra) {
  const fields = new Numbers(extra);
  /** @type {Numbers | null} */
  let found = null;
  while (fields.at < extra.length) {
    const [kind, length] = [fields.u16(), fields.u16()];
    const field = fields.part(length);
    if (kind !== 1) continue;
    if (found !== null) throw badZip("a size in it is stated twice");
    found = new Numbers(field);
  }
  if (found === null) throw badZip("a size in it is missing");
  return found;
}

/**
 * Compares the local header with the directory, and gives where the next part begins.
 * @param {Source} source @param {ZipEntry} entry @param {number} limit @param {Map<string, ZipEntry>} entries
 */
async function readLocalPart(source, entry, limit, entries) {
  const head = new Numbers(await readExactly(source, entry.offset, 30));
  if (head.u32() !== 0x04034b50) throw badZip("a local header");
  head.take(2);
  const [flags, method] = [head.u16(), head.u16()];
  head.take(4);
  const [crc, packed, size] = [head.u32(), head.u32(), head.u32()];
  const [nameLength, extraLength] = [head.u16(), head.u16()];
  const rest = new Numbers(await readExactly(source, entry.offset + 30, nameLength + extraLength));
  const name = readZipName(rest.part(nameLength));
  const extra = rest.part(extraLength);
  if (flags !== entry.flags || method !== entry.method || name !== entry.name) {
    throw badZip("a local header differs from the directory");
  }
  entry.data = entry.offset + 30 + nameLength + extraLength;
  const dataEnd = entry.data + entry.packed;
  if (dataEnd > limit) throw badZip("a file in it lies outside");
  if ((flags & FLAG_DESCRIPTOR) === 0) {
    const sizes = [size, packed];
    if (size === MARK_32 || packed === MARK_32) {
      const large = zip64Extra(extra);
      const both = [large.u64(), large.u64()];
      for (const at of [0, 1]) if (sizes[at] === MARK_32) sizes[at] = both[at];
    }
    if (crc !== entry.crc || sizes[0] !== entry.size || sizes[1] !== entry.packed) {
      throw badZip("a local header differs from the directory");
    }
    return dataEnd;
  }
  const later = [...entries.values()].map((it) => it.offset).filter((offset) => offset >= dataEnd);
  const next = Math.min(limit, ...later);
  checkDescriptor(await readExactly(source, dataEnd, Math.min(next - dataEnd, 25)), entry);
  return next;
}

/**
 * A descriptor has a signature or none, and sizes of four or eight bytes; which, its length tells.
 * @param {Uint8Array} bytes @param {ZipEntry} entry
 */
function checkDescriptor(bytes, entry) {
  if (![12, 16, 20, 24].includes(bytes.length)) throw badZip("there is a gap behind a file in it");
  const numbers = new Numbers(bytes);
  if (bytes.length % 8 === 0 && numbers.u32() !== 0x08074b50) throw badZip("a data descriptor");
  const isLarge = bytes.length >= 20;
  const crc = numbers.u32();
  const [packed, size] = isLarge ? [numbers.u64(), numbers.u64()] : [numbers.u32(), numbers.u32()];
  if (crc !== entry.crc || packed !== entry.packed || size !== entry.size) {
    throw badZip("a data descriptor differs from the directory");
  }
}

/** @param {Source} source @param {Map<string, ZipEntry>} entries @returns {Container} */
function zipContainer(source, entries) {
  const entryOf = (/** @type {string} */ name) => {
    const entry = entries.get(name);
    if (!entry) throw badZip("a file in it is missing");
    return entry;
  };
  return {
    names: [...entries.keys()],
    size: (name) => entryOf(name).size,
    chunks: (name) => entryChunks(source, entryOf(name)),
  };
}

/** @param {Source} source @param {ZipEntry} entry */
async function* entryChunks(source, entry) {
  const crc = new Crc32();
  let size = 0;
  for await (const chunk of entry.method === METHOD_STORED ? packedChunks(source, entry) : inflated(source, entry)) {
    size += chunk.length;
    if (size > entry.size) throw badZip("a file in it is larger than it says");
    crc.update(chunk);
    yield chunk;
  }
  if (size !== entry.size || crc.value() !== entry.crc) throw badZip("a file in it does not have its checksum");
}

/** @param {Source} source @param {ZipEntry} entry */
async function* packedChunks(source, entry) {
  for (let at = 0; at < entry.packed; at += CHUNK_BYTES) {
    yield await readExactly(source, entry.data + at, Math.min(CHUNK_BYTES, entry.packed - at));
  }
}

/** @param {Source} source @param {ZipEntry} entry */
async function* inflated(source, entry) {
  const inflater = new Inflater();
  let taken = 0;
  for await (const chunk of packedChunks(source, entry)) {
    for (let at = 0; at < chunk.length; at += INFLATE_BYTES) {
      const piece = chunk.subarray(at, at + INFLATE_BYTES);
      taken += piece.length;
      yield* inflater.push(piece, taken === entry.packed);
    }
  }
  if (!inflater.hasEnded) throw badZip("a packed file in it is cut short");
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});
/** For four bytes at once: the value of a byte that stands one, two or three places further. */
const CRC_TABLES = [CRC_TABLE];
for (let at = 1; at < 4; at += 1) {
  CRC_TABLES.push(CRC_TABLES[at - 1].map((value) => (value >>> 8) ^ CRC_TABLE[value & 255]));
}

/** CRC-32 as zip has it. */
class Crc32 {
  constructor() {
    this.state = -1;
  }

  /** @param {Uint8Array} bytes */
  update(bytes) {
    const [one, two, three, four] = CRC_TABLES;
    let state = this.state;
    let at = 0;
    for (; at + 4 <= bytes.length; at += 4) {
      state ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
      state = four[state & 255] ^ three[(state >>> 8) & 255] ^ two[(state >>> 16) & 255] ^ one[state >>> 24];
    }
    for (; at < bytes.length; at += 1) state = one[(state ^ bytes[at]) & 255] ^ (state >>> 8);
    this.state = state;
  }

  value() {
    return (this.state ^ -1) >>> 0;
  }
}
