// One plain sentence for an event, by the catalogue that the log's own server has. A sentence comes in
// parts: our words, and values from outside, which a page sets apart.

/** @typedef {{words: string} | {value: string}} Part */
/** @typedef {{action: string, did: string, tried: string, details: Record<string, string>}} CatalogueEntry */
/** @typedef {{entries: CatalogueEntry[], secrets: string[], things: Record<string, string>}} Catalogue */

const SHOWN_MAX = 80;
const SENTENCE_HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** A value, cut, with control and direction characters by their number: ⟨U+202E⟩. @param {string} value */
function shownValue(value) {
  let out = "";
  let count = 0;
  for (const character of value) {
    if (count === SHOWN_MAX) return `${out}\u2026`;
    count += 1;
    const number = () => (/** @type {number} */ (character.codePointAt(0))).toString(16).toUpperCase().padStart(4, "0");
    out += SENTENCE_HIDDEN.test(character) ? `\u27e8U+${number()}\u27e9` : character;
  }
  return out;
}

/** Digits in groups of three; what is no decimal number stays as it is. @param {string} number */
function groupedDigits(number) {
  const parts = /^(-?)([0-9]+)((?:\.[0-9]+)?)$/.exec(number);
  return parts ? parts[1] + parts[2].replace(/[0-9](?=(?:[0-9]{3})+$)/g, "$&,") + parts[3] : number;
}

/** `2026-12-01` as 1 Dec 2026. @param {string} text */
function writtenDate(text) {
  if (readInstant(`${text}T00:00:00Z`) === null) return text;
  return `${Number(text.slice(8, 10))} ${MONTHS[Number(text.slice(5, 7)) - 1]} ${text.slice(0, 4)}`;
}

/** @param {JsonValue} value @returns {string | null} */
function asText(value) {
  return typeof value === "string" ? value : null;
}

/** @param {JsonValue} value */
function written(value) {
  return typeof value === "string" ? value : writeJson(value);
}

/** What a sentence needs of an event. */
class SentenceEvent {
  /** @param {Map<number, Map<string, JsonValue>>} objects members of its blocks, by tag */
  constructor(objects) {
    const list = (/** @type {JsonValue} */ value) =>
      Array.isArray(value) ? value.filter((item) => item instanceof Map) : [];
    const core = objects.get(1) ?? new Map();
    this.action = asText(core.get("action"));
    this.operation = asText(core.get("operation"));
    this.outcome = asText(core.get("outcome"));
    this.source = asText(core.get("source"));
    this.actor = objects.get(2) ?? null;
    /** @type {Map<string, JsonValue>[]} */
    this.targets = list(objects.get(4)?.get("targets"));
    /** @type {Map<string, JsonValue>[]} */
    this.changes = list(objects.get(5)?.get("changes"));
    const metadata = objects.get(6)?.get("metadata");
    /** @type {Map<string, JsonValue>} */
    this.metadata = metadata instanceof Map ? metadata : new Map();
  }
}

/** Makes sentences. Parts of one kind that follow one another become one. */
class SentenceMaker {
  /** @param {Catalogue} catalogue @param {SentenceEvent} event */
  constructor(catalogue, event) {
    this.catalogue = catalogue;
    this.event = event;
    this.entry = entryOf(catalogue, event.action ?? "");
    this.hasTried = event.outcome === "denied" || event.outcome === "failure";
  }

  /** @returns {Part[]} */
  whole() {
    const tried = this.hasTried ? "tried to " : "";
    return joined([...this.who(), { words: ` ${tried}` }, ...this.act(), { words: this.ending() }]);
  }

  /** The form of a verb. @param {string} did @param {string} tried */
  verb(did, tried) {
    return { words: this.hasTried ? tried : did };
  }

  /** @returns {Part[]} */
  who() {
    const { actor } = this.event;
    const kind = asText(actor?.get("type"));
    if (actor === null || kind === "anonymous") return [{ words: "Somebody" }];
    const [name, id] = [asText(actor.get("name")), asText(actor.get("id")) ?? ""];
    /** @type {Part[]} */
    let parts;
    if (kind === "service" || kind === "api_key" || kind === "system") {
      parts = [{ words: "The " }, { value: name ?? id }, { words: " system" }];
    } else {
      const said = name !== null && name.trim() !== "" ? name : null;
      parts = [{ value: said ?? asText(actor.get("email")) ?? id }];
    }
    const party = actor.get("on_behalf_of");
    if (!(party instanceof Map)) return parts;
    const forWhom = asText(party.get("name")) ?? asText(party.get("id")) ?? "";
    return [...parts, { words: ", for " }, { value: forWhom }, { words: "," }];
  }

  /** @returns {Part[]} */
  act() {
    const template = this.hasTried ? this.entry?.tried : this.entry?.did;
    const filled = template === undefined ? null : this.fill(template);
    if (filled !== null) return filled;
    const { action, targets } = this.event;
    /** @type {Part[]} */
    const unknown = [this.verb('did "', 'do "'), { value: action ?? "something" }, { words: '"' }];
    return targets.length > 0 ? [...unknown, { words: " to " }, ...this.item()] : unknown;
  }

