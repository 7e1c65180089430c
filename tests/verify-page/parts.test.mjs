// The parts of the verifier, each with what it accepts and what it refuses.

import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes, webcrypto } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { deflateRawSync, constants, crc32 } from "node:zlib";

import { KEY, LOG, Log, ORIGIN, ROOT, loadVerifier, proofOf, rootOf, seeds, sha256, signer, unexamined, vectors } from "./lib.mjs";

const V = loadVerifier();
const hex = (text) => new Uint8Array(Buffer.from(text, "hex"));
const bytes = (text) => new Uint8Array(Buffer.from(text));
/** Whether a reader accepts bytes; anything but a refusal fails the test. */
const accepts = (read, input) => {
  try {
    return read(input) !== null;
  } catch (error) {
    assert.ok(error instanceof V.Unusable, String(error.stack));
    return false;
  }
};

test("hashes are those of Node", () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 1000, 70_000]) {
    const data = new Uint8Array(randomBytes(length));
    assert.equal(V.hex(V.sha256(data)), createHash("sha256").update(data).digest("hex"), `SHA-256 of ${length}`);
    assert.equal(V.hex(V.sha256(data.subarray(0, 3), data.subarray(3))), createHash("sha256").update(data).digest("hex"));
    assert.equal(V.hex(V.hmacSha256(data.subarray(0, 16), data)), createHmac("sha256", data.subarray(0, 16)).update(data).digest("hex"));
    if (length < 2000) assert.equal(V.hex(V.sha512(data)), createHash("sha512").update(data).digest("hex"), `SHA-512 of ${length}`);
    const crc = new V.Crc32();
    crc.update(data.subarray(0, 7));
    crc.update(data.subarray(7));
    assert.equal(crc.value(), crc32(data));
  }
});

test("base64 has one spelling", () => {
  for (let length = 0; length < 100; length += 1) {
    const data = new Uint8Array(randomBytes(length));
    const text = Buffer.from(data).toString("base64");
    assert.deepEqual(V.decodeBase64(text), data);
    assert.equal(V.encodeBase64(data), text);
  }
  assert.deepEqual(V.decodeBase64("/+8="), hex("ffef"));
  for (const other of ["/+8", "/+9=", "/+8=\r", " /+8=", "_-8=", "/+8==", "=", "====", "A===", "AA=A", "/+8=\n", "AB==", "é+8="]) {
    assert.equal(V.decodeBase64(other), null, other);
  }
});

test("JSON is read strictly", () => {
  const read = V.readJson(" { \"a\" : [ 1 , \"\\ud83d\\ude00\\u00e9\\/\" , true ] ,\r\n\t\"b\":null, \"__proto__\": -9007199254740991 } ");
  assert.deepEqual([...read.keys()], ["a", "b", "__proto__"]);
  assert.deepEqual(read.get("a"), [1, "😀é/", true]);
  const nested = (levels) => "[".repeat(levels) + "]".repeat(levels);
  assert.ok(V.readJson(nested(32)));
  const refused = [
    "", "{", "[1,]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "\"\n\"", "\"\\x\"", "\"\\u12\"", "\"\\u+123\"", "\"", "tru", "01", "-", "1.", ".5", "1e",
    "+1", "NaN", "1 1", "\ufeff1", "'a'", "[1 //\n]", "-0", "1.0", "1e3", "0.5", "9007199254740992", "-9007199254740992", "[1}", "{\"a\":1]",
    "{\"action\":1,\"action\":2}", "{\"b\":1,\"\\u0062\":1}", "\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\ud83d\"", "\"\\ud83dx\"", "\"\\ud83d\\u0041\"",
    nested(33), nested(10_000), "{\"a\":".repeat(10_000), "undefined", "\"\u0000\"", "\"\\",
  ];
  for (const text of refused) assert.throws(() => V.readJson(text), V.JsonError, JSON.stringify(text).slice(0, 40));
});

