// The page itself, opened from the disk in Chromium without a network: what it says, and that it asks for nothing.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import test, { after, before } from "node:test";
import { pathToFileURL } from "node:url";

import { KEY, Log, ORIGIN, PAGE, altered, blocksOf, hide, sha256, signer, swap, zip } from "./lib.mjs";

const { chromium } = createRequire(`${process.env.CAIRN_PAGE_TOOLS}/`)("playwright-core");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-page."));
const log = new Log(5);
let browser;

before(async () => {
  fs.copyFileSync(PAGE, path.join(work, "verify.html"));
  const args = process.getuid() === 0 ? ["--no-sandbox"] : []; // Chromium refuses to sandbox root
  browser = await chromium.launch({ executablePath: process.env.CAIRN_CHROMIUM, args });
});

after(async () => {
  await browser?.close();
  fs.rmSync(work, { recursive: true });
});

function keep(name, bytes) {
  const at = path.join(work, name);
  fs.writeFileSync(at, bytes);
  return at;
}

/** Opens the page offline, lets `use` work with it, and fails for any request, error, or breach of its policy. */
async function open(use, options = {}) {
  const context = await browser.newContext({ offline: true, acceptDownloads: true, ...options });
  const trouble = [];
  const requests = [];
  context.on("request", (request) => requests.push(request.url()));
  const page = await context.newPage();
  page.on("console", (message) => trouble.push(message.text()));
  page.on("pageerror", (error) => trouble.push(String(error)));
  page.on("popup", () => trouble.push("a popup"));
  const address = pathToFileURL(path.join(work, "verify.html")).href;
  if (options.javaScriptEnabled !== false) {
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective}`));
    });
  }
  await page.goto(address);
  await use(page);
  assert.equal(page.url(), address, "the page stays where it is");
  await context.close();
  assert.deepEqual(trouble, []);
  assert.deepEqual(requests.filter((url) => !url.startsWith("blob:")), [address], "no request but for the page itself");
}

async function verify(page, file, key) {
  await page.getByLabel("1. Evidence file").setInputFiles(file);
  if (key) await page.getByLabel("2. Key you already have (optional)").setInputFiles(key);
  await page.getByRole("button", { name: "Verify", exact: true }).click();
  await page.getByRole("button", { name: "Save this result" }).waitFor();
}

const heading = (page, name) => page.getByRole("heading", { name, exact: true });

test("a good file is sealed and unchanged, with the key inside and with one's own", async () => {
  const good = keep("good.zip", zip(log.export(log.pick())));
  const key = keep("log.vkey", KEY);
  await open(async (page) => {
    assert.equal(await page.title(), "Verify evidence");
    await page.getByRole("heading", { level: 1, name: "Verify evidence" }).waitFor();
    await page.getByText("Nothing leaves this computer. You can disconnect it first.").waitFor();
    await page.getByText("From your own records, not from this file.").waitFor();
    await page.getByRole("button", { name: "Verify", exact: true }).click();
    await page.getByRole("status").getByText("Choose an evidence file.").waitFor();
    await verify(page, good);
    const status = page.getByRole("status").first();
    await status.getByRole("heading", { name: "Sealed and unchanged", exact: true }).waitFor();
    await status.getByText("5 of 5 sealed and unchanged.").waitFor();
    await status.getByText("Verified on this computer, without any server.").waitFor();
    await status.getByText("No outside witness vouches for this log, so this rests on the log's own key.").waitFor();
    const fingerprint = sha256(KEY).toString("hex").replace(/.{4}(?=.)/g, "$& ");
    await status.getByText(`With the key inside the file. If you did not get this file straight from ${ORIGIN}, compare this fingerprint with one that you have: ${fingerprint}`).waitFor();
    await verify(page, good, key);
    await status.getByText("With the key you chose.").waitFor();
    const rows = page.getByRole("table", { name: "Events" }).getByRole("row");
    assert.equal(await rows.count(), 6);
    assert.match(await rows.nth(2).innerText(), /^1\s+4 Mar 2026 09:10:12\s+=Ana, "1" changed the amount of invoice 4711 from 900 to 9,000 \u2014 allowed$/);
    await page.getByText("Tom Hale").waitFor();
    await page.getByText("Nothing proves these words.").waitFor();
    await page.getByText("This page came with the evidence. For a dispute, use a copy from elsewhere; its fingerprint is printed in each release.").waitFor();
    assert.equal(await page.getByText("root hash", { exact: false }).first().isVisible(), false, "technical details are folded");
    await page.getByText("Technical details").click();
    await page.getByText("Checkpoint: root hash").waitFor();
    assert.equal(await page.evaluate(() => document.links.length), 0);
  });
});

test("a changed file does not match, and says what to do", async () => {
  const bad = altered(log.export(log.pick()), "events.ndjson", swap("u-3", "u-4"));
  const file = keep("bad.zip", zip(bad));
  await open(async (page) => {
    await verify(page, file);
    const alert = page.getByRole("alert");
    await alert.getByRole("heading", { name: "Does not match", exact: true }).waitFor();
    await alert.getByText("Its content is not what was sealed.").waitFor();
    await alert.getByRole("heading", { name: "Do this now" }).waitFor();
    const steps = alert.getByRole("listitem");
    assert.equal(await steps.count(), 4);
    assert.equal(await steps.nth(0).innerText(), "Do not restart, restore or repair anything. The traces matter.");
    assert.match(await steps.nth(3).innerText(), /^Known good up to: Wednesday 4 March 2026 at 09:10:13 UTC \(record 2\)\./);
    await page.getByRole("row", { name: /Does not match/ }).waitFor();
    await page.getByText("Technical details").click();
    await page.getByText("line 4, record 3, block actor").waitFor();
    // A good file after a bad one leaves nothing of it behind.
    await verify(page, keep("good2.zip", zip(log.export(log.pick()))));
    await heading(page, "Sealed and unchanged").waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
  });
});

test("what cannot be told is said to be that", async () => {
  const good = keep("good3.zip", zip(log.export(log.pick([1]))));
  const cut = keep("cut.zip", fs.readFileSync(good).subarray(0, -100));
  const other = keep("other.vkey", Buffer.from(`${signer("other.example", 5).vkey}\n`));
  await open(async (page) => {
    await verify(page, cut);
    await heading(page, "Could not verify").waitFor();
    await page.getByText("We could not tell. This says nothing good or bad about the record.").waitFor();
    await page.getByText("This file is not an evidence file, or is cut short.").waitFor();
    await verify(page, good, other);
    await page.getByText("The key you chose is for another log.").waitFor();
    await heading(page, "Could not verify").waitFor();
    await page.getByLabel("2. Key you already have (optional)").setInputFiles([]);
    await page.getByRole("button", { name: "Try again" }).click();
    await heading(page, "Sealed and unchanged").waitFor();
    await page.getByText("This record is exactly what we received from /billing on Wednesday 4 March 2026 at 09:10:12 UTC. Nothing in it has changed since.").waitFor();
    await page.getByText("What the search left out of this file cannot be known.").waitFor();
  });
});

test("erased and hostile values are shown as what they are", async () => {
  const name = "<img src=x onerror=alert(1)> Alice deleted \u202e\u0000";
  const hostile = new Log(2, (number) => ({ ...blocksOf(number), actor: JSON.stringify({ id: "u", name, type: "user" }) }));
  const lines = hostile.pick();
  hide(lines[1], "erased", "core", "raw");
  const file = keep("hostile.zip", zip(hostile.export(lines, { made_by: name, purpose: "x".repeat(10_000) }), () => ({ deflate: true })));
  await open(async (page) => {
    await verify(page, file);
    await heading(page, "Unchanged, content erased").waitFor();
    await page.getByText("1 of 2 sealed and unchanged. 1 has had content erased.").waitFor();
    const table = page.getByRole("table", { name: "Events" });
    await table.getByText("<img src=x onerror=alert(1)> Alice deleted \u27e8U+202E\u27e9\u27e8U+0000\u27e9").waitFor();
    await table.getByText("Content erased").first().waitFor();
    assert.equal(await page.locator("img").count(), 0);
  });
});

test("the table turns its pages, by the keyboard too, and the result can be saved", async () => {
  const many = new Log(250, (number) => ({ core: `{"action":"a.read","id":"${number}","outcome":"success","source":"/s"}` }));
  const file = keep("many.zip", zip(many.export(many.pick())));
  await open(async (page) => {
    await verify(page, file);
    const rows = page.getByRole("table", { name: "Events" }).getByRole("row");
    assert.equal(await rows.count(), 101);
    await page.getByText("Records 1 to 100 of 250 in this file.").waitFor();
    await page.getByRole("button", { name: "Later records" }).focus();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await page.getByText("Records 201 to 250 of 250 in this file.").waitFor();
    assert.equal(await rows.count(), 51);
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Earlier records");
    const saving = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save this result" }).click();
    const saved = await saving;
    assert.equal(saved.suggestedFilename(), "verification-result.txt");
    const text = fs.readFileSync(await saved.path(), "utf8");
    assert.match(text, /^Sealed and unchanged\r\n\r\nFile: many\.zip\r\n/);
    assert.match(text, /250 of 250 sealed and unchanged\./);
  });
});

test("a file can be dropped, and the page works at 320 pixels", async () => {
  const bytes = zip(log.export(log.pick()));
  await open(async (page) => {
    const data = await page.evaluateHandle((base64) => {
      const transfer = new DataTransfer();
      const binary = Uint8Array.from(atob(base64), (it) => it.charCodeAt(0));
      transfer.items.add(new File([binary], "dropped.zip"));
      return transfer;
    }, bytes.toString("base64"));
    await page.locator(".field").first().dispatchEvent("drop", { dataTransfer: data });
    await page.getByRole("button", { name: "Verify", exact: true }).click();
    await heading(page, "Sealed and unchanged").waitFor();
    const widths = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(widths[0] <= widths[1], `${widths}`);
  }, { viewport: { width: 320, height: 640 } });
});

test("10,000 events are verified, with progress", async () => {
  const large = new Log(10_000);
  const file = keep("large.zip", zip(large.export(large.pick())));
  await open(async (page) => {
    const started = performance.now();
    await verify(page, file);
    await heading(page, "Sealed and unchanged").waitFor();
    console.log(`10,000 events of ${Math.round(fs.statSync(file).size / 10_000)} bytes: ${Math.round(performance.now() - started)} ms`);
    await page.getByText("10,000 of 10,000 sealed and unchanged.").waitFor();
  });
});

test("without scripts the page says what to use instead", async () => {
  await open(async (page) => {
    const text = await page.locator("main").innerText();
    assert.match(text, /This page needs scripts\. cairn verify-export does the same, or any tool for c2sp\.org\/tlog-proof\./);
    assert.equal(await page.getByRole("button").count(), 0);
  }, { javaScriptEnabled: false });
});
