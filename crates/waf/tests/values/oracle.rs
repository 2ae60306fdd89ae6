//! Asks libmodsecurity, through its Python wheel, where that is installed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// The folder that `cargo xtask test` unpacks the wheel `libmodsecurity` into.
const WHEEL: &str = "../../target/tools/libmodsecurity";

/// The answers to `lines`, each split at its spaces and decoded; None where the wheel is not there.
pub(crate) fn ask(mode: &str, names: &str, lines: &[String]) -> Option<Vec<Vec<Vec<u8>>>> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wheel = crate_folder.join(WHEEL);
    if !wheel.is_dir() {
        println!("skipped: there is no libmodsecurity in {}", wheel.display());
        return None;
    }
    let mut python = Command::new("python3");
    python.arg(crate_folder.join("tests/values/oracle.py")).args([mode, names]);
    python.env("PYTHONPATH", &wheel).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    let mut input = python.stdin.take().unwrap();
    let text = lines.join("\n") + "\n";
    let writer = thread::spawn(move || input.write_all(text.as_bytes()));
    let output = BufReader::new(python.stdout.take().unwrap());
    let answers: Vec<_> = output
        .lines()
        .map(|line| line.unwrap().split(' ').map(from_hex).collect::<Vec<_>>())
        .collect();
    writer.join().unwrap().unwrap();
    assert!(python.wait().unwrap().success());
    assert_eq!(answers.len(), lines.len());
    Some(answers)
}

/// The bytes in hexadecimal; `-` if there are none.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    String::from_utf8(bartizan_waf::fuzz::transform("hexEncode", bytes).unwrap()).unwrap()
}

fn from_hex(word: &str) -> Vec<u8> {
    let word = if word == "-" { "" } else { word };
    bartizan_waf::fuzz::transform("hexDecode", word.as_bytes()).unwrap()
}

/// Draws without chance: the same inputs in each run.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    /// One of `choices`.
    pub(crate) fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// Up to `count_max` pieces, one behind another.
    pub(crate) fn pieces(&mut self, pieces: &[&[u8]], count_max: usize) -> Vec<u8> {
        (0..self.below(count_max + 1)).flat_map(|_| self.of(pieces).to_vec()).collect()
    }
}
