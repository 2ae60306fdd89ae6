//! The runner of cases must fail where a case is wrong or a claim is not true.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bartizan_testkit::cases;
use tempfile::TempDir;

const GOOD: &str = "\
# shows that addresses are refused
# field: ip-restriction.response_code

--- config
whitelist: [10.0.0.1]
response_code: 404
--- request
GET /
--- response
404 @problem admit.address_denied
--- event
reason: admit.address_denied
status: 404
stage: admit
plugin: ip-restriction
detail: 192.0.2.1 is not on the white list
";

fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("cases/ip-restriction");
    std::fs::create_dir_all(&plugin).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(plugin.join("one.case"), text).unwrap();
    folder
}

/// What a check of this case complains of; empty where it does not.
fn complaint(text: &str, check: impl FnOnce(&Path)) -> String {
    let folder = folder(text);
    let outcome = catch_unwind(AssertUnwindSafe(|| check(&folder.path().join("cases"))));
    outcome.err().and_then(|panic| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[test]
fn a_case_that_is_right_passes() {
    assert_eq!(complaint(GOOD, cases::check_cases), "");
}

#[test]
fn a_case_that_differs_fails_and_shows_both() {
    for (good, bad) in [
        ("404 @problem", "403 @problem"),
        ("@problem admit.address_denied", "@problem route.not_found"),
        ("stage: admit", "stage: meter"),
        ("whitelist: [10.0.0.1]", "blacklist: [10.0.0.1]"),
        ("--- event\n", "--- upstream\n"),
    ] {
        let text = complaint(&GOOD.replace(good, bad), cases::check_cases);
        assert!(text.contains("1 of 1 cases differ"), "{bad}: {text}");
    }
    let refused = complaint(&GOOD.replace("10.0.0.1", "ten"), cases::check_cases);
    assert!(refused.contains("config:1:13: invalid ip address: `ten`"), "{refused}");
}

#[test]
fn a_claim_must_be_true() {
    let claim = |line: &str| {
        let text = GOOD.replace("# field: ip-restriction.response_code\n", line);
        complaint(&text, cases::check_liveness)
    };
    let live = claim("# field: ip-restriction.response_code\n");
    assert!(!live.contains("one.case"), "{live}");
    assert!(live.contains("no case claims `key-auth.header`"), "{live}");
    assert!(!live.contains("no case claims `ip-restriction.response_code`"), "{live}");
    for (line, complaint) in [
        ("# field: ip-restriction.status\n", "there is no field"),
        ("# field: ip-restriction.message\n", "the case does not configure it"),
        ("# field: ip-restriction.whitelist\n", "the configuration is refused, say `instead`"),
        (
            "# field: ip-restriction.whitelist\n# without: refused\n",
            "what is refused without it may still ignore it",
        ),
        (
            "# field: ip-restriction.whitelist\n# instead: [10.0.0.2]\n",
            "the outcome is the same without it",
        ),
    ] {
        let text = claim(line);
        assert!(text.contains(complaint), "{line}: {text}");
    }
}
