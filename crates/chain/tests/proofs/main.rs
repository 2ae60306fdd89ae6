//! The proofs that guard forwarding cannot be made by hand: code that tries does not compile.

#[test]
fn nobody_makes_a_proof_by_hand() {
    trybuild::TestCases::new().compile_fail("tests/proofs/forgeries/*.rs");
}