test("a block's text is written in one way", () => {
  const good = ["{}", '{"a":[1,-9007199254740991,true,null,"x"],"b":{},"c":""}', '{"":null,"A":null,"a":null,"\uffff":null,"\u{10000}":null}', '{"10":1,"9":2}'];
  for (const text of good) assert.ok(V.readBlockText(text) instanceof Map, text);
  const others = ['{"a": 1}', '{"b":1,"a":1}', '{"a":"\\/"}', '{"a":"\\u0041"}', '{"a":"\\u000A"}', '{"a":"\\u007f"}', " {}", "{}\n", "[]", "1", '{"9":1,"10":2}',
    '{"\u{10000}":1,"\uffff":2}', '{"a":{"b":1,"a":2}}', '{"a":[{"b":1,"a":2}]}', '{"a":1,"a":1}', "\ufeff{}"];
  for (const text of others) assert.equal(typeof V.readBlockText(text), "string", text);
});

test("instants in UTC have one form", () => {
  for (const [text, nanos] of [["1970-01-01T00:00:00Z", 0n], ["2026-03-04T09:10:11.50Z", 1_772_615_411_500_000_000n], ["0000-01-01T00:00:00Z", -62_167_219_200_000_000_000n],
    ["9999-12-31T23:59:59.999999999Z", 253_402_300_799_999_999_999n], ["2024-02-29T00:00:00Z", 1_709_164_800_000_000_000n]]) {
    assert.equal(V.readInstant(text), nanos, text);
  }
  for (const text of ["", "2026-03-04", "2026-03-04t09:10:11Z", "2026-03-04T09:10:11z", "2026-03-04T09:10:11+00:00", "1990-12-31T23:59:60Z", "2026-03-04T09:10:11.0000000001Z",
    "2026-03-04T09:10:11.Z", "2025-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z", "2026-01-01T00:00:00Z\n", "٢026-01-01T00:00:00Z", 5, null, undefined]) {
    assert.equal(V.readInstant(text), null, String(text));
  }
  assert.equal(V.nineDigits(1_772_615_411_000_000_001n), "2026-03-04T09:10:11.000000001Z");
  assert.equal(V.nineDigits(2n ** 64n - 1n), "2554-07-21T23:34:33.709551615Z");
});

const L = 2n ** 252n + 27742317777372353535851937790883648493n;
/** RFC 8032, section 7.1. */
const SIGNED = [
  ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"],
  ["3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"],
  ["fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82", "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"],
];

test("signatures verify on both paths, and only they", async () => {
  for (const subtle of [null, webcrypto.subtle]) {
    for (const [key, message, signature] of SIGNED) {
      assert.equal(await V.verifyEd25519(hex(key), hex(message), hex(signature), subtle), true);
      for (let bit = 0; bit < 512; bit += 61) {
        const other = hex(signature);
        other[bit >> 3] ^= 1 << (bit & 7);
        assert.equal(await V.verifyEd25519(hex(key), hex(message), other, subtle), false, `bit ${bit}`);
      }
      assert.equal(await V.verifyEd25519(hex(key), hex(`${message}00`), hex(signature), subtle), false);
      assert.equal(await V.verifyEd25519(hex(key), hex(message), hex(signature).subarray(1), subtle), false);
      // The same number, an order larger.
      const second = hex(signature);
      let number = BigInt(`0x${Buffer.from(second.subarray(32)).reverse().toString("hex")}`) + L;
      for (let at = 32; at < 64; at += 1, number >>= 8n) second[at] = Number(number & 255n);
      assert.equal(await V.verifyEd25519(hex(key), hex(message), second, subtle), false, "S + L");
    }
  }
});

