//! A clock that gives the wall clock's time only while it is believed: the log's time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::accepted::Accepted;
use super::steps::{Moment, Reading, Standing, Steps, text};
use super::{Clock, Sleep, boot_ms};
use crate::durable::FileError;

/// How often the clocks are compared where nobody asks for the time.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// What others say of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// It is about right.
    Agree,
    /// It is more than a step away from theirs.
    Contradict,
    /// Too few of them say either.
    Undecided,
}

/// The clock of a process. As a [`Clock`] its wall time is the log's time; the other readings are those of
/// the clock beneath. See [`Steps`] for what is believed when.
#[derive(Debug)]
pub struct CheckedClock {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// The file that remembers what was accepted.
    record: PathBuf,
}

#[derive(Debug)]
struct State {
    steps: Steps,
    /// What was last logged.
    said: Standing,
    accepted: Option<Accepted>,
}

impl CheckedClock {
    /// Believes the wall clock of `clock` as it stands, until it moves by more than `step_max` against the
    /// boot-time clock.
    pub fn new(clock: Arc<dyn Clock>, step_max: Duration, record: PathBuf) -> Self {
        let steps = Steps::new(millis(step_max), moment(&*clock));
        let state = State { steps, said: Standing::Agrees, accepted: None };
        Self { clock, state: Mutex::new(state), record }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares the wall clock with the latest time that an earlier process signed. Once a process, before
    /// anything is signed.
    pub fn open(&self, newest_ms: u64) {
        let newest_ms = i64::try_from(newest_ms).unwrap_or(i64::MAX);
        let accepted = self.record.exists().then(|| Accepted::read(&self.record)).flatten();
        let floor_ms = accepted.map_or(newest_ms, |accepted| accepted.floor_ms(newest_ms));
        self.state().steps.open(moment(&*self.clock), newest_ms, floor_ms);
        let reading = self.reading();
        if reading.unconfirmed {
            let (clock, last) = (text(reading.wall_ms), text(newest_ms));
            tracing::info!(clock, last, "nothing was signed for long, if the clock is right");
        }
    }

    /// The log's time, and how the wall clock stands. A change of that is logged.
    pub fn reading(&self) -> Reading {
        let mut state = self.state();
        let reading = state.steps.read(moment(&*self.clock));
        if std::mem::discriminant(&state.said) != std::mem::discriminant(&reading.standing) {
            state.said = reading.standing;
            tell(&reading);
        }
        reading
    }

    /// The wall clock less the log's time, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub fn offset_seconds(&self) -> f64 {
        self.reading().offset_ms as f64 / 1_000.0
    }

    /// By how much a clock that shows `seconds` since the Unix epoch leads the boot-time clock, in
    /// milliseconds.
    pub fn lead_ms(&self, seconds: u64) -> i64 {
        let shows_ms = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000);
        shows_ms.saturating_sub(boot_ms(self))
    }

    /// Believes the wall clock as it stands. Gives how it stood. What follows from it is lost at the end
    /// of the process unless it is [remembered](Self::remember).
    pub fn accept(&self) -> Reading {
        let before = self.reading();
        let mut state = self.state();
        let now = moment(&*self.clock);
        state.steps.accept(now);
        let newest_ms = state.steps.newest_ms();
        state.accepted = Some(Accepted { wall_ms: now.wall_ms, newest_ms });
        state.said = Standing::Agrees;
        before
    }

    /// Writes down what was accepted last, so that the next start believes it too. Blocks on the disk.
    pub fn remember(&self) -> Result<(), FileError> {
        let accepted = self.state().accepted;
        accepted.map_or(Ok(()), |accepted| accepted.write(&self.record))
    }

    /// An operator's `clock accept`: what to answer. Blocks on the disk.
    ///
    /// # Errors
    /// The clock is believed, but the next start may not know it.
    pub fn accept_for_operator(&self) -> Result<String, String> {
        let before = self.accept();
        let wall = text(before.wall_ms);
        if before.standing == Standing::Agrees {
            return Ok(format!(
                "there is nothing to accept: the clock shows {wall} and is believed"
            ));
        }
        tracing::warn!(clock = wall, "an operator accepted the clock");
        self.remember().map_err(|error| {
            format!(
                "the clock is accepted until a restart, when it must be accepted again: {error}"
            )
        })?;
        let newest_ms = self.state().steps.newest_ms();
        let until = text(newest_ms);
        if newest_ms > before.wall_ms {
            return Ok(format!(
                "the clock is accepted: it shows {wall}. Signatures state no earlier time than the last \
                 one, which may be as late as {until}"
            ));
        }
        Ok(format!("the clock is accepted: it shows {wall}"))
    }

    /// Asks others about the wall clock, if it is in question. `opinion` gets a test for clocks that show
    /// about the same, by what they lead the boot-time clock by. True if the clock was accepted: that is for
    /// the caller to [remember](Self::remember).
    pub fn consult(&self, opinion: impl FnOnce(&dyn Fn(i64) -> bool) -> Opinion) -> bool {
        let reading = self.reading();
        if !reading.is_in_question() {
            return false;
        }
        let found = {
            let mut state = self.state();
            let now = moment(&*self.clock);
            let found = opinion(&|lead_ms| state.steps.agrees_with(now, lead_ms));
            if found == Opinion::Contradict {
                state.steps.contradict(now);
            }
            found
        };
        match found {
            Opinion::Agree => {
                self.accept();
                tracing::warn!(clock = text(reading.wall_ms), "the witnesses agree with the clock");
                true
            }
            Opinion::Contradict | Opinion::Undecided => {
                self.reading();
                false
            }
        }
    }

    /// Compares the clocks for ever, so that a step is noticed, and logged, when it happens.
    pub async fn watch(self: Arc<Self>) {
        loop {
            self.reading();
            self.clock.sleep(WATCH_INTERVAL).await;
        }
    }
}

