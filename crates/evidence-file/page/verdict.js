// What a verdict says, in words that need no explanation. Pure: the page shows it, and a text file keeps it.

/** From so many records on, the command line is recommended. */
const RECOMMEND_FROM = 200_000;
const BLOCK_WORDS = ["kind and time", "who", "from where", "items", "changes", "details", "content as received"];
const WEEKDAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");
const MONTH_NAMES = "January February March April May June July August September October November December".split(" ");
/** Which steps find what. */
const SEAL_STEPS = new Set(["checkpoint", "signatures", "quorum"]);
const PLACE_STEPS = new Set(["proof", "order", "time", "count", "complete"]);

const REASONS = {
  file: "This file is not an evidence file, or is cut short.",
  otherLog: "The key you chose is for another log.",
  key: "The key you chose cannot be read.",
  kind: "The seal is of a kind that this page does not examine. cairn verify-export does.",
  unread: "The file cannot be read from this disk.",
  page: "This page did not get to the end of it. cairn verify-export does the same.",
  browser: "This browser is too old. Use Chrome 103, Edge 103, Firefox 113 or Safari 16.4, or newer.",
};

/**
 * @typedef {object} Words
 * @property {"sealed" | "erased" | "mismatch" | "unknown"} state
 * @property {string} heading
 * @property {string[]} paragraphs
 * @property {string[]} todo what to do now
 * @property {string} caution about the key, where there is one
 */

/** @param {number} count */
function counted(count) {
  return groupedDigits(String(count));
}

