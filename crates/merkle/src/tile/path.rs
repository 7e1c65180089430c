//! The paths of tiles and entry bundles: `tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]`.
//!
//! One tile has one path. Parsing takes the numbers out, writes the path they stand for, and
//! compares.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use super::{TileCoord, WIDTH};

/// The longest path there is: the entries of a bundle with the largest index, partial.
const PATH_BYTES_MAX: usize = "tile/entries/x018/x446/x744/x073/x709/x551/615.p/255".len();

/// The highest level the specification names.
const LEVEL_MAX: u8 = 63;

/// Text that is not the path of a tile or a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Longer than any path.
    #[error("a tile path has at most {PATH_BYTES_MAX} bytes, found {found}")]
    TooLong {
        /// How many bytes there were.
        found: usize,
    },
    /// Not of the form `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
    #[error("{path:?} is not a tile path")]
    Syntax {
        /// The rejected text.
        path: String,
    },
    /// The same tile has another, canonical path.
    #[error("{path:?} is written {canonical:?}")]
    NotCanonical {
        /// The rejected text.
        path: String,
        /// How the path is written.
        canonical: String,
    },
    /// The level is above 63.
    #[error("tile level {level} is above {LEVEL_MAX}")]
    Level {
        /// The rejected level.
        level: u8,
    },
    /// The width is not from 1 to 256 (255 in a path, where a full tile has no width).
    #[error("tile width {width} is not from 1 to {WIDTH}")]
    Width {
        /// The rejected width.
        width: u16,
    },
}

/// The path of a tile of the tree, full or partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TilePath {
    coord: TileCoord,
    width: u16,
}

impl TilePath {
    /// The path of the tile `coord` when it holds `width` hashes, 1 to 256.
    pub fn new(coord: TileCoord, width: u16) -> Result<Self, PathError> {
        if coord.level > LEVEL_MAX {
            return Err(PathError::Level { level: coord.level });
        }
        Ok(Self { coord, width: checked_width(width)? })
    }

    /// Which tile.
    pub fn coord(&self) -> TileCoord {
        self.coord
    }

    /// How many hashes, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tile/{}/{}",
            self.coord.level,
            Position { index: self.coord.index, width: self.width }
        )
    }
}

impl FromStr for TilePath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        parse(path, |path| {
            let (level, position) = path.strip_prefix("tile/")?.split_once('/')?;
            let (level, Position { index, width }) =
                (decimal(level)?.try_into().ok()?, position.parse().ok()?);
            Some(Self::new(TileCoord { level, index }, width))
        })
    }
}

/// The path of an entry bundle, full or partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BundlePath {
    index: u64,
    width: u16,
}

impl BundlePath {
    /// The path of bundle `index` when it holds `width` entries, 1 to 256.
    pub fn new(index: u64, width: u16) -> Result<Self, PathError> {
        Ok(Self { index, width: checked_width(width)? })
    }

    /// Which bundle: the one beside the level-0 tile of the same index.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many entries, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }
}

impl fmt::Display for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/entries/{}", Position { index: self.index, width: self.width })
    }
}

impl FromStr for BundlePath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        parse(path, |path| {
            let Position { index, width } = path.strip_prefix("tile/entries/")?.parse().ok()?;
            Some(Self::new(index, width))
        })
    }
}

fn checked_width(width: u16) -> Result<u16, PathError> {
    if (1..=256).contains(&width) { Ok(width) } else { Err(PathError::Width { width }) }
}

/// Limits first, then syntax; then only the one way to write it is accepted.
fn parse<P: fmt::Display>(
    path: &str,
    syntax: impl FnOnce(&str) -> Option<Result<P, PathError>>,
) -> Result<P, PathError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong { found: path.len() });
    }
    let parsed = syntax(path).ok_or_else(|| PathError::Syntax { path: path.into() })??;
    let canonical = parsed.to_string();
    if canonical != path {
        return Err(PathError::NotCanonical { path: path.into(), canonical });
    }
    Ok(parsed)
}

/// The end of a path, `<N>[.p/<W>]`, which tiles and bundles share.
struct Position {
    index: u64,
    width: u16,
}

impl fmt::Display for Position {
    /// Groups of three digits, an `x` before all but the last: 1234067 is `x001/x234/067`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut divisor = 1000_u64.pow(self.index.checked_ilog(1000).unwrap_or(0));
        while divisor > 1 {
            write!(f, "x{:03}/", self.index / divisor % 1000)?;
            divisor /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if usize::from(self.width) < WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for Position {
    /// What is wrong is said by the caller, who has the whole path.
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (groups, width) = match text.split_once(".p/") {
            Some((groups, width)) => {
                (groups, decimal(width).and_then(|width| width.try_into().ok()).ok_or(())?)
            }
            None => (text, 256),
        };
        let (leading, last) = groups.rsplit_once('/').unwrap_or(("", groups));
        let leading = leading.split('/').filter(|_| groups.len() > last.len());
        let digits = leading.map(|group| group.strip_prefix('x')).chain([Some(last)]);
        let index = digits.into_iter().try_fold(0_u64, |index, group| {
            let group = decimal(group.filter(|group| group.len() == 3)?)?;
            index.checked_mul(1000)?.checked_add(group)
        });
        Ok(Self { index: index.ok_or(())?, width })
    }
}

/// ASCII digits alone: `u64::from_str` would take a `+` too.
fn decimal(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
