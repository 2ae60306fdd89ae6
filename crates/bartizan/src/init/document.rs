//! Reading an OpenAPI document with the files that it refers to.

use std::path::{Path, PathBuf};

use bartizan_core::Limits;
use bartizan_plugins::openapi::{DocumentFault, DocumentText, Documents, Outline, normalised};
use bartizan_plugins::validate::oas_validator::check_document;

use crate::failure::{Failure, plain};

/// Most files of one description; as many as `ref_files` may name.
const FILES_MAX: usize = 256;

/// A description, and the files that it is in.
pub(super) struct Description {
    pub(super) outline: Outline,
    /// The main file.
    pub(super) path: PathBuf,
    /// The others.
    pub(super) others: Vec<PathBuf>,
}

/// Reads a description and makes sure that `oas-validator` takes it.
pub(super) fn read(path: &Path) -> Result<Description, Failure> {
    let absolute =
        std::path::absolute(path).map_err(|cause| Failure::file("find", path, &cause))?;
    let main = text(&normalised(&absolute), path)?;
    let mut others: Vec<DocumentText> = Vec::new();
    let documents = loop {
        let documents = Documents::read(main.clone(), others.clone()).map_err(fault)?;
        let missing = documents.missing_files();
        if missing.is_empty() {
            break documents;
        }
        if others.len() + missing.len() > FILES_MAX {
            let problem = format!("`{}` refers to more than {FILES_MAX} files", path.display());
            return Err(Failure::new(problem));
        }
        for file in missing {
            others.push(text(&file, &file)?);
        }
    };
    let outline = Outline::of(&documents).map_err(fault)?;
    check_document(&documents).map_err(fault)?;
    let others = others.into_iter().map(|text| text.path).collect();
    Ok(Description { outline, path: main.path, others })
}

fn text(path: &Path, shown: &Path) -> Result<DocumentText, Failure> {
    let fail = |why: String| Failure::new(format!("cannot read `{}`: {why}", shown.display()));
    let found = std::fs::metadata(path).map_err(|cause| fail(plain(&cause)))?;
    let limit = Limits::default().document;
    if !found.is_file() {
        return Err(fail("it is no file".to_owned()));
    }
    if found.len() > limit.0 {
        return Err(fail(format!("it is larger than {limit}")));
    }
    let bytes = std::fs::read(path).map_err(|cause| fail(plain(&cause)))?;
    Ok(DocumentText { name: shown.display().to_string(), path: path.to_owned(), bytes })
}

fn fault(fault: DocumentFault) -> Failure {
    let failure = Failure::new(fault.to_string());
    match fault.help {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

/// A path as the configuration in a folder writes it: from that folder, where both have anything
/// in common.
pub(super) fn relative(path: &Path, folder: &Path) -> String {
    let (path, folder) = (normalised(path), normalised(folder));
    let common = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    if common <= 1 {
        return path.display().to_string();
    }
    let up = folder.components().skip(common).map(|_| "..".to_owned());
    let down = path.components().skip(common).map(|part| part.as_os_str().display().to_string());
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_from_the_folder_of_the_configuration() {
        for (path, folder, written) in [
            ("/srv/a/api.yaml", "/srv/a", "api.yaml"),
            ("/srv/a/docs/api.yaml", "/srv/a/./gateway", "../docs/api.yaml"),
            ("/etc/api.yaml", "/srv/a", "/etc/api.yaml"),
        ] {
            assert_eq!(relative(Path::new(path), Path::new(folder)), written);
        }
    }
}
