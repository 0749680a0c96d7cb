#![no_main]

#[allow(dead_code)]
#[path = "../../tests/codec/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::seal_frame(bytes));
