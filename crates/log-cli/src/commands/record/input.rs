//! Events from stdin: one JSON object, or one a line.

use std::io::{self, BufRead, Read as _};

use audit_event::json::EVENT_BYTES_MAX;
use tokio::sync::mpsc;

use crate::error::CliError;
use crate::events::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, Draft, DraftError, random_id};
use crate::lines::{Lines, ReadLine};

/// Lines read ahead of what is sent.
const READ_AHEAD_LINES: usize = 1_000;

/// Events that are sent together, and the lines that are none.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) drafts: Vec<Draft>,
    pub(super) unusable: Vec<(u64, DraftError)>,
}

/// Lines as they come.
pub(super) struct Input {
    lines: mpsc::Receiver<Result<ReadLine, CliError>>,
}

impl Input {
    pub(super) fn stdin() -> Self {
        let (sender, lines) = mpsc::channel(READ_AHEAD_LINES);
        // Stdin may block for long while events are on their way.
        std::thread::spawn(move || {
            let read = read(io::stdin().lock(), &mut |line| sender.blocking_send(Ok(line)).is_ok());
            if let Err(source) = read {
                let path = "stdin".into();
                // If this fails, nobody waits any more.
                let _unheard = sender.blocking_send(Err(CliError::Read { path, source }));
            }
        });
        Self { lines }
    }

    /// What has come, at least one line, up to what one call takes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>, CliError> {
        let Some(first) = self.lines.recv().await else { return Ok(None) };
        let (mut batch, mut bytes) = (Batch::default(), 0);
        let mut next = Some(first);
        while let Some(line) = next {
            let ReadLine { number, text } = line?;
            bytes += text.as_ref().map_or(0, Vec::len);
            let id = random_id()?;
            let draft = text.ok_or(DraftError::TooLarge).and_then(|it| Draft::new(&it, || id));
            match draft {
                Ok(draft) => batch.drafts.push(draft),
                Err(error) => batch.unusable.push((number, error)),
            }
            let is_full = batch.drafts.len() >= BATCH_EVENTS_MAX || bytes >= BATCH_BYTES_MAX;
            next = if is_full { None } else { self.lines.try_recv().ok() };
        }
        Ok(Some(batch))
    }
}

/// Gives every line. Where the first is not a whole object, all of it is one.
fn read(input: impl BufRead, give: &mut dyn FnMut(ReadLine) -> bool) -> io::Result<()> {
    let mut lines = Lines::of(input);
    let Some(first) = lines.next()? else { return Ok(()) };
    let is_whole = first.text.as_deref().is_none_or(|text| !is_begun(text));
    if !is_whole {
        let ReadLine { number, text } = first;
        let mut text = text.unwrap_or_default();
        let room = EVENT_BYTES_MAX.saturating_sub(text.len()).saturating_add(1);
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        text.push(b'\n');
        lines.into_inner().take(room).read_to_end(&mut text)?;
        let _heard = give(ReadLine { number, text: Some(text) });
        return Ok(());
    }
    let mut next = Some(first);
    while let Some(line) = next {
        if !give(line) {
            return Ok(());
        }
        next = lines.next()?;
    }
    Ok(())
}

/// Whether a line is the beginning of an object that goes on.
fn is_begun(text: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<serde_json::Value>();
    matches!(values.next(), Some(Err(error)) if error.is_eof())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(input: &str) -> Vec<(u64, String)> {
        let mut given = Vec::new();
        let mut give = |line: ReadLine| {
            given.push((line.number, String::from_utf8(line.text.unwrap()).unwrap()));
            true
        };
        read(input.as_bytes(), &mut give).unwrap();
        given
    }

    #[test]
    fn input_is_one_object_or_one_a_line() {
        assert_eq!(given("{\n \"a\": 1\n}\n"), [(1, "{\n \"a\": 1\n}\n".to_owned())]);
        let lines = [(1, "{}".to_owned()), (3, "nonsense".to_owned()), (4, "{\"a\":".to_owned())];
        assert_eq!(given("{}\r\n\nnonsense\n{\"a\":"), lines);
        assert_eq!(given(""), []);
    }
}
