// Deflate (RFC 1951), undone piece by piece in bounded memory.

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
const DISTANCE_BITS = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/** How far back a copy may reach. */
const WINDOW_BYTES = 32 * 1024;
/** Room for what is undone before it is handed on. */
const ROOM_BYTES = WINDOW_BYTES + 256 * 1024;
/** The head of a block with its codes takes less than this, and one symbol with what follows it too. */
const HEAD_BYTES = 400;
const SYMBOL_BYTES = 8;

/** A prefix code: for each row of `bits` next bits a symbol and the length of its code. */
class PrefixCode {
  /** @param {ArrayLike<number>} lengths of the codes of the symbols @param {boolean} mayBeIncomplete */
  constructor(lengths, mayBeIncomplete) {
    const counts = new Uint16Array(16);
    for (let symbol = 0; symbol < lengths.length; symbol += 1) counts[lengths[symbol]] += 1;
    counts[0] = 0;
    let [left, used] = [1, 0];
    this.bits = 1;
    for (let bits = 1; bits < 16; bits += 1) {
      left = left * 2 - counts[bits];
      if (left < 0) throw badZip("a packed file in it has a code that is none");
      used += counts[bits];
      if (counts[bits] > 0) this.bits = bits;
    }
    // A code of distances may have one symbol or none, and so be incomplete.
    if (left > 0 && !(mayBeIncomplete && used <= 1)) throw badZip("a packed file in it has a code that is none");
    this.table = new Uint16Array(1 << this.bits);
    this.fill(lengths, counts);
  }

  /** @param {ArrayLike<number>} lengths @param {Uint16Array} counts */
  fill(lengths, counts) {
    const next = new Uint16Array(16);
    for (let bits = 1, code = 0; bits < 16; bits += 1) {
      code = (code + counts[bits - 1]) << 1;
      next[bits] = code;
    }
    for (let symbol = 0; symbol < lengths.length; symbol += 1) {
      const length = lengths[symbol];
      if (length === 0) continue;
      let reversed = 0;
      for (let bit = 0, code = next[length]; bit < length; bit += 1) reversed |= ((code >> bit) & 1) << (length - 1 - bit);
      next[length] += 1;
      for (let row = reversed; row < this.table.length; row += 1 << length) this.table[row] = (symbol << 4) | length;
    }
  }
}

const FIXED_LITERALS = new PrefixCode(
  Array.from({ length: 288 }, (_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8)),
  false,
);
const FIXED_DISTANCES = new PrefixCode(new Array(32).fill(5), false);

/** Undoes deflate. Pieces go in, pieces come out; what follows the last block is refused. */
class Inflater {
  constructor() {
    /** @type {Uint8Array} */
    this.input = new Uint8Array(0);
    this.at = 0;
    this.held = 0;
    this.bits = 0;
    this.room = new Uint8Array(ROOM_BYTES);
    this.filled = 0;
    this.handed = 0;
    this.isLastBlock = false;
    this.hasEnded = false;
    /** @type {"head" | "stored" | "symbols"} */
    this.state = "head";
    this.stored = 0;
    this.literals = FIXED_LITERALS;
    this.distances = FIXED_DISTANCES;
  }

  /** @param {Uint8Array} piece @param {boolean} isLast @returns {Generator<Uint8Array>} */
  *push(piece, isLast) {
    this.input = this.at < this.input.length ? concatBytes([this.input.subarray(this.at), piece]) : piece;
    this.at = 0;
    for (;;) {
      if (this.room.length - this.filled < 300) yield this.handOn();
      if (this.hasEnded) break;
      const needed = { head: HEAD_BYTES, stored: 1, symbols: SYMBOL_BYTES }[this.state];
      if (!isLast && this.input.length - this.at < needed) break;
      if (this.state === "head") this.head();
      else if (this.state === "stored") this.copyStored(isLast);
      else this.symbols(isLast);
    }
    if (this.hasEnded && (this.at < this.input.length || this.bits >= 8)) {
      throw badZip("something follows a packed file in it");
    }
    if (this.filled > this.handed) yield this.handOn();
  }

  /** What is new in the room; the window stays. */
  handOn() {
    const piece = this.room.slice(this.handed, this.filled);
    if (this.filled > WINDOW_BYTES) {
      this.room.copyWithin(0, this.filled - WINDOW_BYTES, this.filled);
      this.filled = WINDOW_BYTES;
    }
    this.handed = this.filled;
    return piece;
  }

