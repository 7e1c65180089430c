#![no_main]

#[path = "../targets/audit.rs"]
#[expect(dead_code, reason = "one target a binary")]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::mapping(input);
});