fn tell(reading: &Reading) {
    let (clock, time) = (text(reading.wall_ms), text(reading.time_ms));
    match reading.standing {
        Standing::Agrees => tracing::warn!(clock, "the clock is believed again"),
        Standing::Stepped => tracing::error!(
            clock,
            time,
            "the clock stepped and is not believed: set it right, or accept it with `clock accept`"
        ),
        Standing::Contradicted => tracing::error!(
            clock,
            time,
            "the witnesses contradict the clock: set it right, or accept it with `clock accept`"
        ),
        Standing::Behind { until_ms } => tracing::error!(
            clock,
            until = text(until_ms),
            "the clock is behind the last time signed: set it right, or accept it with `clock accept`"
        ),
    }
}

impl Clock for CheckedClock {
    /// The log's time.
    fn unix_ms(&self) -> u64 {
        u64::try_from(self.reading().time_ms).unwrap_or(0)
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn boot_time(&self) -> Duration {
        self.clock.boot_time()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.clock.sleep(duration)
    }
}

fn moment(clock: &dyn Clock) -> Moment {
    let wall_ms = i64::try_from(clock.unix_ms()).unwrap_or(i64::MAX);
    Moment { wall_ms, boot_ms: boot_ms(clock) }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::clock::ManualClock;

    const START: u64 = 1_700_000_000_000;
    const DAY: Duration = Duration::from_hours(24);
    const DAY_MS: u64 = 24 * 3_600_000;

    struct Rig {
        folder: TempDir,
        manual: Arc<ManualClock>,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { folder, manual: Arc::new(ManualClock::new(START)) }
        }

        /// A process over the store of earlier ones.
        fn open(&self, newest_ms: u64) -> CheckedClock {
            let clock = Arc::clone(&self.manual) as Arc<dyn Clock>;
            let checked = CheckedClock::new(clock, DAY, self.folder.path().join("clock-accepted"));
            checked.open(newest_ms);
            checked
        }
    }

    #[test]
    fn a_step_changes_the_offset_and_not_the_time() {
        let rig = Rig::new();
        let clock = rig.open(START);
        rig.manual.set_unix_ms(START + 2 * DAY_MS);
        rig.manual.advance(Duration::from_secs(1));
        assert_eq!(clock.unix_ms(), START + 1_000);
        assert!((clock.offset_seconds() - 172_800.0).abs() < 0.001);
        rig.manual.set_unix_ms(START + 2_000);
        assert_eq!(clock.unix_ms(), START + 2_000);
        assert!(clock.offset_seconds().abs() < 0.001);
    }

