//! Whether the wall clock is believed. Pure: what two clocks show goes in, the log's time comes out.
//!
//! ```text
//!                      agrees with the boot-time clock
//!                  ┌──────────────────────────────────────┐
//!    start ──► BELIEVED ──a step beyond step_max──► NOT BELIEVED: the boot-time clock goes on
//!      │           ▲                                      │
//!      │           └── comes back, is accepted, or a quorum of witnesses agrees with it
//!      │           │                                      │
//!      └────────► BEHIND what was signed: that time is stated again
//! ```
//!
//! Nobody sets the boot-time clock (`CLOCK_BOOTTIME`), but it does not know the date. So the wall clock gives
//! the date as long as it moves as the boot-time clock does: the *lead*, the wall clock less the boot-time
//! clock, stays within `step_max` of the lead at the *anchor*. The anchor is renewed once it is older than
//! `step_max`: a clock that is corrected a little every day does not end up a day away from its anchor.

use super::rfc3339;

/// One moment as both clocks show it, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the Unix epoch.
    pub wall_ms: i64,
    /// Since the machine started.
    pub boot_ms: i64,
}

impl Moment {
    /// The wall clock less the boot-time clock.
    pub fn lead_ms(self) -> i64 {
        self.wall_ms.saturating_sub(self.boot_ms)
    }
}

/// How the wall clock stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is believed.
    Agrees,
    /// It stepped, and the log's time goes on by the boot-time clock.
    Stepped,
    /// It was ahead of everything signed at start, and a quorum of witnesses contradicts it. The log's time
    /// goes on from the last time signed, by the boot-time clock.
    Contradicted,
    /// It was behind what was signed at start. What is signed states the last time again, until the wall
    /// clock shows a later one.
    Behind { until_ms: i64 },
}

/// The log's time at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the wall clock shows, in milliseconds since the Unix epoch.
    pub wall_ms: i64,
    /// What new signatures state, unless the last one stated a later time.
    pub time_ms: i64,
    /// The wall clock less the log's time; 0 while the wall clock is believed.
    pub offset_ms: i64,
    pub standing: Standing,
    /// The wall clock is believed though it was far ahead of everything signed at start, and nobody has
    /// confirmed it yet.
    pub unconfirmed: bool,
}

impl Reading {
    /// Whether witnesses have something to say: the clock is not believed, or nobody has confirmed it.
    pub fn is_in_question(&self) -> bool {
        self.unconfirmed || self.standing != Standing::Agrees
    }

    /// What is wrong with the clock and what to do, for an operator; `None` while it is believed. `accept` is
    /// the command that accepts it.
    pub fn trouble(&self, accept: &str) -> Option<String> {
        let wall = text(self.wall_ms);
        let found = match self.standing {
            Standing::Agrees => return None,
            Standing::Stepped => {
                let time = text(self.time_ms);
                format!("stepped to {wall} and is not believed: signatures go on from {time}")
            }
            Standing::Contradicted => {
                let time = text(self.time_ms);
                format!(
                    "shows {wall}, which the witnesses contradict: signatures go on from {time}"
                )
            }
            Standing::Behind { until_ms } => {
                let until = text(until_ms);
                format!(
                    "shows {wall}, before the last time signed: signatures state that time until {until}"
                )
            }
        };
        Some(format!("the clock {found}; set it right, or accept it with `{accept}` if it is"))
    }
}

/// A time as an operator reads it.
pub(super) fn text(ms: i64) -> String {
    rfc3339::format(u64::try_from(ms).unwrap_or(0))
}

/// What is believed of one process's wall clock.
#[derive(Debug)]
pub struct Steps {
    step_max_ms: i64,
    belief: Belief,
    /// The latest time that was given out, or that the store holds: nothing is signed with a later one.
    newest_ms: i64,
}

#[derive(Clone, Copy, Debug)]
enum Belief {
    /// In the wall clock, while its lead is near that of the anchor.
    Wall {
        anchor: Anchor,
        /// The lead when the wall clock last agreed: from there the boot-time clock goes on.
        lead_ms: i64,
        start: Start,
    },
    /// In the last time that was signed, until the wall clock is no further behind `floor_ms` than a step may
    /// be.
    Last { floor_ms: i64 },
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    boot_ms: i64,
    lead_ms: i64,
}

/// What is known of the time between the last signature of an earlier process and this process's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Nothing is in doubt.
    Settled,
    /// A long time, if the wall clock is right. `lead_ms` is the lead of a clock that shows the last time
    /// signed at the start.
    Unconfirmed { lead_ms: i64 },
    /// The witnesses say that it was not that long.
    Contradicted,
}

