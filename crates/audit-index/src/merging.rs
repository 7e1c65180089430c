//! Which parts are made one. Pure.
//!
//! Sixteen small parts become a middling one, and middling ones become large ones, so that an event is
//! written about three times, and a search looks into 40 small and middling parts at most, and large ones.

use std::ops::Range;

/// Parts of so many events are middling, or large.
const MIDDLING: u64 = 4_096;
const LARGE: u64 = 65_536;
/// Events of a part at most: what a merge has in memory follows from it.
pub(crate) const PART_MAX: u64 = 131_072;
/// So many neighbours of a kind are made one.
const NEIGHBOURS: usize = 16;

fn kind(events: u64) -> u8 {
    u8::from(events >= MIDDLING) + u8::from(events >= LARGE)
}

/// The neighbours to make one, by their sizes in the order of the log.
pub(crate) fn due(sizes: &[u64]) -> Option<Range<usize>> {
    let mut start = 0;
    while start < sizes.len() {
        let of_kind = kind(sizes[start]);
        let length = sizes[start..].iter().take_while(|size| kind(**size) == of_kind).count();
        let end = start + length;
        // Small ones that larger ones follow get no more neighbours.
        let is_closed = end < sizes.len() && kind(sizes[end]) > of_kind;
        let wanted = if is_closed { 2 } else { NEIGHBOURS };
        if of_kind < 2 && length >= wanted {
            let mut events = 0_u64;
            let fits = sizes[start..end].iter().take_while(|size| {
                events += **size;
                events <= PART_MAX
            });
            let fits = fits.count().min(NEIGHBOURS);
            if fits >= 2 {
                return Some(start..start + fits);
            }
        }
        start = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes events in steps and merges what is due. Parts, events written, most parts at once.
    fn run(steps: impl Iterator<Item = u64>) -> (Vec<u64>, u64, usize) {
        let (mut sizes, mut written, mut most) = (Vec::new(), 0, 0);
        for step in steps {
            sizes.push(step);
            written += step;
            while let Some(due) = due(&sizes) {
                let events = sizes[due.clone()].iter().sum();
                assert!(due.len() >= 2 && events <= PART_MAX);
                sizes.splice(due, [events]);
                written += events;
            }
            let small = sizes.iter().filter(|size| **size < LARGE).count();
            most = most.max(small);
        }
        (sizes, written, most)
    }

    #[test]
    fn few_parts_are_left_and_little_is_written_again() {
        for steps in [vec![512; 20_000], vec![8_192; 2_000], [700, 8_192, 1, 4_095].repeat(500)] {
            let events: u64 = steps.iter().sum();
            let (sizes, written, most) = run(steps.into_iter());
            assert_eq!(sizes.iter().sum::<u64>(), events);
            assert!(most <= 2 * NEIGHBOURS + 2, "{most}");
            assert!(written <= 4 * events, "{written} of {events}");
            let large = u64::try_from(sizes.iter().filter(|size| **size >= LARGE).count()).unwrap();
            assert!(large <= events / LARGE);
        }
    }

    #[test]
    fn nothing_is_due_below_the_number() {
        assert_eq!(due(&[]), None);
        assert_eq!(due(&[512; 15]), None);
        assert_eq!(due(&[512; 16]), Some(0..16));
        assert_eq!(due(&[100_000, 100_000, 8_192]), None);
        assert_eq!(due(&[[100_000].as_slice(), &[8_192; 17]].concat()), Some(1..17));
        assert_eq!(due(&[512, 8_192]), None);
        assert_eq!(due(&[512, 600, 8_192]), Some(0..2));
    }
}
