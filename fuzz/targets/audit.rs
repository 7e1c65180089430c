//! What each target does with its input: whatever a reader of audit events accepts is written back in one
//! way and read again, and nothing panics. Each says whether any reader accepted.

use audit_event::event::{Actor, ActorKind};
use audit_event::evidence::view::{Row, Separator, csv_row, json_item, next_item, split_row};
use audit_event::evidence::{BatchProof, Line, Manifest};
use audit_event::json::{self, Numbers};
use audit_event::mapping::{Intake, Mapped, cloudevents, cloudtrail, hec, kubernetes, otlp};
use audit_event::sentence::Naming;
use audit_event::{
    Blocks, Fill, Instant, Leaf, RecordedEvent, Salt, Sentence, Shown, Stamp, Tag, Tags,
    ValidEvent, protobuf, text,
};

/// Items of one input that are looked at.
const ITEMS_MAX: usize = 20;

/// Events of our own API, and items of others that are such events inside.
pub(crate) fn event(input: &[u8]) -> bool {
    let read = json::read(input, json::EVENT_BYTES_MAX);
    let Ok(read) = read else {
        return json::parse(input, Numbers::Foreign).is_ok();
    };
    let again = json::write(&read.event);
    let second = json::read(again.as_bytes(), usize::MAX).expect("what was written is read");
    assert_eq!(json::write(&second.event), again);
    let fill = Fill { now: Instant::from_nanos(1), id: "01" };
    let foreign = ValidEvent::foreign(read.event.clone(), read.flags.clone(), fill);
    let own = ValidEvent::own(read.event, read.flags, fill);
    if let (Ok(own), Ok(foreign)) = (&own, &foreign) {
        assert_eq!(own.event(), foreign.event(), "limits that hold cut nothing");
    }
    for valid in [own, foreign].into_iter().flatten() {
        sealed(&valid);
    }
    true
}

/// What every valid event allows: blocks that are read back, and a leaf that they verify against.
fn sealed(valid: &ValidEvent) {
    let blocks = Blocks::of(valid, Stamp::default());
    let read = RecordedEvent::read(blocks.iter().map(|block| (block.tag(), block.bytes())));
    assert_eq!(read.expect("what was written is read").event, *valid.event());
    let salt = Salt::from([7; 16]);
    let (leaf, _) = Leaf::commit(1, &blocks, || salt).expect("blocks are in their order");
    let shown: Vec<Shown<'_>> =
        blocks.iter().map(|it| Shown { tag: it.tag(), salt: &salt, bytes: it.bytes() }).collect();
    assert!(leaf.verify(&shown, Tags::NONE).is_ok());
    drop(Sentence::of(valid.event(), Naming::Name).to_string());
}

/// Items of other formats, and events as protobuf. Whatever an event is made of can be sealed, and RAW is
/// part of what came.
pub(crate) fn mapping(input: &[u8]) -> bool {
    let now = Instant::from_nanos(1);
    let actor = Actor::new(ActorKind::Service, "fuzz");
    let (source, action, actor) = ("/fuzz", Some("fuzz.item"), Some(&actor));
    let intake = Intake { now, source, action, actor, category: None };
    let mut taken = false;
    let mut take = |mapped: Result<Mapped<'_>, _>| {
        let Ok(mapped) = mapped else { return };
        taken = true;
        let is_part = input.windows(mapped.raw.len().max(1)).any(|part| part == &*mapped.raw);
        assert!(is_part || mapped.raw.is_empty(), "RAW is as it came");
        if let Ok(valid) = mapped.check(Fill { now, id: "01" }) {
            sealed(&valid);
        }
    };
    for item in kubernetes::split(input).into_iter().flatten().take(ITEMS_MAX) {
        take(kubernetes::map(item, &intake));
    }
    for item in cloudtrail::split(input).into_iter().flatten().take(ITEMS_MAX) {
        take(cloudtrail::map(item, &intake));
    }
    take(cloudevents::map(input, &intake));
    for item in hec::split(input).flatten().take(ITEMS_MAX) {
        take(hec::map(item, &intake));
    }
    for split in [otlp::split_json, otlp::split_protobuf] {
        for record in split(input).into_iter().flatten().take(ITEMS_MAX) {
            take(otlp::map(&record, &intake));
        }
    }
    let own = protobuf::read(input, json::EVENT_BYTES_MAX).inspect(|read| {
        drop(ValidEvent::own(read.event.clone(), read.flags.clone(), Fill { now, id: "01" }));
    });
    taken || own.is_ok_and(|read| read.event.id.is_some())
}

/// Texts of blocks, leaves.
pub(crate) fn block(input: &[u8]) -> bool {
    let object = text::read(input).inspect(|it| assert_eq!(text::write(it).as_bytes(), input));
    for tag in Tag::ALL {
        drop(RecordedEvent::read([(tag, input)]));
    }
    let leaf = Leaf::decode(input).inspect(|leaf| assert_eq!(leaf.encode(), input));
    object.is_ok() || leaf.is_ok()
}

/// Parts of evidence files.
pub(crate) fn evidence(input: &[u8]) -> bool {
    let line = Line::parse(input).inspect(|line| {
        assert_eq!(Line::parse(line.write().as_bytes()).as_ref(), Ok(line));
        let row = Row::of(line);
        let csv = csv_row(&row, Separator::Comma);
        let cells = split_row(&csv, Separator::Comma).expect("a row ends");
        assert_eq!((cells.0.len(), cells.1), (row.cells().len(), csv.len()));
        drop(text::write(&json_item(&row)));
        let verified = line.leaf.verify(&line.shown(), line.erased);
        assert!(verified.is_err() || line.leaf.tags().contains(Tag::Core));
    });
    let manifest = Manifest::parse(input).inspect(|manifest| {
        assert_eq!(Manifest::parse(manifest.write().as_bytes()).as_ref(), Ok(manifest));
    });
    let proof =
        BatchProof::parse(input).inspect(|proof| assert_eq!(proof.write().as_bytes(), input));
    for first in [true, false] {
        drop(next_item(input, first));
    }
    drop(core::str::from_utf8(input).map(|text| split_row(text, Separator::Semicolon)));
    line.is_ok() || manifest.is_ok() || proof.is_ok()
}