  /** @param {number} count at most 16 */
  take(count) {
    while (this.bits < count) {
      if (this.at === this.input.length) throw badZip("a packed file in it is cut short");
      this.held |= this.input[this.at++] << this.bits;
      this.bits += 8;
    }
    const value = this.held & ((1 << count) - 1);
    this.held >>>= count;
    this.bits -= count;
    return value;
  }

  /** @param {PrefixCode} code */
  symbol(code) {
    while (this.bits < code.bits && this.at < this.input.length) {
      this.held |= this.input[this.at++] << this.bits;
      this.bits += 8;
    }
    const found = code.table[this.held & ((1 << code.bits) - 1)];
    const length = found & 15;
    if (length === 0) throw badZip("a packed file in it has an unknown code");
    if (length > this.bits) throw badZip("a packed file in it is cut short");
    this.held >>>= length;
    this.bits -= length;
    return found >> 4;
  }

  head() {
    if (this.isLastBlock) {
      this.hasEnded = true;
      return;
    }
    this.isLastBlock = this.take(1) === 1;
    const kind = this.take(2);
    if (kind === 0) {
      this.take(this.bits & 7);
      this.stored = this.take(16);
      if ((this.take(16) ^ 0xffff) !== this.stored) throw badZip("a packed file in it has a length that is none");
      this.state = "stored";
    } else if (kind === 1) {
      [this.literals, this.distances] = [FIXED_LITERALS, FIXED_DISTANCES];
      this.state = "symbols";
    } else if (kind === 2) {
      this.codes();
      this.state = "symbols";
    } else {
      throw badZip("a packed file in it has an unknown block");
    }
  }

  codes() {
    const [literals, distances, count] = [this.take(5) + 257, this.take(5) + 1, this.take(4) + 4];
    if (literals > 286 || distances > 30) throw badZip("a packed file in it has too many codes");
    const orders = new Uint8Array(19);
    for (let at = 0; at < count; at += 1) orders[CODE_LENGTH_ORDER[at]] = this.take(3);
    const code = new PrefixCode(orders, false);
    const lengths = new Uint8Array(literals + distances);
    for (let at = 0; at < lengths.length; ) {
      const symbol = this.symbol(code);
      if (symbol < 16) {
        lengths[at++] = symbol;
        continue;
      }
      const repeated = symbol === 16 ? lengths[at - 1] : 0;
      const times = symbol === 16 ? this.take(2) + 3 : symbol === 17 ? this.take(3) + 3 : this.take(7) + 11;
      if (repeated === undefined || at + times > lengths.length) throw badZip("a packed file in it has a repetition that is none");
      lengths.fill(repeated, at, at + times);
      at += times;
    }
    if (lengths[256] === 0) throw badZip("a packed file in it has a block without end");
    this.literals = new PrefixCode(lengths.subarray(0, literals), true);
    this.distances = new PrefixCode(lengths.subarray(literals), true);
  }

  /** @param {boolean} isLast */
  copyStored(isLast) {
    while (this.stored > 0 && this.bits >= 8 && this.filled < this.room.length) {
      this.room[this.filled++] = this.take(8);
      this.stored -= 1;
    }
    const there = Math.min(this.stored, this.input.length - this.at, this.room.length - this.filled);
    this.room.set(this.input.subarray(this.at, this.at + there), this.filled);
    this.at += there;
    this.filled += there;
    this.stored -= there;
    if (this.stored === 0) this.state = "head";
    else if (isLast && this.at === this.input.length) throw badZip("a packed file in it is cut short");
  }

  /** Symbols, while there is enough of the input for a whole one and room for what it stands for. */
  symbols(/** @type {boolean} */ isLast) {
    const { room, input, literals, distances } = this;
    while (room.length - this.filled >= 300 && (isLast || input.length - this.at >= SYMBOL_BYTES)) {
      const symbol = this.symbol(literals);
      if (symbol < 256) {
        room[this.filled++] = symbol;
      } else if (symbol === 256) {
        this.state = "head";
        return;
      } else {
        if (symbol > 285) throw badZip("a packed file in it has an unknown code");
        const length = LENGTH_BASE[symbol - 257] + this.take(LENGTH_BITS[symbol - 257]);
        const step = this.symbol(distances);
        if (step > 29) throw badZip("a packed file in it has an unknown code");
        this.copy(length, DISTANCE_BASE[step] + this.take(DISTANCE_BITS[step]));
      }
    }
  }

  /** @param {number} length @param {number} distance */
  copy(length, distance) {
    const { room } = this;
    if (distance > this.filled) throw badZip("a packed file in it reaches back too far");
    let to = this.filled;
    for (let from = to - distance, end = to + length; to < end; ) room[to++] = room[from++];
    this.filled = to;
  }
}
