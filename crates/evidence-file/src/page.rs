//! `verify.html`: the page with which anybody verifies an evidence file in a browser, offline.
//!
//! It is one file: a script and a style, both named by their hashes in the page's own policy, which forbids
//! everything else. The script is made of the parts in `page/`, one after the other, with the catalogue of
//! sentences in front, so that the page says of an event what the server says.

use std::sync::LazyLock;

use audit_event::{sentence, text};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// What the page is put together in.
const TEMPLATE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/page.css");

/// The parts of the script. All but the last two are the verifier, which knows of no page.
const PARTS: [&str; 12] = [
    include_str!("../page/sha.js"),
    include_str!("../page/text.js"),
    include_str!("../page/ed25519.js"),
    include_str!("../page/note.js"),
    include_str!("../page/zip.js"),
    include_str!("../page/inflate.js"),
    include_str!("../page/evidence.js"),
    include_str!("../page/views.js"),
    include_str!("../page/sentence.js"),
    include_str!("../page/verifier.js"),
    include_str!("../page/verdict.js"),
    include_str!("../page/page.js"),
];

static PAGE: LazyLock<String> = LazyLock::new(assemble);

/// The page, the same bytes in every evidence file of this version.
pub fn html() -> &'static str {
    &PAGE
}

fn assemble() -> String {
    let script = script();
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        source_hash(&script),
        source_hash(STYLE)
    );
    // The script goes last, as nothing may be replaced in it.
    let page = TEMPLATE.replace("{{policy}}", &policy).replace("{{style}}", STYLE);
    page.replace("{{script}}", &script)
}

fn script() -> String {
    // In a script's text a `<` could begin its end.
    let catalogue = text::write(&sentence::data()).replace('<', "\\u003c");
    let parts = PARTS.concat();
    format!("(() => {{\n\"use strict\";\nconst CATALOGUE = {catalogue};\n{parts}}})();\n")
}

/// How a policy names an inline script or style: by its hash.
fn source_hash(inline: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(inline)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands between two marks that are each there once.
    fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
        assert_eq!(text.matches(start).count(), 1, "{start}");
        assert_eq!(text.matches(end).count(), 1, "{end}");
        text.split_once(start).unwrap().1.split_once(end).unwrap().0
    }

    #[test]
    fn the_policy_names_the_script_and_the_style_and_nothing_else() {
        let page = html();
        let policy =
            between(page, "Content-Security-Policy\" content=\"", "\">\n<meta name=\"viewport\"");
        let hash = |start, end| source_hash(between(page, start, end));
        let expected = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
            hash("<script>", "</script>"),
            hash("<style>", "</style>")
        );
        assert_eq!(policy, expected);
        // A browser reads line ends of CR LF as LF, and the hashes would not be those of what it reads.
        assert!(!page.contains('\r'));
        for mark in ["{{policy}}", "{{style}}", "{{script}}", "<!--"] {
            assert!(!page.contains(mark), "{mark}");
        }
    }

    #[test]
    fn the_page_asks_for_nothing() {
        let page = html();
        for request in [
            "http:",
            "https:",
            "src=",
            "href=",
            "action=",
            "url(",
            "@import",
            "import(",
            "importScripts",
            "<link",
            "<a ",
            "<iframe",
            "<form",
            "fetch",
            "XMLHttpRequest",
            "WebSocket",
            "EventSource",
            "sendBeacon",
            "Worker",
            "eval",
            "new Function",
            "innerHTML",
            "document.write",
            "location",
            "window.open",
            "history.",
            "localStorage",
            "document.cookie",
        ] {
            assert!(!page.contains(request), "{request}");
        }
    }

    #[test]
    fn the_page_has_the_words_and_elements_that_its_readers_look_for() {
        let page = html();
        let mut rest = page;
        for part in [
            "<h1>Verify evidence</h1>",
            "Nothing leaves this computer. You can disconnect it first.",
            "This page needs scripts. <code>cairn verify-export</code> does the same, or any tool for c2sp.org/tlog-proof.",
            "<label for=\"file\">1. Evidence file</label>",
            "<label for=\"key\">2. Key you already have (optional)</label>",
            "From your own records, not from this file.",
            ">Verify</button>",
            "role=\"status\"",
            "const CATALOGUE = {\"entries\":[{\"action\":\"auth.login\"",
        ] {
            let at = rest.find(part);
            assert!(at.is_some(), "{part}");
            rest = &rest[at.unwrap_or_default()..];
        }
    }
}
