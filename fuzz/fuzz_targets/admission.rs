//! Bytes that a client might send for a head, made up by a fuzzer that sees which of them lead somewhere new.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ringmaster::front::fuzzing::check_head(bytes);
});
