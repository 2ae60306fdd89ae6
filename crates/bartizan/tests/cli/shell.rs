//! `bartizan completions` and `bartizan man`.

use std::process::Command;

use crate::driver::Bench;

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let bench = Bench::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = bench.bartizan(&["completions", shell]).succeeds();
        for word in ["quickstart", "upstream", "log-format"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_completes_with_the_script() {
    let bench = Bench::new();
    let script = bench.bartizan(&["completions", "bash"]).succeeds();
    std::fs::write(bench.path("completions"), script).unwrap();
    let ask = "source ./completions; COMP_WORDS=(bartizan qui); COMP_CWORD=1; \
               _bartizan bartizan qui bartizan; echo \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash").args(["-c", ask]).current_dir(bench.path(".")).output();
    let bash = bash.unwrap();
    assert_eq!(String::from_utf8_lossy(&bash.stdout), "quickstart\n", "{bash:?}");
}

#[test]
fn every_command_has_a_manual_page() {
    let bench = Bench::new();
    bench.bartizan(&["man", "--out", "man1"]).succeeds();
    for (page, says) in [
        ("bartizan.1", "closed by default"),
        ("bartizan-run.1", "SIGUSR1"),
        ("bartizan-token.1", "consumer"),
        ("bartizan-waf.1", "explain"),
        ("bartizan-waf-test.1", "paranoia"),
        ("bartizan-admin-key-create.1", "plugin_metadata"),
    ] {
        let text = bench.read(&format!("man1/{page}"));
        assert!(text.contains(".TH ") && text.contains(says), "{page}: {text}");
    }
    assert!(!bench.path("man1/bartizan-reference.1").exists());
}
