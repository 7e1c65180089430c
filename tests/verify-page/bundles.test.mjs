// Whole evidence files, good and damaged: the verdicts are those of `cairn verify-export`.

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import {
  BUNDLES, KEY, LOG, Log, ORIGIN, altered, blocksOf, container, folder, hide, loadVerifier, seal, signer, source, swap, vectors, writeLine, zip,
} from "./lib.mjs";

const V = loadVerifier();
const OPTIONS = { key: KEY, catalogue: V.CATALOGUE };
const verify = (files, options = OPTIONS) => V.verifyEvidence(files instanceof Map ? container(files) : source(files), options);

/** Expects a status, and steps that findings name. */
async function expect(files, status, what, steps = [], options = OPTIONS) {
  const report = await verify(files, options);
  const found = report.findings.map((it) => `${it.step} ${it.line ?? ""} ${it.block ?? ""}: ${it.message}`);
  assert.equal(report.status, status, `${what}: ${found.join("; ")}`);
  for (const step of steps) assert.ok(report.findings.some((it) => it.step === step), `${what}: no finding of ${step} in ${found.join("; ")}`);
  assert.ok(status === 0 ? report.findings.length === 0 : report.findings.length > 0, what);
  return report;
}

test("the vectors of the crate have their statuses", async () => {
  const { files: texts, altered: cases } = vectors("evidence.json");
  const files = new Map(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text)]));
  const key = files.get("keys.txt");
  for (const subtle of [null, webcrypto.subtle]) await expect(files, 0, "as it is", [], { key, subtle });
  assert.equal(cases.length > 40, true);
  for (const { name, file, find, replace, sealed, status } of cases) {
    await expect(altered(files, file, swap(find, replace), { sealed }), status, name, [], { key });
    await expect(zip(altered(files, file, swap(find, replace), { sealed })), status, `${name}, in an archive`, [], { key });
  }
});

const log = new Log(12);
const some = () => log.export(log.pick([0, 3, 5, 11]));

test("good files hold", async () => {
  for (const picked of [[], [0], [11], [0, 3, 9], [...log.lines.keys()]]) {
    const report = await expect(log.export(log.pick(picked)), 0, String(picked));
    assert.deepEqual([report.lines, report.rows.length, report.inFull], [picked.length, picked.length, picked.length]);
  }
  const withheld = log.pick().map((line) => hide(line, "withheld", "actor", "raw"));
  const report = await expect(log.export(withheld, { withheld: ["actor", "raw"] }), 0, "withheld");
  assert.equal(report.rows[0].parts[0].words, "Somebody tried to change the ");
  const erased = log.pick();
  hide(erased[1], "erased", "actor", "raw");
  hide(erased[2], "erased", "core", "raw");
  const kept = await expect(log.export(erased), 0, "erased");
  assert.deepEqual([kept.erased, V.wordsOf(kept).heading], [2, "Unchanged, content erased"]);
  const sealed = await expect(some(), 0, "some");
  assert.equal(sealed.rows[0].parts.map((part) => part.words ?? part.value).join(""), "=Ana, \"0\" tried to change the amount of invoice 4711 from 900 to 9,000 \u2014 refused");
});

