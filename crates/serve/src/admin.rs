//! An operator's commands reach a running server over a socket in its data folder, which only the
//! server's user can open.
//!
//! ```text
//! request   number of words u8 ‖ each word: length u32 BE ‖ bytes
//! answer    0 done, or 1 refused ‖ length u32 BE ‖ text
//! ```
//!
//! One request a connection. The first word is the program that the caller takes the server for, the second
//! the command, and the others are its arguments. A new command is one more row of [`Commands`].

mod client;
mod server;

pub use client::{CallError, call};
pub use server::{AdminServer, Answer, Commands, none, only};

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

/// The socket's name in the data folder.
pub const SOCKET: &str = "admin.sock";
/// Longest word or text, in bytes: what Linux allows for a path.
const TEXT_BYTES_MAX: usize = 4_096;
/// The most words of a request.
const WORDS_MAX: usize = 16;

/// The path of a socket that leads through its open folder, because a socket's address has room for
/// only 107 bytes.
fn short_path(folder: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}

/// A text with its length in front. A text that is too long to be sent is cut.
fn framed(text: &[u8]) -> Vec<u8> {
    let text = &text[..text.len().min(TEXT_BYTES_MAX)];
    let length = u32::try_from(text.len()).expect("at most 4,096");
    [&length.to_be_bytes(), text].concat()
}

fn length(bytes: [u8; 4]) -> io::Result<usize> {
    usize::try_from(u32::from_be_bytes(bytes))
        .ok()
        .filter(|length| *length <= TEXT_BYTES_MAX)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A request's bytes.
///
/// # Errors
/// A word is too long, or there are too many.
fn request<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Vec<u8>> {
    let (mut bytes, mut count) = (vec![0], 0_u8);
    for word in words {
        count += 1;
        if word.len() > TEXT_BYTES_MAX || usize::from(count) > WORDS_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        bytes.extend(framed(word));
    }
    bytes[0] = count;
    Ok(bytes)
}

type Words = Vec<OsString>;

#[cfg(test)]
mod tests;
