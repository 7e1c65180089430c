#![no_main]

#[path = "../targets/evidence_file.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::zip(input);
});