test("lists and texts of a line", async () => {
  const cases = [
    ["another text", swap("u-3", "u-4"), 1, ["commitment"]],
    ["another salt", (bytes) => { const text = bytes.toString(); const at = text.indexOf('"salt":"') + 8; return text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1); }, 1, ["commitment"]],
    ["a salt of another length", swap('"salt":"', '"salt":"AA==","x":"'), 2],
    ["an unknown member", swap('"erased":[]', '"erased":[],"more":1'), 2],
    ["a missing member", swap(',"erased":[]', ""), 2],
    ["a member twice", swap('{"index":0,', '{"index":0,"\\u0069ndex":0,'), 2],
    ["minus nothing", swap('{"index":0,', '{"index":-0,'), 2],
    ["a fraction", swap('{"index":0,', '{"index":0.0,'), 2],
    ["an index as text", swap('{"index":0,', '{"index":"0",'), 2],
    ["an unknown block", swap('"raw":{', '"row":{'), 2],
    ["another index", swap('"index":11', '"index":10'), 1, ["proof"]],
    ["an index twice", swap('"index":3', '"index":0'), 1, ["order", "proof"]],
    ["beyond the tree", swap('"index":11', '"index":12'), 1, ["proof"]],
    ["in both lists", swap('"withheld":[],"erased":[]', '"withheld":["actor"],"erased":["actor"]'), 1, ["lists"]],
    ["shown and erased", swap('"erased":[]', '"erased":["actor"]'), 1, ["lists"]],
    ["unknown in a list", swap('"erased":[]', '"erased":["acted"]'), 2],
    ["twice in a list", swap('"erased":[]', '"erased":["actor","actor"]'), 2],
    ["a list out of order", swap('"withheld":[]', '"withheld":["origin","actor"]'), 2],
    ["loose base64", swap("==\"", "\""), 2],
    ["no leaf", swap('"leaf":"QUVM', '"leaf":"QUVN'), 2],
    ["white space", swap(',"erased":[]}\n', ' , "erased" : [ ] }\t\r\n'), 0],
    ["an empty line", swap("\n", "\n\n"), 2],
    ["a byte order mark", (bytes) => `\ufeff${bytes}`, 2],
    ["not UTF-8", (bytes) => Buffer.concat([bytes.subarray(0, 5), Buffer.of(0xff), bytes.subarray(5)]), 2],
    ["no last newline", (bytes) => bytes.subarray(0, -1), 2],
    ["a line less", (bytes) => bytes.toString().split(/(?<=\n)/).slice(1).join(""), 1, ["count"]],
    ["a line more", (bytes) => `${bytes}{}\n`, 1, ["count"]],
    ["two lines for one another", (bytes) => { const [a, b, ...rest] = bytes.toString().split(/(?<=\n)/); return [b, a, ...rest].join(""); }, 1, ["order", "time"]],
    ["a line too long", (bytes) => `${" ".repeat(8 * 1024 * 1024)}${bytes}`, 2],
  ];
  for (const [what, alter, status, steps = []] of cases) await expect(altered(some(), "events.ndjson", alter), status, what, steps);
  const without = log.pick([1]);
  hide(without[0], "withheld", "origin");
  await expect(log.export(without), 1, "unannounced", ["withheld"]);
  await expect(log.export(log.pick([1]), { withheld: ["origin"] }), 1, "announced and shown", ["withheld"]);
  const core = log.pick([1]);
  hide(core[0], "withheld", "core");
  await expect(log.export(core, { withheld: ["core"] }), 1, "core withheld", ["lists"]);
  const lost = log.pick([1]);
  delete lost[0].blocks.detail;
  await expect(log.export(lost), 1, "in no list", ["lists"]);
});

test("what a log should never have committed to", async () => {
  const twice = new Log(3, (number) => blocksOf(number % 2));
  await expect(twice.export(twice.pick()), 1, "source and id twice", ["source and id"]);
  const texts = ['{ "a":1}', '{"b":1,"a":1}', '{"a":1.5}', "[]", "{", '{"a":"\\u0041"}', '{"a":1,"a":1}', `${'{"a":'.repeat(33)}1${"}".repeat(33)}`];
  for (const text of texts) {
    const loose = new Log(2, (number) => ({ ...blocksOf(number), actor: text }));
    const report = await expect(loose.export(loose.pick()), 1, text, ["text"]);
    assert.deepEqual(report.findings.map((it) => [it.line, it.index, it.block]), [[1, 0, "actor"], [2, 1, "actor"]]);
  }
  const back = new Log(3, blocksOf, (number) => 1_000_000_000n - BigInt(number));
  const report = await expect(back.export(back.pick()), 1, "a time that decreases", ["time"]);
  assert.deepEqual(report.knownGood, { line: 1, index: 0, received: "1970-01-01T00:00:01.000000000Z" });
});

