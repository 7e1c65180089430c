// The page around the verifier. It makes no request, has no link, and nothing in it goes elsewhere.

const PAGE_ROWS = 100;
const MIME_TEXT = "text/plain";

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no ${id}`);
  return element;
}

/**
 * An element with a text or other elements in it.
 * @param {string} name @param {Record<string, string>} [attributes] @param {...(string | Node)} inner
 */
function make(name, attributes = {}, ...inner) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inner);
  return element;
}

/** A value from outside, set apart. @param {string} value */
function outside(value) {
  return make("bdi", {}, shownValue(value));
}

/** The seal of a state, which the page holds ready. @param {Words["state"]} state */
function drawSeal(state) {
  const template = /** @type {HTMLTemplateElement} */ (byId(`seal-${state}`));
  return template.content.cloneNode(true);
}

/** @param {Words} words @param {boolean} hasOwnKey */
function verdictPanel(words, hasOwnKey) {
  const panel = make("section", { class: `verdict ${words.state}`, "aria-labelledby": "verdict" });
  panel.append(drawSeal(words.state), make("h2", { id: "verdict" }, words.heading));
  for (const paragraph of words.paragraphs) panel.append(make("p", {}, paragraph));
  if (words.state === "unknown") return panel;
  const isCaution = words.caution !== "";
  if (hasOwnKey || isCaution) {
    panel.append(make("p", { class: isCaution ? "caution" : "" }, isCaution ? words.caution : "With the key you chose."));
  }
  if (words.todo.length > 0) {
    const items = words.todo.map((step) => make("li", {}, step));
    panel.append(make("h2", {}, "Do this now"), make("ol", {}, ...items));
  }
  return panel;
}

/** The table of the events in sentences, some at a time. @param {Verdict} report */
function eventsTable(report) {
  const { rows, lines } = report;
  const wrong = new Set(report.findings.map(({ line }) => line));
  const body = make("tbody");
  const where = make("p", { id: "rows", role: "status" });
  const earlier = make("button", { type: "button" }, "Earlier records");
  const later = make("button", { type: "button" }, "Later records");
  let from = 0;
  const show = () => {
    const shown = rows.slice(from, from + PAGE_ROWS);
    body.replaceChildren(...shown.map((row) => eventRow(row, wrong.has(row.line))));
    where.textContent = `Records ${counted(from + 1)} to ${counted(from + shown.length)} of ${counted(lines)} in this file.`;
    earlier.hidden = from === 0;
    later.hidden = from + PAGE_ROWS >= rows.length;
  };
  const turn = (/** @type {number} */ by) => {
    from += by;
    show();
    if (earlier.hidden && document.activeElement === document.body) later.focus();
    if (later.hidden && document.activeElement === document.body) earlier.focus();
  };
  earlier.addEventListener("click", () => turn(-PAGE_ROWS));
  later.addEventListener("click", () => turn(PAGE_ROWS));
  show();
  const head = ["Number", "Received, UTC", "What happened"].map((name) => make("th", { scope: "col" }, name));
  const table = make("table", {}, make("caption", {}, "Events"), make("thead", {}, make("tr", {}, ...head)), body);
  const parts = [make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Events" }, table), where];
  if (lines > rows.length) parts.push(make("p", {}, `The table holds the first ${counted(rows.length)} records of this file.`));
  if (rows.length > PAGE_ROWS) parts.push(make("nav", { "aria-label": "Pages of events" }, earlier, later));
  return make("div", {}, ...parts);
}

/** @param {TableRow} row @param {boolean} isWrong */
function eventRow(row, isWrong) {
  const sentence = make("td");
  for (const part of row.parts) sentence.append("value" in part ? make("bdi", {}, part.value) : part.words);
  const tags = [];
  if (isWrong) tags.push("Does not match");
  if (row.erased) tags.push("Content erased");
  if (row.withheld) tags.push("Partly left out");
  for (const tag of tags) sentence.append(" ", make("span", { class: "tag" }, tag));
  const time = make("time", { datetime: row.received }, shortTime(row.received));
  return make("tr", {}, make("td", { class: "number" }, counted(row.index)), make("td", {}, time), sentence);
}

/** @param {[string, string][]} pairs */
function descriptionList(pairs) {
  const items = pairs.flatMap(([name, value]) => [make("dt", {}, outside(name)), make("dd", {}, outsideWhole(value))]);
  return make("dl", {}, ...items);
}

/** A value that is not cut, such as a fingerprint. @param {string} value */
function outsideWhole(value) {
  const pieces = value.match(/.{1,80}/gsu) ?? [];
  return make("bdi", {}, pieces.map(shownValue).join(""));
}

/** @param {Verdict} report */
function technicalDetails(report) {
  const details = make("details", {}, make("summary", {}, "Technical details"));
  details.append(descriptionList(report.steps.map(({ step, value }) => [step, value])));
  if (report.manifestHash) details.append(descriptionList([["SHA-256 of manifest.json", report.manifestHash]]));
  if (report.keysHash) details.append(descriptionList([["SHA-256 of keys.txt", report.keysHash]]));
  if (report.findings.length === 0) return details;
  const shown = report.findings.slice(0, PAGE_ROWS);
  const head = ["Step", "Where", "What"].map((name) => make("th", { scope: "col" }, name));
  const lines = shown.map((it) => make("tr", {}, ...[it.step, placeOf(it), it.message].map((text) => make("td", {}, text))));
  const table = make("table", {}, make("caption", {}, "Findings"), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...lines));
  details.append(make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Findings" }, table));
  const more = report.findings.length - shown.length + report.more;
  if (more > 0) details.append(make("p", {}, `and ${counted(more)} more; the saved result lists the first ${counted(FINDINGS_MAX)}`));
  return details;
}

/** Gives the browser a text to save: made here, so nothing is asked for and the page stays. @param {string} text */
function saveText(text) {
  const address = URL.createObjectURL(new Blob([text], { type: MIME_TEXT }));
  const saver = document.createElement("a");
  saver.href = address;
  saver.download = "verification-result.txt";
  saver.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** @param {File} file @returns {Source} */
function sourceOf(file) {
  const read = async (/** @type {number} */ from, /** @type {number} */ end) =>
    new Uint8Array(await file.slice(from, end).arrayBuffer());
  return { size: file.size, read };
}

/** Lets the browser draw and take clicks. @returns {Promise<void>} */
function pause() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(0);
  });
}

/** @param {File} file @param {File | undefined} keyFile @returns {Promise<{report: Verdict | null, words: Words}>} */
async function verifyFiles(file, keyFile) {
  const isNew = typeof BigInt === "function" && typeof Object.hasOwn === "function" && "arrayBuffer" in Blob.prototype;
  if (!isNew) return { report: null, words: unknownWords(REASONS.browser) };
  try {
    // One byte more than a policy may have shows that it is too large.
    const key = keyFile ? new Uint8Array(await keyFile.slice(0, POLICY_BYTES_MAX + 1).arrayBuffer()) : null;
    const subtle = globalThis.crypto?.subtle ?? null;
    const report = await verifyEvidence(sourceOf(file), { key, catalogue: CATALOGUE, subtle, progress: showProgress, pause });
    return { report, words: wordsOf(report) };
  } catch (error) {
    const isOfDisk = error instanceof DOMException;
    return { report: null, words: unknownWords(isOfDisk ? REASONS.unread : REASONS.page) };
  }
}

/** @param {number} done @param {number} all @param {number} lines @param {number} events */
function showProgress(done, all, lines, events) {
  const bar = /** @type {HTMLProgressElement} */ (byId("progress"));
  bar.hidden = false;
  bar.max = Math.max(all, 1);
  bar.value = done;
  byId("count").textContent = events > 0 ? `${counted(lines)} of ${counted(events)} records` : "";
  if (events <= RECOMMEND_FROM || byId("advice").textContent !== "") return;
  byId("advice").textContent = `This file has ${counted(events)} records. The command cairn verify-export is made for files of this size.`;
}

/** @param {File} file @param {Verdict | null} report @param {Words} words */
function showResult(file, report, words) {
  const panel = verdictPanel(words, report?.hasOwnKey ?? false);
  if (words.state === "unknown") {
    const again = make("button", { type: "button" }, "Try again");
    again.addEventListener("click", start);
    panel.append(again);
  }
  if (words.state === "mismatch") byId("status").replaceChildren(make("div", { role: "alert" }, panel));
  else byId("status").replaceChildren(panel);
  const result = byId("result");
  result.replaceChildren();
  if (report?.manifest) {
    result.append(make("h2", {}, "What the maker of this file says"), make("p", {}, "Nothing proves these words."));
    result.append(descriptionList(makerWords(report.manifest)));
  }
  if (report && report.rows.length > 0 && report.status !== 2) result.append(eventsTable(report));
  if (report) result.append(technicalDetails(report));
  const save = make("button", { type: "button" }, "Save this result");
  const when = new Date().toISOString();
  save.addEventListener("click", () => saveText(resultText(file.name, report, words, when)));
  const origin = "This page came with the evidence. For a dispute, use a copy from elsewhere; its fingerprint is printed in each release.";
  result.append(save, make("p", {}, origin));
}

let isRunning = false;

async function start() {
  if (isRunning) return;
  const file = /** @type {HTMLInputElement} */ (byId("file")).files?.[0];
  const key = /** @type {HTMLInputElement} */ (byId("key")).files?.[0];
  byId("result").replaceChildren();
  byId("advice").textContent = "";
  if (!file) {
    byId("status").replaceChildren("Choose an evidence file.");
    return;
  }
  isRunning = true;
  byId("status").replaceChildren("Verifying.");
  try {
    const { report, words } = await verifyFiles(file, key);
    showResult(file, report, words);
  } finally {
    isRunning = false;
    byId("progress").hidden = true;
    byId("count").textContent = "";
  }
}

/** The area of an input takes dropped files; nothing dropped elsewhere opens in place of the page. */
function takeDrops() {
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const area = event.target instanceof Element ? event.target.closest(".field") : null;
    const input = area?.querySelector("input") ?? /** @type {HTMLInputElement} */ (byId("file"));
    if (event.dataTransfer && event.dataTransfer.files.length === 1) input.files = event.dataTransfer.files;
  });
}

byId("form").hidden = false;
byId("verify").addEventListener("click", start);
takeDrops();
