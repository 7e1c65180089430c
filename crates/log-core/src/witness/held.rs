//! What we think a witness holds, and what its next claim means. Pure.

use merkle::TreeSize;

/// The size a witness holds, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// We have to ask.
    Unknown,
    /// The witness said so.
    Claimed(TreeSize),
    /// The witness cosigned this size, so it can never hold less.
    Cosigned(TreeSize),
}

/// What a size in a 409 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Send the proof from here.
    From(TreeSize),
    /// The log was never that large.
    Ahead,
    /// The witness cosigned more than it now holds.
    Shrunk { from: TreeSize },
    /// The witness names the size that our proof started from, so it contradicts itself.
    Contradiction,
}

/// Judges a claim by what the witness held and by the size that our proof started from. The caller reads
/// `committed` after the answer, so no honest claim is beyond it.
pub(super) fn judge(held: Held, sent: TreeSize, claimed: TreeSize, committed: TreeSize) -> Claim {
    if claimed > committed {
        return Claim::Ahead;
    }
    match held {
        Held::Cosigned(from) if claimed < from => Claim::Shrunk { from },
        _ if claimed == sent => Claim::Contradiction,
        _ => Claim::From(claimed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_judged_by_what_is_known() {
        let size = |size| TreeSize::new(size).unwrap();
        let claim = |held, sent, claimed| judge(held, size(sent), size(claimed), size(100));
        let cosigned = Held::Cosigned(size(50));
        let told = Held::Claimed(size(50));
        assert_eq!(claim(Held::Unknown, 0, 40), Claim::From(size(40)));
        assert_eq!(claim(Held::Unknown, 0, 100), Claim::From(size(100)));
        assert_eq!(claim(Held::Unknown, 0, 101), Claim::Ahead);
        assert_eq!(claim(cosigned, 50, 101), Claim::Ahead);
        assert_eq!(claim(cosigned, 50, 60), Claim::From(size(60)));
        assert_eq!(claim(cosigned, 50, 50), Claim::Contradiction);
        assert_eq!(claim(cosigned, 50, 49), Claim::Shrunk { from: size(50) });
        assert_eq!(claim(told, 50, 49), Claim::From(size(49)));
        assert_eq!(claim(told, 50, 50), Claim::Contradiction);
    }
}
