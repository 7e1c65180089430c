//! How large an answer may be: every answer fits a client with gRPC's defaults.

use prost::Message;
use serve::refusal::Refusal;

use crate::refusal;

/// Bytes of an answer, at most: what gRPC clients of every language take by default.
pub(super) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a page's rows, at most. What is left is for the page token and the framing.
const PAGE_BYTES_MAX: usize = ANSWER_BYTES_MAX - 4 * 1024;
/// Bytes that a row costs beside its message, at most: its tag and its length.
const ROW_FRAMING_BYTES: usize = 1 + 5;

/// As many of the rows as fit one page, and whether there are more. A page ends at `rows_max` or at
/// its limit of bytes, whichever comes first, and has one row at least. Rows beyond are not
/// converted.
pub(super) fn page<T, M: Message>(
    rows: &[T],
    rows_max: usize,
    message: impl Fn(&T) -> M,
) -> (Vec<M>, bool) {
    let mut page = Vec::new();
    let mut bytes = 0;
    for row in rows.iter().take(rows_max) {
        let message = message(row);
        bytes += message.encoded_len() + ROW_FRAMING_BYTES;
        if bytes > PAGE_BYTES_MAX && !page.is_empty() {
            break;
        }
        page.push(message);
    }
    let more = page.len() < rows.len();
    (page, more)
}

/// Whether an answer is not too large.
pub(super) fn fits(answer: &impl Message) -> bool {
    answer.encoded_len() <= ANSWER_BYTES_MAX
}

/// Gives the answer if it is not too large. If it is, the refusal names the `field` of the request
/// that asks for too much.
pub(super) fn fitting<M: Message>(answer: M, field: &'static str) -> Result<M, Refusal> {
    if fits(&answer) {
        return Ok(answer);
    }
    let expected = format!("fewer: the answer would exceed {ANSWER_BYTES_MAX} bytes");
    Err(refusal::bad_range(field, &expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use log_proto::log_v1 as pb;

    fn row(len: usize) -> pb::GetCheckpointResponse {
        pb::GetCheckpointResponse { checkpoint: vec![7; len].into(), ..Default::default() }
    }

    fn of(lens: &[usize], rows_max: usize) -> (usize, bool) {
        let (checkpoints, more) = page(lens, rows_max, |len| row(*len));
        let rows = checkpoints.len();
        let next_page_token = "7".repeat(64);
        let answer = pb::ListCheckpointsResponse { checkpoints, next_page_token };
        assert!(rows == 1 || fits(&answer), "{} bytes", answer.encoded_len());
        (rows, more)
    }

    #[test]
    fn pages_end_at_rows_or_at_bytes() {
        assert_eq!(of(&[], 3), (0, false));
        assert_eq!(of(&[1; 3], 3), (3, false));
        assert_eq!(of(&[1; 4], 3), (3, true));
        let quarter = PAGE_BYTES_MAX / 4;
        assert_eq!(of(&[quarter; 4], 1_000), (3, true), "framing counts");
        assert_eq!(of(&[quarter - 16; 4], 1_000), (4, false));
        assert_eq!(of(&[5_000; 1_001], 1_000), (836, true));
        // A row that does not fit is sent alone, rather than never.
        assert_eq!(of(&[ANSWER_BYTES_MAX, 1], 1_000), (1, true));
        assert_eq!(of(&[1, ANSWER_BYTES_MAX], 1_000), (1, true));
    }

    #[test]
    fn an_answer_at_the_limit_fits_and_one_beyond_is_refused() {
        let of = |len: usize| fitting(row(len), "leaf_indexes").map(|answer| answer.encoded_len());
        let framing = of(3 * 1024 * 1024).unwrap() - 3 * 1024 * 1024;
        assert_eq!(of(ANSWER_BYTES_MAX - framing).unwrap(), ANSWER_BYTES_MAX);
        let refusal = of(ANSWER_BYTES_MAX - framing + 1).unwrap_err();
        assert!(refusal.to_string().starts_with("leaf_indexes must be fewer"), "{refusal}");
    }
}
