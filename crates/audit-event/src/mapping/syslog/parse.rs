//! The parts of a syslog message: RFC 5424, or what RFC 3164 describes.

use crate::mapping::draft::is_host;
use crate::time::Instant;

/// The largest priority: facility 23, severity 7.
const PRIORITY_MAX: u32 = 191;
/// Longest tag of the older form that is taken for one: letters, digits and some signs.
const TAG_MAX: usize = 48;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A message taken apart. Nil values are absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) priority: Option<u32>,
    pub(super) time: Time<'a>,
    pub(super) host: Option<&'a str>,
    pub(super) app: Option<&'a str>,
    pub(super) process: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    /// `<element>.<parameter>`, and the value.
    pub(super) data: Vec<(String, String)>,
    pub(super) text: &'a str,
    pub(super) form: Form,
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) enum Form {
    Rfc5424,
    Rfc3164,
    /// All of it is text.
    #[default]
    Neither,
}

/// The time of a message, as it stands there.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) enum Time<'a> {
    #[default]
    Nil,
    /// With date, time and zone.
    Full(&'a str),
    /// Month, day and `hh:mm:ss`, without year and zone.
    OfYear { month: usize, day: u32, clock: &'a str },
}

/// Takes any text apart as far as it has a known form.
pub(super) fn parse(text: &str) -> Message<'_> {
    let (priority, rest) = match priority(text) {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, text),
    };
    let newer = rest.strip_prefix("1 ").filter(|_| priority.is_some()).and_then(rfc5424);
    let message = newer
        .or_else(|| rfc3164(rest))
        .unwrap_or_else(|| Message { text: rest, ..Message::default() });
    Message { priority, ..message }
}

/// `<PRI>`
fn priority(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number =
        (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let priority = digits.parse().ok().filter(|priority| is_number && *priority <= PRIORITY_MAX)?;
    Some((priority, rest))
}

/// Everything behind the version.
fn rfc5424(text: &str) -> Option<Message<'_>> {
    let mut rest = text;
    let mut header = || {
        let (field, behind) = rest.split_once(' ')?;
        rest = behind;
        (!field.is_empty()).then_some(Some(field).filter(|field| *field != "-"))
    };
    let (time, host, app, process, id) = (header()?, header()?, header()?, header()?, header()?);
    let mut data = Vec::new();
    let rest = structured_data(rest, &mut data)?;
    let text = if rest.is_empty() { rest } else { rest.strip_prefix(' ')? };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let time = time.map_or(Time::Nil, Time::Full);
    Some(Message { priority: None, time, host, app, process, id, data, text, form: Form::Rfc5424 })
}

/// `-`, or elements `[id name="value" …]`. Returns what is behind.
fn structured_data<'a>(text: &'a str, data: &mut Vec<(String, String)>) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some(rest);
    }
    let mut rest = text.strip_prefix('[')?;
    loop {
        let end = rest.find([' ', ']'])?;
        let (element, behind) = rest.split_at(end);
        if element.is_empty() {
            return None;
        }
        rest = behind;
        while let Some(parameter) = rest.strip_prefix(' ') {
            let (name, value) = parameter.split_once("=\"")?;
            let is_name = !name.is_empty() && !name.contains([' ', ']', '"', '=']);
            let (value, behind) = is_name.then(|| quoted(value))??;
            data.push((format!("{element}.{name}"), value));
            rest = behind;
        }
        rest = rest.strip_prefix(']')?;
        match rest.strip_prefix('[') {
            Some(next) => rest = next,
            None => return Some(rest),
        }
    }
}

/// A value up to its closing quote. `\"`, `\\` and `\]` are escapes, another backslash is one (6.3.3).
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => {
                let escaped = letters.next_if(|(_, next)| matches!(next, '"' | '\\' | ']'));
                value.push(escaped.map_or('\\', |(_, escaped)| escaped));
            }
            _ => value.push(letter),
        }
    }
    None
}

/// `Mmm dd hh:mm:ss HOST TAG: text`, or a full time in place of the older one, as relays write it.
fn rfc3164(text: &str) -> Option<Message<'_>> {
    let (time, mut rest) = older_time(text).or_else(|| full_time(text))?;
    let host = rest.split_once(' ').filter(|(host, _)| is_host(host) || host.contains("::"));
    if let Some((_, behind)) = host {
        rest = behind;
    }
    let host = host.map(|(host, _)| host);
    let mut message = Message { time, host, text: rest, form: Form::Rfc3164, ..Message::default() };
    if let Some((tag, behind)) = rest.split_once(':').filter(|(tag, _)| is_tag(tag)) {
        let (app, process) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
            Some((app, process)) => (app, Some(process)),
            None => (tag, None),
        };
        message.app = Some(app);
        message.process = process;
        message.text = behind.strip_prefix(' ').unwrap_or(behind);
    }
    Some(message)
}

fn is_tag(tag: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./[]".contains(&byte);
    (1..=TAG_MAX).contains(&tag.len()) && tag.bytes().all(fits) && !tag.starts_with('[')
}

/// A day below 10 has a blank before it.
fn older_time(text: &str) -> Option<(Time<'_>, &str)> {
    let month = MONTHS.iter().position(|month| text.strip_prefix(month).is_some())?;
    let day = text.get(3..6)?.strip_prefix(' ')?.trim_start().parse().ok()?;
    let clock = text.get(6..15)?.strip_prefix(' ')?;
    let rest = text.get(15..)?;
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let form = clock.bytes().map(|byte| if is_digit(byte) { b'0' } else { byte });
    let is_clock = form.eq(b"00:00:00".iter().copied());
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(' ')? };
    is_clock.then_some((Time::OfYear { month: month + 1, day, clock }, rest))
}

fn full_time(text: &str) -> Option<(Time<'_>, &str)> {
    let (time, rest) = text.split_once(' ')?;
    Instant::parse(time).ok().map(|_| (Time::Full(time), rest))
}