  /** The template, or null if the event lacks what it needs. @param {string} template @returns {Part[] | null} */
  fill(template) {
    const tokens = template.split(/(\{[^}]*\}|\[|\])/);
    let at = 0;
    /** @returns {Part[] | null} */
    const run = () => {
      /** @type {Part[]} */
      const parts = [];
      let isWhole = true;
      while (at < tokens.length) {
        const token = tokens[at++];
        if (token === "]") break;
        if (token === "[") {
          parts.push(...(run() ?? []));
        } else if (token.startsWith("{")) {
          const filled = this.placeholder(token.slice(1, -1));
          if (filled === null) isWhole = false;
          else parts.push(...filled);
        } else {
          parts.push({ words: token });
        }
      }
      return isWhole ? parts : null;
    };
    return run();
  }

  /** @param {string} name @returns {Part[] | null} */
  placeholder(name) {
    const { targets, source } = this.event;
    const named = (/** @type {Map<string, JsonValue> | undefined} */ target) => (target ? [{ value: nameOf(target) }] : null);
    switch (name) {
      case "item":
        return this.item();
      case "thing":
        return this.thing();
      case "change":
        return this.change();
      case "setting":
        return this.setting();
      case "name":
        return named(targets[0]);
      case "person":
        return named(targets.find((target) => target.get("type") === "user"));
      case "role":
        return named(targets.find((target) => target.get("type") === "role"));
      case "account":
        return source?.startsWith("aws://") ? [{ value: source.slice(6).split("/")[0] }] : null;
      default:
        return this.detail(name);
    }
  }

  /** A member of `metadata`. @param {string} name @returns {Part[] | null} */
  detail(name) {
    const isNumber = name.startsWith("#");
    const key = isNumber ? name.slice(1) : name;
    const found = this.event.metadata.get(key);
    if (isAbsent(found)) return null;
    if (this.show(key) === "never") return [{ words: "(hidden)" }];
    return [{ value: isNumber ? groupedDigits(written(found)) : written(found) }];
  }

  /** How a detail is shown, if not as it is. @param {string} detail */
  show(detail) {
    const folded = detail.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    if (this.catalogue.secrets.some((secret) => folded.includes(secret))) return "never";
    const details = this.entry?.details ?? {};
    return Object.hasOwn(details, detail) ? details[detail] : null;
  }

  /** @returns {Part[]} */
  item() {
    const [target, ...more] = this.event.targets;
    if (!target) return [{ words: "an item" }];
    const kind = (asText(target.get("type")) ?? "").replaceAll("_", " ");
    const count = this.event.metadata.get("count");
    if (typeof count === "number" && count > 1) {
      return [{ value: groupedDigits(String(count)) }, { words: " " }, { value: pluralOf(kind) }];
    }
    /** @type {Part[]} */
    const parts = [{ value: kind }, { words: " " }, { value: asText(target.get("id")) ?? "" }];
    const name = asText(target.get("name"));
    if (name) parts.push({ words: ' "' }, { value: name }, { words: '"' });
    if (more.length === 1) parts.push({ words: " and 1 more item" });
    if (more.length > 1) parts.push({ words: ` and ${more.length} more items` });
    return parts;
  }

  /** @returns {Part[]} */
  thing() {
    const [target] = this.event.targets;
    if (!target) return [{ words: "an item" }];
    const kind = asText(target.get("type")) ?? "";
    const { things } = this.catalogue;
    /** @type {Part[]} */
    const parts = Object.hasOwn(things, kind) ? [{ words: things[kind] }] : [{ words: "the " }, { value: kind }];
    const id = asText(target.get("id")) ?? ""; // `namespace/name`
    const slash = id.lastIndexOf("/");
    const name = asText(target.get("name")) ?? id.slice(slash + 1);
    const parent = asText(target.get("parent")) ?? (slash < 0 ? null : id.slice(0, slash));
    parts.push({ words: ' "' }, { value: name }, { words: '"' });
    return parent === null ? parts : [...parts, { words: " in " }, { value: parent }];
  }

  /** What is different, with the verb that fits. @returns {Part[]} */
  change() {
    const { changes } = this.event;
    const changed = this.verb("changed ", "change ");
    const field = (/** @type {number} */ at) => ({ value: fieldOf(changes[at]) });
    if (changes.length === 0) return [changed, ...this.item()];
    if (changes.length > 2) return [changed, { words: `${changes.length} details of ` }, ...this.item()];
    if (changes.length === 2) {
      return [changed, { words: "the " }, field(0), { words: " and " }, field(1), { words: " of " }, ...this.item()];
    }
    const { old, new: now } = sidesOf(changes[0]);
    const set = old === null ? this.verb("set ", "set ") : changed;
    const verb = now === null ? this.verb("removed ", "remove ") : set;
    return [verb, { words: "the " }, field(0), { words: " of " }, ...this.item(), ...this.fromTo()];
  }

  /** @returns {Part[]} */
  setting() {
    const { changes, targets } = this.event;
    const parts = [this.verb("changed ", "change ")];
    /** @type {Part[]} */
    let what = [{ words: changes.length === 0 ? "the settings" : `${changes.length} settings` }];
    if (changes.length === 1) what = [{ words: 'the setting "' }, { value: fieldOf(changes[0]) }, { words: '"' }];
    /** @type {Part[]} */
    const of = targets.length > 0 ? [{ words: " of " }, { value: nameOf(targets[0]) }] : [];
    return [...parts, ...what, ...of, ...(changes.length === 1 ? this.fromTo() : [])];
  }

  /** ` from 900 to 9,000`, of the one change, as far as it is recorded. @returns {Part[]} */
  fromTo() {
    const [change] = this.event.changes;
    const { old, new: now } = sidesOf(change);
    const show = this.show(asText(change.get("field")) ?? "");
    const side = (/** @type {string} */ word, /** @type {JsonValue} */ value) => {
      if (show === "never") return [{ words: `${word}(hidden)` }];
      const text = written(value);
      const shown = show === "number" ? groupedDigits(text) : show === "date" ? writtenDate(text) : text;
      return [{ words: word }, { value: shown }];
    };
    if (now === null) return [];
    return [...(old === null ? [] : side(" from ", old)), ...side(" to ", now)];
  }

  /** The end of a sentence. People are allowed to, machines do; signing in and out says it already. */
  ending() {
    const { operation, outcome, actor } = this.event;
    const endings = new Map([["denied", " \u2014 refused"], ["failure", " \u2014 failed"]]);
    if (outcome !== "success") return endings.get(outcome ?? "") ?? " \u2014 result not recorded";
    if (operation === "login" || operation === "logout") return "";
    const party = actor?.get("on_behalf_of");
    const kind = party instanceof Map ? party.get("type") : actor?.get("type");
    const isPerson = actor === null || kind === "user" || kind === "anonymous";
    return isPerson ? " \u2014 allowed" : " \u2014 done";
  }
}

