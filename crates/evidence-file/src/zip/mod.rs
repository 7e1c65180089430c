//! Zip archives of the one form that evidence files have.
//!
//! ```text
//! entries without a gap, the first at byte 0:
//!     local header 30 ‖ name ‖ extra ‖ data ‖ [descriptor 12, 16, 20 or 24]
//! directory, one header for each entry:
//!     header 46 ‖ name ‖ extra
//! [ZIP64 end 56 ‖ its locator 20] ‖ end 22
//! ```
//!
//! Two readers of one archive must see the same files, so everything that lets them differ is refused:
//! bytes in front, between and behind, comments, headers that contradict each other, names twice.
//! Integers are little-endian. Times, extra fields (but ZIP64's), disk numbers and the directory's order
//! are not looked at.

mod data;
mod directory;
mod read;
mod write;

pub use data::EntryReader;
pub use read::{Zip, ZipReadError};
pub use write::{Method, ZipWriteError, ZipWriter};

/// Flag of an entry whose checksum and sizes follow its data.
const DESCRIPTOR: u16 = 1 << 3;

/// Flag of a name in UTF-8, which ASCII is.
const UTF_8: u16 = 1 << 11;

const LOCAL: u32 = 0x0403_4b50;
const DESCRIBED: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

const LOCAL_BYTES: u64 = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: u64 = 22;
const END_64_BYTES: u64 = 56;
const LOCATOR_64_BYTES: u64 = 20;

/// The extra field that holds sizes which do not fit.
const ZIP64: u16 = 1;

/// Bytes of the directory of an archive with as many entries as there may be, with room for extra
/// fields.
const DIRECTORY_BYTES_MAX: u64 = 1024 * 1024;

/// Why an archive cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZipError {
    /// It does not end with the record that ends an archive, without a comment.
    #[error("it does not end as a zip archive without a comment does")]
    End,
    /// The ZIP64 records at its end contradict themselves or the record behind them.
    #[error("the records at its end contradict each other")]
    End64,
    /// The directory is not where, or not as large as, the end says.
    #[error("its directory is not what its end says")]
    Directory,
    /// More entries than a limit allows, or a directory beyond its limit.
    #[error("it has too many entries")]
    TooManyFiles,
    /// An entry that no evidence file has.
    #[error("the entry {name:?} does not belong there")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// Two entries with one name.
    #[error("the entry {name:?} is there twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// Flags or a method of packing that are not read here, a comment, or a link.
    #[error("the entry {name:?} has a form that is not read: {what}")]
    Form {
        /// Its name.
        name: String,
        /// What is not read.
        what: &'static str,
    },
    /// Bytes between entries, or entries that overlap.
    #[error("the entry {name:?} does not follow the one before it")]
    Place {
        /// Its name.
        name: String,
    },
    /// The header before the data, or the descriptor behind it, is not what the directory says.
    #[error("the entry {name:?} contradicts the directory")]
    Header {
        /// Its name.
        name: String,
    },
    /// The data does not unpack to the stated size.
    #[error("the entry {name:?} does not have the size that it states")]
    Size {
        /// Its name.
        name: String,
    },
    /// The data has another checksum.
    #[error("the entry {name:?} does not have the checksum that it states")]
    Checksum {
        /// Its name.
        name: String,
    },
}

#[cfg(test)]
mod tests;
