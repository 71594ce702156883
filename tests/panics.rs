//! A fault of the program itself quotes nothing that a visitor sent.

use std::process::Command;

/// Set for the process that panics.
const IN_THE_CHILD: &str = "PANICS_TEST_CHILD";

#[test]
fn a_panic_says_where_and_not_what() {
    if std::env::var_os(IN_THE_CHILD).is_some() {
        consentry::telemetry::quiet_panics();
        let visitors = String::from("canary-4d é canary-4d");
        // What the standard library would say of this quotes the whole text.
        let slicing = std::thread::spawn(move || visitors[..11].len()).join();
        assert!(slicing.is_err());
        return;
    }
    let test = "a_panic_says_where_and_not_what";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(IN_THE_CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("tests/panics.rs:"), "{said}");
    assert!(
        !said.contains("canary-4d") && !String::from_utf8_lossy(&output.stdout).contains("canary-4d"),
        "{said}"
    );
}
