//! The built binary, driven as people drive it.

mod admin;
mod admin_api;
mod admin_bad_input;
mod admin_inward;
mod admin_listener;
mod bad_input;
mod bad_objects;
mod clients;
mod cloud_secrets;
mod confinement;
mod dashboard;
mod driver;
mod import;
mod init;
mod init_openapi;
mod keys;
#[path = "../../../admin/src/api/tests/play.rs"]
mod play;
mod quickstart;
mod run;
mod secrets;
mod shell;
mod stores;
mod token;
mod tried;
mod waf;

use driver::Bench;

#[test]
fn the_version_names_the_build() {
    let version = Bench::new().bartizan(&["--version"]).succeeds();
    assert!(version.starts_with(concat!("bartizan ", env!("CARGO_PKG_VERSION"), " (commit ")));
}

#[test]
fn the_help_shows_where_to_start() {
    let bench = Bench::new();
    let help = bench.bartizan(&["--help"]).succeeds();
    for command in ["run", "check", "init", "import", "token", "admin", "key", "waf", "quickstart"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        let own = bench.bartizan(&[command, "--help"]).succeeds();
        assert!(own.contains("Examples:\n  bartizan "), "{own}");
    }
    assert!(help.contains("Exit codes: 0 success"));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let bench = Bench::new();
    for arguments in [&["frobnicate"][..], &["run", "--nope"], &["init"]] {
        bench.bartizan(arguments).fails_with(2);
    }
}

#[test]
fn the_reference_is_written_twice_alike() {
    let bench = Bench::new();
    for out in ["first", "second"] {
        bench.bartizan(&["reference", "--out", out]).succeeds();
    }
    for page in ["node-file.md", "plugins/jwt-auth.md", "schema/resources.schema.json"] {
        let first = bench.read(&format!("first/{page}"));
        assert_eq!(first, bench.read(&format!("second/{page}")));
        assert!(first.len() > 1_000, "{page}");
    }
}
