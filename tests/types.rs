//! The types carry the promise: what must not happen does not compile.

#[test]
fn no_room_can_be_skipped() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/types/*.rs");
}
