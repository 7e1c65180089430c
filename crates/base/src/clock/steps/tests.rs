use super::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
/// What the wall clock shows at the start of a process.
const START: i64 = 1_700_000_000_000;
/// How long the machine has run by then.
const UPTIME: i64 = 5 * DAY;

/// A moment `boot` after the start, with the wall clock `step` beside what it would show by then.
fn at(boot: i64, step: i64) -> Moment {
    Moment { wall_ms: START + boot + step, boot_ms: UPTIME + boot }
}

fn started() -> Steps {
    Steps::new(DAY, at(0, 0))
}

/// A process whose store holds a time `after` the wall clock's at start; negative is before it.
fn opened(after: i64) -> Steps {
    let mut steps = started();
    steps.open(at(0, 0), START + after, START + after);
    steps
}

/// The log's time less what an untouched clock would show, the offset, and the standing.
fn read(steps: &mut Steps, boot: i64, step: i64) -> (i64, i64, Standing) {
    let reading = steps.read(at(boot, step));
    (reading.time_ms - (START + boot), reading.offset_ms, reading.standing)
}

#[test]
fn a_step_is_believed_up_to_a_day_and_no_further() {
    for step in [0, 1, -1, HOUR, -HOUR, DAY, -DAY] {
        assert_eq!(read(&mut started(), 0, step), (step, 0, Standing::Agrees), "{step}");
    }
    for step in [DAY + 1, -DAY - 1, YEAR, -YEAR, i64::MAX / 2, -START] {
        assert_eq!(read(&mut started(), 0, step), (0, step, Standing::Stepped), "{step}");
    }
}

#[test]
fn after_a_step_the_time_goes_on_from_where_the_clock_was() {
    let mut steps = started();
    read(&mut steps, HOUR, 2 * HOUR);
    for hours in 2..100 {
        let expected = (2 * HOUR, YEAR - 2 * HOUR, Standing::Stepped);
        assert_eq!(read(&mut steps, hours * HOUR, YEAR), expected);
    }
}

#[test]
fn a_clock_that_comes_back_is_believed_again() {
    let mut steps = started();
    for step in [YEAR, -YEAR] {
        assert_eq!(read(&mut steps, HOUR, step).2, Standing::Stepped);
        assert_eq!(read(&mut steps, 2 * HOUR, step / YEAR), (step / YEAR, 0, Standing::Agrees));
    }
    // To near where it was, a month later, as the boot-time clock counts on.
    read(&mut steps, 3 * HOUR, YEAR);
    assert_eq!(read(&mut steps, 30 * DAY, 3 * HOUR), (3 * HOUR, 0, Standing::Agrees));
}

#[test]
fn small_steps_add_up_within_a_day_and_not_beyond() {
    let mut steps = started();
    assert_eq!(read(&mut steps, HOUR, 20 * HOUR).2, Standing::Agrees);
    let expected = (20 * HOUR, 20 * HOUR, Standing::Stepped);
    assert_eq!(read(&mut steps, 2 * HOUR, 40 * HOUR), expected);
    // An hour a day is a clock that is set right again and again.
    let mut steps = started();
    for day in 0..100 {
        let expected = (day * HOUR, 0, Standing::Agrees);
        assert_eq!(read(&mut steps, day * DAY, day * HOUR), expected);
    }
}

#[test]
fn what_is_accepted_is_believed_from_then_on() {
    for step in [YEAR, -YEAR] {
        let mut steps = started();
        read(&mut steps, 0, step);
        steps.accept(at(0, step));
        assert_eq!(read(&mut steps, DAY, step + HOUR), (step + HOUR, 0, Standing::Agrees));
        // And the old time is a step now.
        assert_eq!(read(&mut steps, DAY, 0).2, Standing::Stepped);
    }
}

#[test]
fn time_since_the_last_signature_is_no_step() {
    for idle in [0, HOUR, DAY, DAY + 1, YEAR] {
        let mut steps = opened(-idle);
        let reading = steps.read(at(HOUR, 0));
        assert_eq!((reading.offset_ms, reading.standing), (0, Standing::Agrees));
        assert_eq!((reading.unconfirmed, reading.is_in_question()), (idle > DAY, idle > DAY));
    }
}

#[test]
fn a_start_up_to_a_day_behind_is_believed() {
    for after in [1, HOUR, DAY] {
        assert_eq!(read(&mut opened(after), 0, 0), (0, 0, Standing::Agrees));
    }
}

#[test]
fn a_start_further_behind_waits_for_the_time_that_was_signed() {
    let until_ms = START + YEAR;
    let mut steps = opened(YEAR);
    let behind = Standing::Behind { until_ms };
    assert_eq!(read(&mut steps, 0, 0), (0, -YEAR, behind));
    assert_eq!(read(&mut steps, HOUR, 0), (0, HOUR - YEAR, behind));
    assert!(steps.read(at(HOUR, 0)).is_in_question());
    assert_eq!(read(&mut steps, YEAR - DAY - 1, 0).2, behind);
    assert_eq!(read(&mut steps, YEAR - DAY, 0), (0, 0, Standing::Agrees));
    // From then on a step is one.
    assert_eq!(read(&mut steps, YEAR, -YEAR).2, Standing::Stepped);
}