/** `Saturday 28 November 2026 at 09:14:03 UTC` @param {string} instant as nine digits have it */
function longTime(instant) {
  const date = new Date(`${instant.slice(0, 19)}Z`);
  const day = `${WEEKDAYS[date.getUTCDay()]} ${date.getUTCDate()} ${MONTH_NAMES[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
  return `${day} at ${instant.slice(11, 19)} UTC`;
}

/** `28 Nov 2026 09:14:03` @param {string} instant */
function shortTime(instant) {
  return `${writtenDate(instant.slice(0, 10))} ${instant.slice(11, 19)}`;
}

/** A fingerprint in groups of four. @param {string} digits */
function grouped(digits) {
  return digits.replace(/.{4}(?=.)/g, "$& ");
}

/** @param {string} reason @returns {Words} */
function unknownWords(reason) {
  const text = "We could not tell. This says nothing good or bad about the record.";
  return { state: "unknown", heading: "Could not verify", paragraphs: [text, reason], todo: [], caution: "" };
}

/** @param {Verdict} report @returns {Words} */
function wordsOf(report) {
  if (report.status === 2) return unknownWords(unusableReason(report));
  const isSealAlone = report.findings.every(({ step }) => step === "signatures") && report.more === 0;
  if (report.status === 1 && report.isOtherLog && isSealAlone) return unknownWords(REASONS.otherLog);
  const caution = keyCaution(report);
  if (report.status === 1) {
    const paragraphs = [...mismatchWords(report), "Verified on this computer, without any server."];
    return { state: "mismatch", heading: "Does not match", paragraphs, todo: todoWords(report), caution };
  }
  const isErased = report.erased > 0;
  const heading = isErased ? "Unchanged, content erased" : "Sealed and unchanged";
  const paragraphs = [...recordWords(report), ...rangeWords(report), witnessWords(report)];
  paragraphs.push("Verified on this computer, without any server.");
  if (report.notExamined.length > 0) paragraphs.push(`Not examined here: ${report.notExamined.join(", ")}.`);
  return { state: isErased ? "erased" : "sealed", heading, paragraphs, todo: [], caution };
}

/** @param {Verdict} report */
function unusableReason(report) {
  const step = report.findings.find(({ status }) => status === 2)?.step ?? "";
  if (report.hasOwnKey && (step === "key" || step === "policy")) return REASONS.key;
  return SEAL_STEPS.has(step) && step !== "checkpoint" ? REASONS.kind : REASONS.file;
}

/** @param {Verdict} report */
function recordWords(report) {
  const { lines, erased, erasures, rows } = report;
  if (lines === 0) return ["This file holds no records."];
  const said = erasures > 0
    ? `${counted(erasures)} ${erasures === 1 ? "record in this file states" : "records in this file state"} an erasure.`
    : "That it was erased is what the maker of this file says.";
  if (lines === 1) {
    const [row] = rows;
    if (erased > 0) return ["The record is in its place and has not changed. What is still kept is shown below.", said];
    if (!row) return ["1 of 1 sealed and unchanged."];
    const from = row.source === null ? "" : ` from ${shownValue(row.source)}`;
    return [`This record is exactly what we received${from} on ${longTime(row.received)}. Nothing in it has changed since.`];
  }
  const whole = `${counted(lines - erased)} of ${counted(lines)} sealed and unchanged.`;
  if (erased === 0) return [whole];
  return [`${whole} ${counted(erased)} ${erased === 1 ? "has" : "have"} had content erased.`, said];
}

/** What the file shows of its period, and what it keeps back. @param {Verdict} report */
function rangeWords(report) {
  const { manifest, lines, inFull, reduced, unjudged, decided } = report;
  const words = [];
  if (manifest?.complete) {
    const others = decided ? ` the other ${counted(reduced)} are of other kinds.` : " the others show their kind and time alone.";
    words.push(`${counted(lines)} records in this period; ${counted(inFull)} shown in full;${others}`);
    if (!decided) words.push("Whether the reduced records match the search cannot be seen here.");
    if (unjudged > 0) words.push(`${counted(unjudged)} could not be judged, as their content is erased.`);
  } else {
    words.push("What the search left out of this file cannot be known.");
  }
  const withheld = BLOCK_WORDS.filter((_, at) => (manifest?.withheld ?? 0) & bitOf(at + 1));
  if (withheld.length > 0) words.push(`Left out of every record: ${withheld.join(", ")}.`);
  return words;
}

/** @param {Verdict} report */
function witnessWords(report) {
  const { witnesses, witnessesKnown } = report.trusted ?? { witnesses: [], witnessesKnown: 0 };
  if (witnesses.length === 0) return "No outside witness vouches for this log, so this rests on the log's own key.";
  return `${witnesses.length} of ${witnessesKnown} witnesses vouch for the log: ${witnesses.map(shownValue).join(", ")}.`;
}

/** @param {Verdict} report */
function keyCaution(report) {
  if (report.hasOwnKey) return "";
  const log = shownValue(report.manifest?.origin ?? "the log");
  return `With the key inside the file. If you did not get this file straight from ${log}, compare this fingerprint with one that you have: ${grouped(report.keysHash)}`;
}

/** @param {Verdict} report */
function mismatchWords(report) {
  const steps = report.findings.map(({ step }) => step);
  const words = [];
  if (steps.some((step) => SEAL_STEPS.has(step))) words.push("The log's seal is not what was sealed.");
  if (steps.some((step) => PLACE_STEPS.has(step))) words.push("Its place in the log is not what was sealed.");
  if (steps.some((step) => !SEAL_STEPS.has(step) && !PLACE_STEPS.has(step))) words.push("Its content is not what was sealed.");
  return words;
}

/** @param {Verdict} report */
function todoWords(report) {
  const { knownGood } = report;
  const known = knownGood
    ? `${longTime(knownGood.received)} (record ${counted(knownGood.index)}). Records before it in this file are not affected.`
    : "no record of this file.";
  return [
    "Do not restart, restore or repair anything. The traces matter.",
    "Raise an issue with whoever gave you this file. Keep the file, and save this result.",
    "Call who answers for the log. This file names no contact.",
    `Known good up to: ${known}`,
  ];
}

/** What the maker of the file says, by name. @param {Manifest} manifest @returns {[string, string][]} */
function makerWords(manifest) {
  return [
    ["Made by", manifest.made_by],
    ["Made at", manifest.made_at],
    ["What for", manifest.purpose],
    ["Log", manifest.log],
    ["Search", manifest.filter_text],
    ["Time zone", manifest.time_zone],
  ];
}

/** The place of a finding in words of the technical details. @param {Finding} finding */
function placeOf({ line, index, block }) {
  const parts = [];
  if (line !== null) parts.push(`line ${line}`);
  if (index !== null) parts.push(`record ${index}`);
  if (block !== null) parts.push(`block ${block}`);
  return parts.join(", ");
}

/**
 * The result as a text file.
 * @param {string} fileName @param {Verdict | null} report @param {Words} words @param {string} when
 */
function resultText(fileName, report, words, when) {
  const lines = [words.heading, "", `File: ${shownValue(fileName)}`, `Verified at: ${when}`];
  lines.push(...words.paragraphs);
  if (report && words.state !== "unknown") lines.push(words.caution === "" ? "With the key you chose." : words.caution);
  if (report?.manifestHash) lines.push(`Fingerprint of manifest.json (SHA-256): ${report.manifestHash}`);
  lines.push(...words.todo.map((step, at) => `${at + 1}. ${step}`));
  if (report?.manifest) {
    lines.push("", "What the maker of this file says");
    for (const [name, text] of makerWords(report.manifest)) lines.push(`${name}: ${shownValue(text)}`);
  }
  if (report) {
    lines.push("", "Technical details");
    for (const { step, value } of report.steps) lines.push(`${shownValue(step)}: ${shownValue(value)}`);
    for (const finding of report.findings) lines.push(`${finding.step}, ${placeOf(finding)}: ${finding.message}`);
    if (report.more > 0) lines.push(`and ${report.more} more`);
  }
  return `${lines.join("\r\n")}\r\n`;
}
