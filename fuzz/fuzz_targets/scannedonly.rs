#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| vscan_backends::fuzzing::dialogue("scannedonly", input));