#[test]
fn a_start_behind_ends_when_the_clock_is_set_right() {
    // To about the last time, or, as nobody wrote for a while, to long after it.
    for (step, unconfirmed) in [(YEAR, false), (YEAR + 90 * DAY, true)] {
        let mut steps = opened(YEAR);
        read(&mut steps, 0, 0);
        assert_eq!(read(&mut steps, HOUR, step), (step, 0, Standing::Agrees));
        assert_eq!(steps.read(at(HOUR, step)).unconfirmed, unconfirmed);
    }
}

#[test]
fn a_start_behind_can_be_accepted_and_stays_so() {
    let mut steps = opened(YEAR);
    read(&mut steps, 0, 0);
    steps.accept(at(0, 0));
    assert_eq!(read(&mut steps, HOUR, 0), (0, 0, Standing::Agrees));
    assert_eq!(steps.newest_ms(), START + YEAR, "signed times stay behind the store's");
    // The next process knows from when on the clock was right.
    let mut steps = started();
    steps.open(at(DAY, 0), START + YEAR, START);
    assert_eq!(read(&mut steps, DAY, 0), (0, 0, Standing::Agrees));
    let mut steps = started();
    steps.open(at(0, -DAY - 1), START + YEAR, START);
    let behind = Standing::Behind { until_ms: START + YEAR };
    assert_eq!(read(&mut steps, 0, -DAY - 1).2, behind);
}

#[test]
fn witnesses_contradict_a_start_ahead_until_somebody_confirms_it() {
    let mut steps = opened(-YEAR);
    read(&mut steps, 0, 0);
    steps.contradict(at(HOUR, 0));
    let expected = (-YEAR, YEAR, Standing::Contradicted);
    assert_eq!(read(&mut steps, HOUR, 0), expected);
    assert!(steps.read(at(HOUR, 0)).is_in_question());
    // A clock set right is about a day from the last time signed, or the witnesses agree with it.
    assert_eq!(read(&mut steps, 2 * HOUR, HOUR - YEAR), (HOUR - YEAR, 0, Standing::Agrees));
    assert_eq!(read(&mut steps, 3 * HOUR, 0).2, Standing::Stepped);

    let mut steps = opened(-YEAR);
    steps.contradict(at(0, 0));
    assert!(steps.agrees_with(at(HOUR, -90 * DAY), START - 91 * DAY - UPTIME));
    assert!(!steps.agrees_with(at(HOUR, -90 * DAY), START - 91 * DAY - 1 - UPTIME));
    steps.accept(at(HOUR, -90 * DAY));
    assert_eq!(read(&mut steps, HOUR, -90 * DAY), (-90 * DAY, 0, Standing::Agrees));
}

#[test]
fn a_clock_that_is_confirmed_or_was_never_in_doubt_is_not_contradicted() {
    let mut confirmed = opened(-YEAR);
    confirmed.accept(at(0, 0));
    for mut steps in [confirmed, opened(-DAY), opened(DAY), started()] {
        steps.contradict(at(HOUR, 0));
        assert_eq!(read(&mut steps, HOUR, 0), (0, 0, Standing::Agrees));
    }
}

#[test]
fn the_newest_time_is_never_behind_what_was_given_out() {
    let mut steps = opened(-YEAR);
    assert_eq!(steps.newest_ms(), START - YEAR);
    let mut newest = steps.newest_ms();
    for (boot, step) in [(0, 0), (1, HOUR), (2, YEAR), (3, -YEAR), (4, -HOUR), (5, 0)] {
        let reading = steps.read(at(boot, step));
        newest = newest.max(reading.time_ms);
        assert_eq!(steps.newest_ms(), newest);
    }
}

#[test]
fn no_reading_overflows() {
    let extremes = [i64::MIN, -1, 0, 1, i64::MAX];
    for wall_ms in extremes {
        for boot_ms in extremes {
            let now = Moment { wall_ms, boot_ms };
            for stored in extremes {
                let mut steps = Steps::new(DAY, now);
                steps.open(now, stored, stored);
                steps.read(at(0, 0));
                steps.contradict(now);
                steps.read(now);
                steps.accept(now);
                steps.read(at(0, 0));
            }
        }
    }
}

#[test]
fn trouble_names_the_clock_the_times_and_the_command() {
    let said = |steps: &mut Steps, step| {
        steps.read(at(0, step)).trouble("cairn-server clock accept").unwrap_or_default()
    };
    assert_eq!(said(&mut started(), DAY), "");
    insta::assert_snapshot!(
        said(&mut started(), YEAR),
        @"the clock stepped to 2024-11-13T22:13:20Z and is not believed: signatures go on from 2023-11-14T22:13:20Z; set it right, or accept it with `cairn-server clock accept` if it is"
    );
    insta::assert_snapshot!(
        said(&mut opened(YEAR), 0),
        @"the clock shows 2023-11-14T22:13:20Z, before the last time signed: signatures state that time until 2024-11-13T22:13:20Z; set it right, or accept it with `cairn-server clock accept` if it is"
    );
    let mut contradicted = opened(-YEAR);
    contradicted.contradict(at(0, 0));
    insta::assert_snapshot!(
        said(&mut contradicted, 0),
        @"the clock shows 2023-11-14T22:13:20Z, which the witnesses contradict: signatures go on from 2022-11-14T22:13:20Z; set it right, or accept it with `cairn-server clock accept` if it is"
    );
}