    #[test]
    fn sleep_is_no_step() {
        let rig = Rig::new();
        let clock = rig.open(START);
        rig.manual.suspend(90 * DAY);
        assert_eq!(clock.unix_ms(), START + 90 * DAY_MS);
        assert_eq!(clock.reading().standing, Standing::Agrees);
    }

    #[test]
    fn an_accepted_clock_stays_accepted_over_restarts() {
        let rig = Rig::new();
        let clock = rig.open(START + 400 * DAY_MS);
        assert_eq!(clock.reading().standing, Standing::Behind { until_ms: 1_734_560_000_000 });
        insta::assert_snapshot!(
            clock.accept_for_operator().unwrap(),
            @"the clock is accepted: it shows 2023-11-14T22:13:20Z. Signatures state no earlier time than the last one, which may be as late as 2024-12-18T22:13:20Z"
        );
        insta::assert_snapshot!(
            clock.accept_for_operator().unwrap(),
            @"there is nothing to accept: the clock shows 2023-11-14T22:13:20Z and is believed"
        );
        rig.manual.advance(DAY);
        let clock = rig.open(START + 400 * DAY_MS);
        assert_eq!(clock.reading().standing, Standing::Agrees);
        // One that shows a time before it was accepted is wrong all the same, and so is one behind a
        // time that was signed later.
        rig.manual.set_unix_ms(START - 2 * DAY_MS);
        assert_ne!(rig.open(START + 400 * DAY_MS).reading().standing, Standing::Agrees);
        rig.manual.set_unix_ms(START);
        assert_ne!(rig.open(START + 401 * DAY_MS).reading().standing, Standing::Agrees);
    }

    #[test]
    fn a_step_that_is_accepted_is_answered_so() {
        let rig = Rig::new();
        let clock = rig.open(START);
        rig.manual.set_unix_ms(START + 366 * DAY_MS);
        clock.reading();
        insta::assert_snapshot!(
            clock.accept_for_operator().unwrap(),
            @"the clock is accepted: it shows 2024-11-14T22:13:20Z"
        );
        assert_eq!(clock.unix_ms(), START + 366 * DAY_MS);
    }

    #[test]
    fn what_cannot_be_remembered_is_accepted_and_said() {
        let rig = Rig::new();
        let manual = Arc::clone(&rig.manual) as Arc<dyn Clock>;
        let clock = CheckedClock::new(manual, DAY, rig.folder.path().join("none/clock-accepted"));
        rig.manual.set_unix_ms(START + 2 * DAY_MS);
        let error = clock.accept_for_operator().unwrap_err();
        assert!(error.starts_with("the clock is accepted until a restart"), "{error}");
        assert_eq!(clock.reading().standing, Standing::Agrees);
    }

    #[test]
    fn others_are_asked_only_about_a_clock_in_question() {
        let rig = Rig::new();
        let clock = rig.open(START);
        assert!(!clock.consult(|_| unreachable!("the clock is believed")));
        rig.manual.set_unix_ms(START + 2 * DAY_MS);
        assert!(!clock.consult(|_| Opinion::Undecided));
        assert!(!clock.consult(|_| Opinion::Contradict));
        assert_eq!(clock.reading().standing, Standing::Stepped);
        let lead_ms = clock.lead_ms((START + DAY_MS) / 1_000);
        let opinion = |agrees: &dyn Fn(i64) -> bool| {
            assert!(agrees(lead_ms) && !agrees(lead_ms - 1));
            Opinion::Agree
        };
        assert!(clock.consult(opinion));
        assert_eq!(clock.reading().standing, Standing::Agrees);
    }

    #[test]
    fn others_confirm_or_contradict_a_start_ahead_of_the_store() {
        let rig = Rig::new();
        let clock = rig.open(START - 90 * DAY_MS);
        assert!(clock.reading().unconfirmed);
        assert!(!clock.consult(|_| Opinion::Contradict));
        assert_eq!(clock.reading().standing, Standing::Contradicted);
        assert_eq!(clock.unix_ms(), START - 90 * DAY_MS);
        let clock = rig.open(START - 90 * DAY_MS);
        assert!(clock.consult(|_| Opinion::Agree));
        assert!(!clock.reading().is_in_question());
        assert!(!clock.consult(|_| unreachable!("the clock is confirmed")));
    }
}
