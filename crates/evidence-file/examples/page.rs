//! Prints `verify.html`, for the tests that open it in a browser.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().write_all(evidence_file::page::html().as_bytes())
}
