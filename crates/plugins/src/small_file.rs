//! Files that plugins read while they compile.

use std::fs::{File, metadata};
use std::io::Read as _;

use bartizan_chain::CompileCx;

/// The content of a file of the configuration, one byte more than `max` at most, which whoever
/// asks takes for too long. The file is watched from then on.
pub(crate) fn read_file(path: &str, max: usize, cx: &CompileCx<'_>) -> Result<Vec<u8>, String> {
    let cap = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let fault = |why: String| format!("cannot be read: {why}");
    let (absolute, mut content) = (cx.resolve_path(path), Vec::new());
    // Opening a pipe would wait for whoever writes to it.
    if metadata(&absolute).is_ok_and(|found| !found.is_file()) {
        return Err(fault("it is no file".to_owned()));
    }
    File::open(absolute)
        .and_then(|file| file.take(cap).read_to_end(&mut content))
        .map_err(|error| fault(error.to_string()))?;
    Ok(content)
}
