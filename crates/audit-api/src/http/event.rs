//! One event, its receipt, and whether both hold.

use audit_event::evidence::finding::Finding;
use audit_event::evidence::verify_event;
use audit_trail::StoredEvent;
use bytes::Bytes;
use formats::Trust;
use http::{HeaderValue, Response, StatusCode, header};
use log_core::Log;
use merkle::LeafIndex;
use serve::body::{Body, full};
use serve::refusal::Refusal;

use super::{Asked, answer};
use crate::audit::Audit;
use crate::refusal;
use crate::shown::{self, Step};

/// An event by its index, or the receipt of its leaf.
pub(crate) async fn event(audit: &Audit, asked: &Asked<'_>) -> Result<Response<Body>, Refusal> {
    let log = audit.log(asked.log)?;
    let (index, is_receipt) = match asked.rest.split_once('/') {
        None => (asked.rest, false),
        Some((index, "receipt")) => (index, true),
        Some(_) => return Err(Refusal::no_such_path()),
    };
    let index = parse_index(index).ok_or_else(Refusal::no_such_path)?;
    if is_receipt {
        asked.parameters.only(&["receipt"])?;
        let receipt = audit.receipt(&log, index).await?;
        return Ok(as_text(receipt));
    }
    asked.parameters.only(&["verify", "raw"])?;
    let verify = asked.parameters.flag("verify")?;
    let read = log.clone();
    let stored = base::tasks::blocking(move || StoredEvent::read(&read, index)).await;
    let stored = stored.map_err(refusal::of_stored)?;
    let steps = if verify { Some(verified(audit, &log, &stored).await?) } else { None };
    Ok(answer::json(StatusCode::OK, format!("{}\n", shown::single(stored, steps.as_deref()))))
}

/// An index in its one spelling.
fn parse_index(text: &str) -> Option<LeafIndex> {
    let index: u64 = text.parse().ok()?;
    (index.to_string() == text).then(|| LeafIndex::new(index).ok()).flatten()
}

fn as_text(receipt: Bytes) -> Response<Body> {
    let mut response = Response::new(full(receipt));
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, text);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Verifies an event as somebody would who trusts the log's key and nothing else.
async fn verified(audit: &Audit, log: &Log, stored: &StoredEvent) -> Result<Vec<Step>, Refusal> {
    let receipt = audit.receipt(log, stored.index).await?;
    let damaged = stored.damaged;
    let line = stored.clone().into_line();
    let keys = log.vkeys();
    let key = keys.first().map(|key| key.name().to_string()).unwrap_or_default();
    let (report, _) = verify_event(line.write().as_bytes(), &receipt, &Trust::Keys(keys));
    let has = |wanted: fn(&Finding) -> bool| report.findings.iter().any(wanted);
    let receipt_fails = has(|it| matches!(it, Finding::Receipt { .. } | Finding::Index));
    let receipt_broken = has(|it| matches!(it, Finding::ReceiptForm { .. } | Finding::NoKey));
    let blocks_fail = report.findings.iter().any(|finding| {
        !matches!(
            finding,
            Finding::Receipt { .. } | Finding::Index | Finding::ReceiptForm { .. } | Finding::NoKey
        )
    });
    let names: Vec<&str> = line.blocks.iter().map(|block| block.tag.name()).collect();
    let erased: Vec<&str> = line.erased.iter().map(audit_event::Tag::name).collect();
    Ok(vec![
        Step { step: "leaf", ok: true, value: stored.leaf_hash.to_string() },
        Step { step: "blocks", ok: !blocks_fail && damaged.is_empty(), value: names.join(", ") },
        Step { step: "erased", ok: true, value: erased.join(", ") },
        Step {
            step: "inclusion",
            ok: !receipt_fails && !receipt_broken,
            value: format!("index {} in the log {}", stored.index, log.origin()),
        },
        Step { step: "checkpoint", ok: !receipt_fails && !receipt_broken, value: key },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_one_spelling() {
        assert_eq!(parse_index("7").map(LeafIndex::get), Some(7));
        for other in ["", "07", "+7", "-1", "7.0", "18446744073709551616"] {
            assert_eq!(parse_index(other), None, "{other}");
        }
    }
}