test("the manifest and its files", async () => {
  const members = [
    ["another format", swap("evidence@v1", "evidence@v2"), 2],
    ["words of the maker", swap("Tom Hale", "Tim Hale"), 0],
    ["a text that is none", swap('"made_by":"Tom Hale"', '"made_by":5'), 2],
    ["another origin", swap(`"origin":"${ORIGIN}"`, '"origin":"example.org/audit"'), 1],
    ["another size", swap('"tree_size":12', '"tree_size":13'), 1],
    ["fewer events", swap('"events":4', '"events":3'), 1],
    ["more events", swap('"events":4', '"events":5'), 1],
    ["none", swap('"events":4', '"events":0'), 2],
    ["too many events", swap('"events":4', '"events":10000001'), 2],
    ["a range that ends before it starts", swap('"complete":null', '"complete":{"start":2,"end":1}'), 2],
    ["a range of another form", swap('"complete":null', '"complete":{"start":2}'), 2],
    ["withheld twice", swap('"withheld":[]', '"withheld":["raw","raw"]'), 2],
    ["another hash", (bytes) => bytes.toString().replace(/"sha256":"./, (found) => `${found.slice(0, -1)}${found.endsWith("0") ? 1 : 0}`), 1],
    ["a hash in capitals", swap('"sha256":"', '"sha256":"A'), 2],
    ["another length", swap('"READ ME FIRST.txt":{"bytes":9', '"READ ME FIRST.txt":{"bytes":8'), 1],
    ["a file that does not belong there", swap('"files":{', `"files":{"more.txt":{"bytes":0,"sha256":"${"0".repeat(64)}"},`), 2],
    ["a file that is not there", swap('"files":{', `"files":{"events.csv":{"bytes":0,"sha256":"${"0".repeat(64)}"},`), 2],
    ["a member twice", swap('{"format"', '{"log":"x","format"'), 2],
    ["too large", (bytes) => `${" ".repeat(4 * 1024 * 1024)}${bytes}`, 2],
    ["cut", (bytes) => bytes.subarray(0, -10), 2],
  ];
  for (const [what, alter, status] of members) await expect(altered(some(), "manifest.json", alter), status, what);
  const files = some();
  for (const name of files.keys()) {
    const without = new Map(files);
    without.delete(name);
    await expect(without, 2, `without ${name}`);
    if (name === "manifest.json") continue;
    const longer = altered(files, name, (bytes) => Buffer.concat([bytes, Buffer.from(" ")]), { sealed: false });
    const report = await verify(longer);
    assert.ok(report.status > 0, name);
  }
  await expect(new Map([...files, ["more.txt", Buffer.of()]]), 2, "a file more");
  await expect(new Map([...files, ["Checkpoint", Buffer.of()]]), 2, "a name in other letters");
});

test("proofs and the checkpoint", async () => {
  const proof = "proofs/000001.txt";
  const cases = [
    [proof, "another size", swap("\n12\n", "\n11\n"), 1, ["proof"]],
    [proof, "no size", swap("\n12\n", "\n"), 2],
    [proof, "a size in another spelling", swap("\n12\n", "\n012\n"), 2],
    [proof, "another version", swap("@v1", "@v2"), 2],
    [proof, "a hash less", (bytes) => bytes.toString().replace(/[^\n]*\n$/, ""), 1, ["proof"]],
    [proof, "a hash more", (bytes) => `${bytes}47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n`, 1, ["proof"]],
    [proof, "a hash of another length", (bytes) => `${bytes}AAAA\n`, 2],
    [proof, "no last newline", (bytes) => bytes.subarray(0, -1), 2],
    [proof, "CRLF", (bytes) => bytes.toString().replaceAll("\n", "\r\n"), 2],
    [proof, "empty", () => "", 2],
    ["checkpoint", "another size", swap("\n12\n", "\n13\n"), 1, ["signatures", "checkpoint"]],
    ["checkpoint", "another root", (bytes) => bytes.toString().replace(/\n12\n./, (found) => `${found.slice(0, -1)}${found.endsWith("A") ? "B" : "A"}`), 1, ["signatures", "proof"]],
    ["checkpoint", "a size in another spelling", swap("\n12\n", "\n012\n"), 2],
    ["checkpoint", "no signature", (bytes) => bytes.toString().split("\u2014")[0], 2],
    ["checkpoint", "CRLF", (bytes) => bytes.toString().replaceAll("\n", "\r\n"), 2],
    ["checkpoint", "a hyphen", swap("\u2014 ", "- "), 2],
  ];
  for (const [name, what, alter, status, steps = []] of cases) await expect(altered(some(), name, alter), status, `${name}: ${what}`, steps);
});

test("keys: those given, else those inside", async () => {
  const files = some();
  const inside = await expect(files, 0, "the keys inside", [], { catalogue: V.CATALOGUE });
  assert.match(V.wordsOf(inside).caution, /^With the key inside the file\. If you did not get this file straight from example\.com\/audit, compare/);
  const other = Buffer.from(signer("other.example", 3).vkey);
  const report = await expect(files, 1, "the key of another log", ["signatures"], { key: other });
  assert.deepEqual(V.wordsOf(report).paragraphs.at(-1), V.REASONS.otherLog);
  const same = await expect(files, 1, "another key of the log", ["signatures"], { key: Buffer.from(signer(ORIGIN, 3).vkey) });
  assert.equal(V.wordsOf(same).heading, "Does not match");
  assert.match(V.wordsOf(same).paragraphs[0], /The log's seal/);
  for (const key of ["", "x", `${LOG.vkey}x`, "quorum none\nquorum none\n"]) await expect(files, 2, `key ${key}`, [], { key: Buffer.from(key) });
  await expect(altered(files, "keys.txt", () => "x\n"), 0, "keys inside that are not used");
  await expect(altered(files, "keys.txt", () => "x\n"), 2, "keys inside that are used", [], {});
  await expect(altered(files, "policy.txt", () => "x\n"), 2, "a policy inside that is used", [], {});
  const witness = signer("w.example", 9, 4);
  const policy = `log ${LOG.vkey}\nwitness Notary ${witness.vkey}\nquorum Notary\n`;
  const cosigned = log.export(log.pick([1]), { signatures: LOG.sign(log.head) + witness.cosign(log.head), policy });
  const seen = await expect(cosigned, 0, "a policy", [], { key: Buffer.from(policy), catalogue: V.CATALOGUE });
  assert.ok(V.wordsOf(seen).paragraphs.includes("1 of 1 witnesses vouch for the log: Notary."));
  await expect(cosigned, 0, "the policy inside", [], {});
  await expect(some(), 1, "too few", ["quorum"], { key: Buffer.from(policy) });
});

test("complete files show that nothing was left out", async () => {
  const reduced = (indexes, keep) => log.pick(indexes).map((line) => (keep(line.index) ? line : hide(line, "withheld", "actor", "origin", "target", "changes", "detail", "raw")));
  const all = [...log.lines.keys()];
  const filter = { outcome: ["denied"] };
  const whole = { filter, complete: { start: 0, end: 12 } };
  const is = (index) => index % 3 === 0;
  const report = await expect(log.export(reduced(all, is), whole), 0, "all");
  assert.deepEqual([report.inFull, report.reduced, report.decided], [4, 8, true]);
  assert.ok(V.wordsOf(report).paragraphs.includes("12 records in this period; 4 shown in full; the other 8 are of other kinds."));
  const one = (step, lines, members, what) => expect(log.export(lines, { ...whole, ...members }), 1, what, [step]);
  await one("filter", reduced(all, (index) => is(index) && index !== 3), {}, "one that matches is reduced");
  await one("filter", reduced(all, (index) => is(index) || index === 4), {}, "one that does not is shown");
  await one("complete", reduced(all.slice(1), is), {}, "the first left out");
  await one("complete", reduced(all.slice(0, -1), is), {}, "the last left out");
  await one("complete", reduced(all.filter((it) => it !== 5), is), {}, "one left out");
  await one("complete", reduced(all.slice(0, -1), is), { complete: { start: 0, end: 11 } }, "not the whole tree");
  await one("complete", reduced(all, is), { complete: { start: 0, end: 13 } }, "beyond the tree");
  const kind = reduced(all, is);
  kind[1] = hide(log.pick([1])[0], "withheld", "actor");
  await one("withheld", kind, {}, "reduced in part");
  for (const [name, texts, status] of [["label", ["n=0", "n=3", "n=6", "n=9"], 0], ["flag", ["x"], 1], ["actor", ["(withheld)"], 0], ["unheard", ["x"], 0], ["source", [], 1], ["id", ["e-0", "e-3", "e-6", "e-9"], 0], ["labels", ['{"n":"0"}', '{"n":"3"}', '{"n":"6"}', '{"n":"9"}'], 0]]) {
    const found = await expect(log.export(reduced(all, is), { ...whole, filter: { [name]: texts } }), status, `by ${name}`);
    assert.equal(found.decided, name !== "actor" && name !== "unheard");
  }
  const erased = reduced(all, is);
  hide(erased[4], "erased", "core");
  assert.equal((await expect(log.export(erased, whole), 0, "an erased core")).unjudged, 1);
  // From second 2 on, until before second 5: the lines beside them show the edges.
  const times = { from: "2026-03-04T09:10:13Z", to: "2026-03-04T09:10:16Z" };
  const between = (start, end, more = {}) => log.export(reduced(all.slice(start, end), (it) => it >= 2 && it < 5), { filter: { ...times, ...more }, complete: { start, end } });
  for (const [start, end] of [[1, 6], [0, 6], [1, 12], [0, 12]]) await expect(between(start, end), 0, `${start} ${end}`);
  await expect(between(2, 6), 1, "the edge before", ["complete"]);
  await expect(between(1, 5), 1, "the edge after", ["complete"]);
  await expect(between(1, 6, { time: "event" }), 1, "times of events need the whole tree", ["complete"]);
  for (const filter of [{ outcome: "denied" }, { outcome: [1] }, { from: ["2026-03-04T09:10:13Z"] }, { from: "2026-03-04T09:10:13+00:00" }, { time: "both" }, []]) {
    await expect(log.export(reduced(all, is), { ...whole, filter }), 2, JSON.stringify(filter));
  }
});

const { files: VECTOR_TEXTS } = vectors("evidence.json");
const viewed = () => new Map(Object.entries(VECTOR_TEXTS).map(([name, text]) => [name, Buffer.from(text)]));
const VECTOR_KEY = { key: Buffer.from(VECTOR_TEXTS["keys.txt"]) };

test("views are compared cell for cell", async () => {
  const csv = [
    ["another cell", swap("denied", "success"), 1],
    ["another sentence", swap("Somebody changed", "Somebody altered"), 0],
    ["a sentence with a separator", swap("Somebody changed", "\"a,\"\"b\"\"\r\n\""), 0],
    ["a mark", (bytes) => `\ufeff${bytes}`, 0],
    ["two marks", (bytes) => `\ufeff\ufeff${bytes}`, 1],
    ["a row less", (bytes) => bytes.toString().split(/(?<=\r\n)/).slice(0, -1).join(""), 1],
    ["a row more", (bytes) => bytes.toString() + bytes.toString().split(/(?<=\r\n)/).at(-1), 1],
    ["something behind", (bytes) => `${bytes}x`, 1],
    ["line ends of LF", (bytes) => bytes.toString().replaceAll("\r\n", "\n"), 1],
    ["another head", swap("index,", "number,"), 1],
    ["a cell more", swap("\r\n", ",more\r\n"), 1],
    ["a cell without its quotes", swap(",\"\",", ",,"), 1],
    ["a cell with quotes it needs not", swap(",denied,", ",\"denied\","), 1],
    ["not UTF-8", (bytes) => Buffer.concat([bytes, Buffer.of(0xff)]), 1],
    ["empty", () => "", 1],
    ["quotes that do not close", swap("denied", "\"denied"), 1],
  ];
  for (const [what, alter, status] of csv) await expect(altered(viewed(), "events.csv", alter), status, what, status ? ["views"] : [], VECTOR_KEY);
  const json = [
    ["another order and white space", swap("[\n{", "[\r\n { "), 0],
    ["another value", swap("denied", "success"), 1],
    ["a member more", swap("[\n{", "[\n{\"more\":1,"), 1],
    ["an item less", (bytes) => bytes.toString().replace(/,\n[^\n]*\n\]\n$/, "\n]\n"), 1],
    ["an item more", (bytes) => bytes.toString().replace("\n]\n", ",\n{}\n]\n"), 1],
    ["something behind", (bytes) => `${bytes}x`, 1],
    ["white space behind", (bytes) => `${bytes} \r\n`, 0],
    ["not an array", (bytes) => bytes.subarray(1), 1],
    ["cut", (bytes) => bytes.subarray(0, -20), 1],
    ["a key twice", swap("[\n{", "[\n{\"index\":0,"), 1],
    ["a fraction", swap("\"index\":0", "\"index\":0.0"), 1],
    ["not UTF-8", (bytes) => Buffer.concat([bytes.subarray(0, 30), Buffer.of(0xff), bytes.subarray(30)]), 1],
  ];
  for (const [what, alter, status] of json) await expect(altered(viewed(), "events.json", alter), status, what, status ? ["views"] : [], VECTOR_KEY);
  // Every byte of a view, altered: nothing but sentences may change.
  for (const [name, status] of [["events.csv", [0, 1]], ["events.json", [1]]]) {
    const bytes = viewed().get(name);
    for (let at = 0; at < bytes.length; at += 37) {
      const flipped = altered(viewed(), name, (it) => { const other = Buffer.from(it); other[at] ^= 1; return other; });
      assert.ok(status.includes((await verify(flipped, VECTOR_KEY)).status), `${name}, byte ${at}`);
    }
  }
  const parquet = seal(new Map([...some(), ["events.parquet", Buffer.from("PAR1")]]));
  assert.deepEqual((await expect(parquet, 0, "Parquet")).notExamined, ["events.parquet"]);
});

test("archives in every form that is allowed", async () => {
  const files = some();
  const forms = {
    stored: {}, deflated: { deflate: true }, "a descriptor": { descriptor: "16" }, "a descriptor without signature": { descriptor: "12" },
    "a long descriptor": { descriptor: "24", deflate: true }, "a long one without signature": { descriptor: "20", deflate: true }, ZIP64: { zip64: true },
    "a flag for UTF-8": { local: { flags: 2048 }, central: { flags: 2048 } }, "no kind of file": { central: { attributes: 0 } },
    "extra fields": { local: { extra: Buffer.from("5554050001020304ff", "hex") }, central: { extra: Buffer.from("757a0000", "hex") } },
  };
  for (const [what, form] of Object.entries(forms)) await expect(zip(files, () => form), 0, what);
  await expect(zip(files, () => ({}), { zip64: {} }), 0, "a ZIP64 end");
  await expect(zip(files, () => ({}), { zip64: { same: true } }), 0, "a ZIP64 end that was not needed");
  await expect(zip(files, () => ({}), { reversed: true }), 0, "a directory in another order");
  let number = 0;
  await expect(zip(files, () => [{ deflate: true }, { descriptor: "12" }, { zip64: true }, {}][number++ % 4]), 0, "mixed");
});

test("archives in every form that is not", async () => {
  const files = some();
  const one = (form, name = "checkpoint") => zip(files, (it) => (it === name ? form : {}));
  const cases = {
    "no archive": Buffer.from("not a zip archive, but long enough to be one"),
    empty: Buffer.alloc(0),
    "an empty archive": zip(new Map()),
    cut: zip(files).subarray(0, -1),
    "its front cut": zip(files).subarray(1),
    "a comment": zip(files, () => ({}), { comment: "hello" }),
    "bytes in front": zip(files, () => ({}), { prefix: Buffer.from("x") }),
    "bytes behind": zip(files, () => ({}), { suffix: Buffer.from("x") }),
    "a gap before the directory": zip(files, () => ({}), { gap: Buffer.from("x") }),
    "a gap between files": one({ behind: Buffer.from("x") }),
    "a comment of a file": one({ central: { comment: "x" } }),
    encrypted: one({ local: { flags: 1 }, central: { flags: 1 } }),
    "another flag": one({ local: { flags: 4 }, central: { flags: 4 } }),
    "flags that differ": one({ local: { flags: 2048 } }),
    "a method that is unknown": one({ local: { method: 12 }, central: { method: 12 } }),
    "methods that differ": one({ local: { method: 8 } }),
    "checksums that differ": one({ local: { crc: 1 } }),
    "another checksum": one({ local: { crc: 1 }, central: { crc: 1 } }),
    "another checksum in a descriptor": one({ descriptor: "16", central: { crc: 1 } }),
    "sizes that differ": one({ local: { size: 1 } }),
    "packed sizes that differ": one({ local: { packed: 1 } }),
    "two sizes of a stored file": one({ local: { size: 5 }, central: { size: 5 } }),
    "names that differ": one({ local: { name: "Checkpoint" } }),
    "another name": one({ local: { name: "Checkpoint" }, central: { name: "Checkpoint" } }),
    "a path": one({ local: { name: "../checkpoint" }, central: { name: "../checkpoint" } }),
    "a name that is not ASCII": one({ local: { name: "ch\u00e9ckpoint" }, central: { name: "ch\u00e9ckpoint" } }),
    "a name twice": one({ local: { name: "keys.txt" }, central: { name: "keys.txt" } }),
    "a link": one({ central: { attributes: 0o120777 * 65536 } }),
    "a folder": one({ central: { attributes: 0o040755 * 65536 } }),
    "an offset that is none": one({ central: { offset: 1 } }),
    "two files in one place": one({ central: { offset: 0 } }),
    "a descriptor with another size": one({ descriptor: "16", behind: Buffer.from("1234") }),
    "deflate that is cut": one({ deflate: true, packed: Buffer.from([0x4b]) }),
    "deflate with something behind": one({ deflate: true, packed: Buffer.concat([Buffer.from("030000", "hex")]) }),
    "a count of entries that is none": zip(files, () => ({}), { end: { count: 3 } }),
    "a directory of another size": zip(files, () => ({}), { end: { bytes: 50 } }),
    "a directory elsewhere": zip(files, () => ({}), { end: { offset: 7 } }),
    "a ZIP64 record elsewhere": zip(files, () => ({}), { zip64: { shift: 1 } }),
    "a bomb": one({ deflate: true, packed: Buffer.from((await import("node:zlib")).deflateRawSync(Buffer.alloc(50_000_000))) }, "events.ndjson"),
  };
  for (const [what, archive] of Object.entries(cases)) await expect(archive, 2, what);
  const many = new Map(Array.from({ length: 1101 }, (_, at) => [`proofs/${String(at + 1).padStart(6, "0")}.txt`, Buffer.of()]));
  await expect(zip(many), 2, "too many files");
});

test("no single bit of a file can change", async () => {
  const small = new Log(4);
  const archive = zip(small.export(small.pick([1, 2])));
  const good = await expect(archive, 0, "as it is");
  assert.ok(good.steps.length > 5);
  let bits = 0;
  const options = { ...OPTIONS, subtle: webcrypto.subtle };
  for (let at = 0; at < archive.length; at += 3) {
    const flipped = Buffer.from(archive);
    flipped[at] ^= 1 << (at % 8);
    const { status } = await verify(flipped, options);
    // Times, versions, kinds of text and disk numbers are not looked at.
    if (status === 0) bits += 1;
  }
  assert.ok(bits < (13 * 24) / 3 + 10, `${bits} bits changed nothing`);
  const deflated = zip(small.export(small.pick([1, 2])), () => ({ deflate: true }));
  for (let at = 0; at < deflated.length; at += 7) {
    const flipped = Buffer.from(deflated);
    flipped[at] ^= 1 << (at % 8);
    await verify(flipped, options); // gives a verdict, whatever it is
  }
});

test("more lines than one proof is about", async () => {
  const large = new Log(10_003, (number) => ({ core: `{"id":"${number}","source":"/s"}` }));
  const files = large.export(large.pick(), { complete: { start: 0, end: 10_003 } });
  assert.ok(files.has("proofs/000002.txt"));
  await expect(files, 0, "two proofs");
  await expect(altered(files, "proofs/000002.txt", swap("\n10003\n", "\n10002\n")), 1, "the second proof", ["proof"]);
});

test("texts of the result hold no value of an event but in the sentences", async () => {
  const secret = "u-3";
  const report = await verify(altered(some(), "events.ndjson", swap(secret, "u-9")));
  const words = V.wordsOf(report);
  const text = V.resultText("a\u202eb.zip", report, words, "2026-11-29T00:00:00Z");
  for (const value of ["=Ana", "ana@example.com", "u-9", "192.0.2.7", "\u202e"]) assert.ok(!text.includes(value), value);
  assert.match(text, /^Does not match\r\n/);
  assert.match(text, /line 2, record 3, block actor: the block is not what the leaf commits to/);
  assert.match(text, /Known good up to: Wednesday 4 March 2026 at 09:10:11 UTC \(record 0\)\./);
});

test("the page decides as the crate does on every evidence file that it makes", { skip: BUNDLES === "" && "this version of the crate makes none" }, async () => {
  const expected = JSON.parse(fs.readFileSync(path.join(BUNDLES, "expected.json"), "utf8"));
  const rows = [];
  for (const { name, status, arguments: given, parquet_alone: isParquet } of expected) {
    const at = path.join(BUNDLES, name);
    const files = fs.statSync(at).isDirectory() ? folder(at) : fs.readFileSync(at);
    const key = given[0] === "--policy" || given[1].startsWith("@")
      ? fs.readFileSync(path.join(BUNDLES, given[1].replace(/^@/, "")))
      : Buffer.from(given[1]);
    // A folder with something else than files in it is not given to a page, which takes files alone.
    const report = files === null ? null : await verify(files, { key });
    if (report && isParquet) assert.ok(report.notExamined.includes("events.parquet"), name);
    rows.push({ name, crate: status, page: report?.status ?? "-", Parquet: isParquet, why: report?.findings[0]?.message ?? "" });
  }
  console.table(rows);
  assert.ok(rows.length > 100, `${rows.length} evidence files`);
  // Where Parquet alone is at fault, the page says that it did not examine it.
  const differ = rows.filter((row) => row.page !== "-" && row.page !== (row.Parquet ? 0 : row.crate));
  assert.deepEqual(differ, []);
});
