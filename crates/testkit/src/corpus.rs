//! The corpora of fuzz targets, replayed and varied on the stable toolchain.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long inputs are varied, in seconds; without it there are [`VARIED`] of them.
const SECONDS: &str = "FUZZ_SECONDS";
/// Where varying starts, to find what another start did not.
const SEED: &str = "FUZZ_SEED";
/// Inputs that are made of those of the corpus in every run: the same ones each time.
const VARIED: usize = 300;

/// Gives each input of `fuzz/corpus/<target>` to a law, each start of it in steps of `step` bytes,
/// and variations of them. An input that breaks the law is kept in `target/fuzz/<target>`, to be
/// looked at and to go into the corpus.
///
/// With `FUZZ_SECONDS=60` inputs are varied for that long, from the seed in `FUZZ_SEED`.
pub fn replay(target: &str, step: usize, law: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let inputs = inputs(&root.join("fuzz/corpus").join(target));
    let kept = Kept { folder: root.join("target/fuzz"), target: target.to_owned() };
    for input in &inputs {
        for end in (0..input.len()).step_by(step.max(1)) {
            kept.judge(law, &input[..end]);
        }
        kept.judge(law, input);
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut chance = Chance(number(SEED).unwrap_or(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let words = words(&inputs);
    // A budget of real time, asked for by hand.
    let until = number(SECONDS).map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut count = 0;
    loop {
        let is_over = until.map_or(count >= VARIED, |until| Instant::now() >= until);
        if is_over {
            break;
        }
        let mut input = chance.of(&inputs).clone();
        for _ in 0..=chance.below(4) {
            vary(&mut input, &inputs, &words, &mut chance);
        }
        kept.judge(law, &input);
        count += 1;
    }
    if until.is_some() {
        println!("{target}: {count} variations");
    }
}

fn inputs(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no corpus in {}", folder.display());
    paths.iter().map(|path| fs::read(path).expect("a file that can be read")).collect()
}

/// Where inputs go that break a law.
struct Kept {
    folder: PathBuf,
    target: String,
}

impl Kept {
    fn judge(&self, law: fn(&[u8]), input: &[u8]) {
        let verdict = std::panic::catch_unwind(|| law(input));
        if let Err(panic) = verdict {
            let path = self.folder.join(&self.target);
            // To lose the input must not hide the panic.
            let _ = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&path, input));
            eprintln!("{} breaks the law:\n{}", path.display(), String::from_utf8_lossy(input));
            std::panic::resume_unwind(panic);
        }
    }
}

/// What stands between marks in the inputs: names, numbers and the marks themselves.
fn words(inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = [
        "0",
        "-1",
        "18446744073709551615",
        "1e309",
        "-0.0",
        "null",
        "true",
        "\"\"",
        "[]",
        "{}",
        "\u{0}",
        "é",
        "\u{feff}",
        "%00",
        "\r\n",
        "\\u0000",
        "AAAA",
        "..",
        "$ref",
        "inf",
        "nan",
    ]
    .iter()
    .map(|word| word.as_bytes().to_vec())
    .collect();
    for input in inputs {
        for word in input.split(|byte| !byte.is_ascii_alphanumeric() && !b"_-~".contains(byte)) {
            if !word.is_empty() && word.len() < 40 {
                words.push(word.to_vec());
            }
        }
        words.extend(input.iter().filter(|byte| byte.is_ascii_punctuation()).map(|b| vec![*b]));
    }
    words.sort();
    words.dedup();
    words
}

/// Changes one thing.
fn vary(input: &mut Vec<u8>, inputs: &[Vec<u8>], words: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let end = (at + 1 + chance.below(12)).min(input.len());
    match chance.below(8) {
        0 if at < input.len() => input[at] ^= 1 << chance.below(8),
        1 => drop(input.drain(at.min(end)..end)),
        2 => {
            let piece = input[at.min(end)..end].to_vec();
            let to = chance.below(input.len() + 1);
            input.splice(to..to, piece);
        }
        3 | 4 => {
            let word = chance.of(words).clone();
            input.splice(at..at, word);
        }
        5 => {
            // A word stands where another one stood.
            let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
            let from = input[..at].iter().rposition(|b| !is_word(b)).map_or(0, |p| p + 1);
            let to = input[at..].iter().position(|b| !is_word(b)).map_or(input.len(), |p| at + p);
            let word = chance.of(words).clone();
            input.splice(from..to, word);
        }
        6 => {
            let other = chance.of(inputs);
            let from = chance.below(other.len() + 1);
            let to = (from + chance.below(60)).min(other.len());
            let piece = other[from..to].to_vec();
            input.splice(at.min(end)..end, piece);
        }
        _ => {
            // A line goes elsewhere, or is there twice.
            let lines: Vec<Vec<u8>> = input.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            let mut lines = lines;
            let line = chance.of(&lines).clone();
            let to = chance.below(lines.len() + 1);
            lines.insert(to, line);
            *input = lines.join(&b'\n');
        }
    }
    input.truncate(1 << 16);
}

/// Numbers without a pattern (xorshift), the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from((self.0 >> 11) % end).unwrap_or_default()
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}