impl Steps {
    /// Believes the wall clock as it stands.
    pub fn new(step_max_ms: i64, now: Moment) -> Self {
        let belief = Belief::in_wall(now, Start::Settled);
        Self { step_max_ms, belief, newest_ms: now.wall_ms }
    }

    /// Compares the wall clock with what was signed before this process: `newest_ms` is the latest time
    /// signed, `floor_ms` the earliest that the clock may show, which is another one only where an operator
    /// has accepted a clock behind what was signed. Nothing may have been signed in this process yet.
    pub fn open(&mut self, now: Moment, newest_ms: i64, floor_ms: i64) {
        self.newest_ms = newest_ms;
        self.belief = if now.wall_ms < floor_ms.saturating_sub(self.step_max_ms) {
            Belief::Last { floor_ms }
        } else if now.wall_ms > newest_ms.saturating_add(self.step_max_ms) {
            // Nobody may have written for a long time: that is no step.
            let lead_ms = newest_ms.saturating_sub(now.boot_ms);
            Belief::in_wall(now, Start::Unconfirmed { lead_ms })
        } else {
            Belief::in_wall(now, Start::Settled)
        };
    }

    /// The log's time now.
    pub fn read(&mut self, now: Moment) -> Reading {
        if let Belief::Last { floor_ms } = self.belief {
            if now.wall_ms < floor_ms.saturating_sub(self.step_max_ms) {
                return self.behind(now);
            }
            self.open(now, self.newest_ms, floor_ms);
        }
        let step_max_ms = self.step_max_ms;
        let Belief::Wall { anchor, lead_ms, start } = &mut self.belief else {
            return self.behind(now);
        };
        let agrees = is_near(now.lead_ms(), anchor.lead_ms, step_max_ms);
        if agrees {
            *lead_ms = now.lead_ms();
            if *start == Start::Contradicted {
                *start = Start::Settled;
            }
            if now.boot_ms.saturating_sub(anchor.boot_ms) >= step_max_ms {
                *anchor = Anchor::at(now);
            }
        }
        let time_ms = now.boot_ms.saturating_add(*lead_ms);
        let standing = match (agrees, *start) {
            (true, _) => Standing::Agrees,
            (false, Start::Contradicted) => Standing::Contradicted,
            (false, Start::Settled | Start::Unconfirmed { .. }) => Standing::Stepped,
        };
        let unconfirmed = agrees && matches!(start, Start::Unconfirmed { .. });
        self.newest_ms = self.newest_ms.max(time_ms);
        let offset_ms = now.wall_ms.saturating_sub(time_ms);
        Reading { wall_ms: now.wall_ms, time_ms, offset_ms, standing, unconfirmed }
    }

    /// The wall clock's time is what a log whose last time is earlier may state: it is no later than what was
    /// signed already, so it spreads no error.
    fn behind(&self, now: Moment) -> Reading {
        Reading {
            wall_ms: now.wall_ms,
            time_ms: now.wall_ms,
            offset_ms: now.wall_ms.saturating_sub(self.newest_ms),
            standing: Standing::Behind { until_ms: self.newest_ms },
            unconfirmed: false,
        }
    }

    /// Believes the wall clock as it stands, whatever it showed before.
    pub fn accept(&mut self, now: Moment) {
        self.belief = Belief::in_wall(now, Start::Settled);
    }

    /// Whether a clock that leads the boot-time clock by `lead_ms` shows about what the wall clock shows.
    pub fn agrees_with(&self, now: Moment, lead_ms: i64) -> bool {
        is_near(now.lead_ms(), lead_ms, self.step_max_ms)
    }

    /// The witnesses contradict a wall clock that nobody has confirmed: the time since the last signature
    /// counts for nothing. Another clock stays as it stands.
    pub fn contradict(&mut self, now: Moment) {
        if let Belief::Wall { start: Start::Unconfirmed { lead_ms }, .. } = self.belief {
            let anchor = Anchor { boot_ms: now.boot_ms, lead_ms };
            self.belief = Belief::Wall { anchor, lead_ms, start: Start::Contradicted };
        }
    }

    /// The latest time that any signature can state so far.
    pub fn newest_ms(&self) -> i64 {
        self.newest_ms
    }
}

impl Belief {
    fn in_wall(now: Moment, start: Start) -> Self {
        Self::Wall { anchor: Anchor::at(now), lead_ms: now.lead_ms(), start }
    }
}

impl Anchor {
    fn at(now: Moment) -> Self {
        Self { boot_ms: now.boot_ms, lead_ms: now.lead_ms() }
    }
}

fn is_near(one_ms: i64, other_ms: i64, within_ms: i64) -> bool {
    one_ms.saturating_sub(other_ms).saturating_abs() <= within_ms
}

#[cfg(test)]
mod tests;