/** Entries that were found, by action: most events of a file have few. @type {Map<string, CatalogueEntry | null>} */
const foundEntries = new Map();
const FOUND_ENTRIES_MAX = 1000;

/** The first entry that fits. @param {Catalogue} catalogue @param {string} action */
function entryOf(catalogue, action) {
  const known = foundEntries.get(action);
  if (known !== undefined) return known;
  const entry = catalogue.entries.find((it) => actionFits(it.action, action)) ?? null;
  if (foundEntries.size < FOUND_ENTRIES_MAX) foundEntries.set(action, entry);
  return entry;
}

/** @param {string} pattern @param {string} action */
function actionFits(pattern, action) {
  const [wanted, found] = [pattern.split("."), action.split(".")];
  for (let at = 0; at < wanted.length; at += 1) {
    if (at >= found.length) return false;
    if (wanted[at] === "**") {
      const [rest, parts] = [wanted.slice(at + 1), found.slice(at + 1)];
      return rest.length <= parts.length && rest.every((part, back) => part === parts[parts.length - rest.length + back]);
    }
    if (wanted[at] !== "*" && wanted[at] !== found[at]) return false;
  }
  return wanted.length === found.length;
}

/** @param {Map<string, JsonValue>} target */
function nameOf(target) {
  return asText(target.get("name")) || (asText(target.get("id")) ?? "");
}

/** @param {Map<string, JsonValue>} change */
function fieldOf(change) {
  return (asText(change.get("field")) ?? "").replaceAll("_", " ");
}

/** Both sides of a change; an empty text counts as none. @param {Map<string, JsonValue>} change */
function sidesOf(change) {
  const side = (/** @type {JsonValue} */ value) => (isAbsent(value) || value === "" ? null : value);
  return { old: side(change.get("old")), new: side(change.get("new")) };
}

/** @param {string} kind */
function pluralOf(kind) {
  if (/[^aeou]y$/.test(kind) || kind === "y") return `${kind.slice(0, -1)}ies`;
  return kind.endsWith("s") ? kind : `${kind}s`;
}

/** Words joined, values cut. @param {Part[]} parts @returns {Part[]} */
function joined(parts) {
  /** @type {Part[]} */
  const all = [];
  for (const part of parts) {
    const last = all[all.length - 1];
    if ("value" in part) all.push({ value: shownValue(part.value) });
    else if (last && "words" in last) last.words += part.words;
    else all.push({ words: part.words });
  }
  return all;
}

/** @param {Catalogue} catalogue @param {Map<number, Map<string, JsonValue>>} objects @returns {Part[]} */
function sentenceOf(catalogue, objects) {
  return new SentenceMaker(catalogue, new SentenceEvent(objects)).whole();
}
