#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bartizan_waf::fuzz::waf_operators(data));