test("keys and points have one encoding and no small order", async () => {
  assert.ok(V.isEd25519Key(hex(SIGNED[0][0])));
  const small = ["0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080", "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"];
  const second = ["0100000000000000000000000000000000000000000000000000000000000080", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"];
  for (const other of [...small, ...second, "0200000000000000000000000000000000000000000000000000000000000000", "00"]) assert.equal(V.isEd25519Key(hex(other)), false, other);
  // R of small order, S = 0: holds for a key of small order, and for no other that is taken.
  for (const subtle of [null, webcrypto.subtle]) {
    const signature = hex(small[0] + "00".repeat(32));
    assert.equal(await V.verifyEd25519(hex(SIGNED[0][0]), bytes("x"), signature, subtle), false);
  }
});

test("packed bytes are undone whatever the pieces are", () => {
  const text = Buffer.from(Array.from({ length: 40_000 }, (_, at) => `{"n":${at * 7919 % 1000}}`).join(","));
  const inputs = [Buffer.alloc(0), Buffer.from("a"), Buffer.alloc(300_000, 65), randomBytes(150_000), text];
  const options = [{ level: 0 }, { level: 1 }, { level: 9 }, { strategy: constants.Z_FIXED }, { strategy: constants.Z_HUFFMAN_ONLY }, { strategy: constants.Z_RLE }];
  for (const [number, input] of inputs.entries()) {
    for (const option of options) {
      const packed = deflateRawSync(input, option);
      for (const piece of [1, 7, 400, 16_384]) {
        if (packed.length / piece > 60_000) continue;
        assert.ok(inflate(packed, piece).equals(input), `${number} ${JSON.stringify(option)} ${piece}`);
      }
      if (input.length < 1000) continue;
      for (const cut of [1, 2, packed.length >> 1]) assert.throws(() => inflate(packed.subarray(0, -cut), 400), V.Unusable, `${number}, cut by ${cut}`);
      assert.throws(() => inflate(Buffer.concat([packed, Buffer.of(0)]), 400), V.Unusable);
    }
  }
  for (const other of ["07", "00", "000500faff", "0505", "ffff", "edfd", "4b04", "04c081080000000020d6df"]) assert.throws(() => inflate(Buffer.from(other, "hex"), 4), V.Unusable, other);
  for (let round = 0; round < 300; round += 1) {
    const damaged = deflateRawSync(text.subarray(0, 3000));
    damaged[round % damaged.length] ^= 1 << (round % 8);
    try {
      inflate(damaged, 100);
    } catch (error) {
      assert.ok(error instanceof V.Unusable, String(error.stack));
    }
  }
});

function inflate(packed, piece) {
  const inflater = new V.Inflater();
  const out = [];
  for (let at = 0; at < packed.length || at === 0; at += piece) {
    for (const chunk of inflater.push(new Uint8Array(packed.subarray(at, at + piece)), at + piece >= packed.length)) out.push(chunk);
  }
  if (!inflater.hasEnded) throw new V.Unusable("archive", "cut");
  return Buffer.concat(out);
}

test("the seeds of the formats are accepted and refused as they are named", () => {
  const latin1 = (input) => Buffer.from(input).toString("utf8");
  const readers = {
    checkpoint_note: [(input) => V.readCheckpoint(input)],
    checkpoint_policy: [(input) => V.readPolicy(input, "it")],
    checkpoint_key: [(input) => V.readVkey(latin1(input)), (input) => V.readVkeys(input, "it")],
    audit_evidence: [V.readManifest, (input) => V.readLine(input.subarray(0, input.at(-1) === 10 ? -1 : undefined)), (input) => V.readProof(input, "it")],
  };
  // Seeds of what the page does not read: private keys, notes that are no checkpoints, lines without a note;
  // and files of keys that people keep are read more loosely.
  const elsewhere = /private|accept-file|accept-spec-(answer|note|poem)|accept-text-alone|refuse-(vkeys-blank|vkeys-unterminated|blank)$|refuse-file/;
  let count = 0;
  for (const [target, tried] of Object.entries(readers)) {
    for (const [name, input] of seeds(target)) {
      if (elsewhere.test(name)) continue;
      const found = tried.some((read) => accepts(read, new Uint8Array(input)));
      assert.equal(found, name.startsWith("accept-"), `${target}/${name}`);
      count += 1;
    }
  }
  for (const [name, input] of seeds("audit_block").filter(([name]) => /leaf|text|accept-block/.test(name))) {
    const text = Buffer.from(input).toString("utf8");
    const isLeaf = accepts(V.readLeaf, new Uint8Array(input));
    const isText = V.decodeUtf8(new Uint8Array(input)) !== null && V.readBlockText(text) instanceof Map;
    assert.equal(isLeaf || isText, name.startsWith("accept-"), `audit_block/${name}`);
    count += 1;
  }
  assert.ok(count > 100, `${count} seeds`);
});

test("batch proofs hold for every choice of leaves, and not altered", () => {
  for (let size = 1; size <= 9; size += 1) {
    const hashes = Array.from({ length: size }, (_, at) => sha256(`leaf ${at}`));
    const root = new Uint8Array(rootOf(hashes));
    for (let bits = 1; bits < 1 << size; bits += 1) {
      const indexes = [...hashes.keys()].filter((at) => bits & (1 << at));
      const leaves = indexes.map((index) => ({ index, hash: new Uint8Array(hashes[index]) }));
      const proof = proofOf(hashes, indexes).map((hash) => new Uint8Array(hash));
      const trouble = (...given) => V.batchTrouble(...given);
      assert.equal(trouble(leaves, BigInt(size), proof, root), null, `${indexes} of ${size}`);
      assert.notEqual(trouble(leaves, BigInt(size), [...proof, root], root), null);
      if (proof.length > 0) assert.notEqual(trouble(leaves, BigInt(size), proof.slice(1), root), null);
      const other = leaves.map((leaf, at) => (at === 0 ? { ...leaf, hash: root.map((byte) => byte ^ 1) } : leaf));
      assert.notEqual(trouble(other, BigInt(size), proof, root), null);
      if (leaves.length > 1) assert.notEqual(trouble([...leaves].reverse(), BigInt(size), proof, root), null);
      assert.notEqual(trouble([...leaves, leaves[0]], BigInt(size), proof, root), null);
    }
  }
  assert.notEqual(V.batchTrouble([], 0n, [], new Uint8Array(32)), null);
  assert.notEqual(V.batchTrouble([{ index: 0, hash: new Uint8Array(32) }], 2n ** 63n - 1n, [], new Uint8Array(32)), null);
});

test("values of the vectors come out again", () => {
  for (const vector of vectors("events.json")) {
    const leaf = V.readLeaf(hex(vector.leaf));
    assert.equal(V.hex(V.leafHash(leaf)), vector.leaf_hash, vector.name);
    assert.equal(String(leaf.received), vector.received_at_ns);
    for (const { tag, salt, text, base64, commitment } of vector.blocks) {
      const block = { tag, salt: hex(salt), bytes: text === undefined ? V.decodeBase64(base64) : bytes(text), text: text ?? null };
      assert.equal(V.hex(V.commitmentTo(block)), commitment, `${vector.name}, block ${tag}`);
      assert.equal(V.hex(leaf.commitments.get(tag)), commitment);
      if (text !== undefined) assert.ok(V.readBlockText(text) instanceof Map);
      assert.notEqual(V.hex(V.commitmentTo({ ...block, tag: (tag % 7) + 1 })), commitment);
    }
  }
  const refused = vectors("refused.json");
  for (const text of refused.texts) {
    const read = V.decodeUtf8(hex(text));
    assert.ok(read === null || typeof V.readBlockText(read) === "string", text);
  }
  for (const leaf of refused.leaves) assert.equal(accepts(V.readLeaf, hex(leaf)), false, leaf);
});

test("cells are safe and exact", () => {
  const cells = [["Ana", "Ana"], ["O'Neil", "O'Neil"], ["=1+1", "\"'=1+1\""], ["+49 30", "\"'+49 30\""], ["-2+3", "\"'-2+3\""], ["@SUM(A1)", "\"'@SUM(A1)\""], ["\t=1", "\"'\t=1\""],
    ["\r=1", "\"'\r=1\""], ["\n=1", "\"'\n=1\""], ["\uff1d1", "\"'\uff1d1\""], ["'=1", "\"''=1\""], ["-2", "-2"], ["-2.50", "-2.50"], ["-2.", "\"'-2.\""], ["-", "\"'-\""], ["-1e5", "\"'-1e5\""],
    ["+7", "\"'+7\""], ["00123", "00123"], ["1,5", "\"1,5\""], ["a;b", "\"a;b\""], ["say \"hi\"", "\"say \"\"hi\"\"\""], ["two\nlines", "\"two\nlines\""], ["", "\"\""],
    ["ctl \0\u001b[31m", "ctl \\u0000\\u001b[31m"], ["rtl \u202eevil\u202c", "rtl \\u202eevil\\u202c"], ["tab\there", "tab\there"], ["\u0085\u2028\u2065\u206a", "\u0085\u2028\u2065\u206a"], [null, ""], ["-2\n", "\"'-2\n\""]];
  for (const [value, cell] of cells) assert.equal(V.csvCell(value), cell, JSON.stringify(value));
});

test("a checkpoint is trusted by keys, or by a quorum", async () => {
  const log = new Log(3);
  const [w1, w2, w3] = [1, 2, 3].map((n) => signer(`w${n}.example`, 10 + n, 4));
  const policy = `log ${LOG.vkey}\nwitness one ${w1.vkey}\nwitness two ${w2.vkey} https://w2.example\nwitness three ${w3.vkey}\n# two of them\ngroup any2 2 one two three\nquorum any2\n`;
  const trusted = (signatures, trust) => V.verifyTrust(V.readCheckpoint(bytes(`${log.head}\n${signatures}`)), trust, null);
  const byPolicy = (text, signatures) => {
    const read = V.readPolicy(bytes(text), "it");
    return trusted(signatures, { logs: read.logs, policy: read });
  };
  const byKeys = (vkeys, signatures) => trusted(signatures, { logs: V.readVkeys(bytes(vkeys), "it"), policy: null });
  const own = LOG.sign(log.head);
  const [c1, c2] = [w1.cosign(log.head), w2.cosign(log.head)];
  const good = await byPolicy(policy, own + c1 + c2);
  assert.deepEqual([good.trouble, good.witnesses, good.witnessesKnown], [null, ["one", "two"], 3]);
  assert.equal((await byKeys(LOG.vkey, own + c1)).trouble, null);
  assert.equal((await byPolicy(`log ${LOG.vkey}\nquorum none\n`, own)).trouble, null);
  const step = async (result) => [(await result).trouble?.constructor.name, (await result).trouble?.step];
  const does = (name) => ["Mismatch", name];
  assert.deepEqual(await step(byPolicy(policy, own + c1)), does("quorum"));
  assert.deepEqual(await step(byPolicy(policy, own + c1 + c1)), does("quorum"), "one witness twice");
  assert.deepEqual(await step(byPolicy(policy, c1 + c2)), does("signatures"));
  assert.deepEqual(await step(byKeys(signer(ORIGIN, 2).vkey, own)), does("signatures"));
  assert.deepEqual(await step(byKeys(w1.vkey, own + c1)), does("signatures"), "the key of no log");
  assert.deepEqual(await step(byKeys(LOG.vkey, LOG.sign(`${log.head}x`))), does("signatures"));
  assert.deepEqual(await step(byPolicy(policy, own + c1 + c2 + w3.cosign(`${log.head}x`))), does("signatures"), "a bad one of a known key refuses all");
  assert.deepEqual(await step(byPolicy(policy, own + c1 + w2.cosign(log.head, 2n ** 63n))), does("signatures"), "a time beyond all");
  // Kinds that are not examined here never decide; where they could, nothing is said.
  const dsa = unexamined(ORIGIN);
  const seen = await byKeys(`${LOG.vkey}\n${dsa.vkey}`, own + dsa.line);
  assert.deepEqual([seen.trouble, seen.signatures.map(({ verdict }) => verdict)], [null, ["verified", "not examined here"]]);
  assert.deepEqual(await step(byKeys(dsa.vkey, own + dsa.line)), ["Unusable", "signatures"]);
  const slow = unexamined("w4.example");
  const mixed = policy.replace("group any2 2 one two three", `witness four ${slow.vkey}\ngroup any2 2 one four`);
  assert.deepEqual(await step(byPolicy(mixed, own + c1 + slow.line)), ["Unusable", "quorum"]);
  assert.deepEqual(await step(byPolicy(mixed, own + c1)), does("quorum"));
});

test("files of keys are read as people keep them", () => {
  const second = signer("other.example", 2).vkey;
  for (const text of [KEY.toString(), LOG.vkey, `\ufeff${LOG.vkey}\r\n\r\n${second}\r\n`]) assert.ok(accepts((input) => V.readVkeys(input, "it"), bytes(text)), text);
  for (const text of ["", "\n", `${LOG.vkey}\n${LOG.vkey}\n`, LOG.vkey.toUpperCase(), ` ${LOG.vkey}`, `${LOG.vkey}x`, "quorum none\n"]) {
    assert.equal(accepts((input) => V.readVkeys(input, "it"), bytes(text)), false, text);
  }
});

test("a pair of source and id is new once", () => {
  const seen = new V.SeenPairs(3000);
  for (let id = 0; id < 1000; id += 1) for (const source of ["/a", "/a1", ""]) assert.ok(seen.add(source, source === "" ? `/a${id}-` : String(id)));
  for (let id = 0; id < 1000; id += 1) for (const source of ["/a", "/a1"]) assert.equal(seen.add(source, String(id)), false);
  assert.ok(new V.SeenPairs(0).add("/a", "1"));
});

/** The cases of the crate's own test of sentences, and what it says of each. */
function sentencesOfTheCrate() {
  const suite = path.join(ROOT, "crates/audit-event/tests/suite");
  const source = fs.readFileSync(path.join(suite, "sentences.rs"), "utf8");
  const list = source.slice(source.indexOf("const CASES"), source.indexOf("];", source.indexOf("const CASES")));
  const cases = [...list.matchAll(/r#"(.*?)"#/gs)].map(([, text]) => JSON.parse(text));
  const snapshot = fs.readFileSync(path.join(suite, "snapshots/suite__sentences__sentences.snap"), "utf8");
  return { cases, said: snapshot.split("---\n")[2].trimEnd().split("\n") };
}

test("sentences are those of the crate", () => {
  const { cases, said } = sentencesOfTheCrate();
  assert.ok(cases.length > 30 && said.length === cases.length * 4, `${cases.length} cases, ${said.length} sentences`);
  const least = {
    source: "/billing", action: "invoice.updated", actor: { type: "user", id: "u-17", name: "Alice Chen" }, targets: [{ type: "invoice", id: "4711" }],
  };
  const found = cases.flatMap((case_) => ["success", "denied", "failure", "unknown"].map((outcome) => {
    const event = { ...least, ...case_, outcome };
    const operation = /log(in|out)$/.exec(event.action)?.[0] ?? "other"; // as the catalogue fills it in
    const blocks = [[1, { ...event, operation }], [2, event.actor], [4, { targets: event.targets }], [5, { changes: event.changes ?? [] }], [6, { metadata: event.metadata ?? {} }]];
    const objects = new Map(blocks.map(([tag, members]) => [tag, V.readJson(JSON.stringify(members))]));
    return V.sentenceOf(V.CATALOGUE, objects).map((part) => part.words ?? part.value).join("");
  }));
  assert.deepEqual(found, said);
});
