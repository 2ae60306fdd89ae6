//! The documents of a configuration, from their files into a draft.

use std::io;
use std::path::{Path, PathBuf};

use super::folder;
use crate::diagnostic::{Diagnostic, SourceId};
use crate::draft::{Document, Draft, in_shape, substitute};
use crate::reference::Resolver;
use crate::sources::Sources;
use crate::surroundings::Surroundings;

/// Largest document that offsets can address with room to spare, whatever the limit says.
const DOCUMENT_MAX: u64 = 1 << 30;

/// Most documents in a folder.
const DOCUMENTS_MAX: usize = 1_000;

/// A document on its way to be read.
pub(super) enum Text<'t> {
    File,
    Given(&'t str),
}

/// Reads a document of resources, or every one of a folder.
pub(crate) fn read_documents(
    draft: &mut Draft,
    path: &Path,
    limit: u64,
    resolver: &Resolver<'_>,
) -> Vec<Diagnostic> {
    let documents = match documents_at(path, resolver.surroundings()) {
        Ok(documents) => documents,
        Err(problem) => {
            resolver.note(path);
            return vec![problem];
        }
    };
    if documents.as_slice() != [path.to_owned()] {
        resolver.note(path);
    }
    let read = |path: &PathBuf| read_document(draft, path, &Text::File, limit, resolver);
    documents.iter().flat_map(read).collect()
}

pub(super) fn read_document(
    draft: &mut Draft,
    path: &Path,
    text: &Text<'_>,
    limit: u64,
    resolver: &Resolver<'_>,
) -> Vec<Diagnostic> {
    let sources = draft.sources_mut();
    let read =
        document(path, text, limit, sources, resolver).and_then(|source| sources.read(source));
    match read {
        Ok(mut root) => {
            let mut problems = substitute(&mut root, resolver.surroundings());
            let source = root.place.source;
            let (root, of_adc) = in_shape(root);
            if let Some(told) = of_adc {
                draft.sources_mut().reshaped(source);
                problems.extend(draft.sources().retraced(told));
            }
            draft.add_document(Document { root, is_inline: false });
            problems
        }
        Err(problems) => problems,
    }
}

/// The documents of resources at a path: itself, or those in the folder.
fn documents_at(path: &Path, surroundings: &dyn Surroundings) -> Result<Vec<PathBuf>, Diagnostic> {
    let refused =
        |problem: String| Diagnostic { place: None, path: "".into(), problem, help: None };
    let shown = path.display();
    match surroundings.folder(path) {
        Ok(None) => Ok(vec![path.to_owned()]),
        Ok(Some(documents)) if documents.len() > DOCUMENTS_MAX => {
            Err(refused(format!("the folder `{shown}` holds more than {DOCUMENTS_MAX} documents")))
        }
        Ok(Some(documents)) => Ok(documents),
        Err(error) => Err(refused(format!("the folder `{shown}` cannot be read: {error}"))),
    }
}

/// Adds a document to the sources.
pub(super) fn document(
    path: &Path,
    text: &Text<'_>,
    limit: u64,
    sources: &mut Sources,
    resolver: &Resolver<'_>,
) -> Result<SourceId, Vec<Diagnostic>> {
    let limit = limit.min(DOCUMENT_MAX);
    let name = path.to_string_lossy();
    let content = match text {
        Text::Given(text) if u64::try_from(text.len()).unwrap_or(u64::MAX) > limit => {
            Err(io::Error::other(format!("it has more than {limit} bytes")))
        }
        Text::Given(text) => Ok(text.as_bytes().to_vec()),
        Text::File => {
            resolver.note(path);
            resolver.surroundings().file(path, limit)
        }
    };
    let content = content.map_err(|error| {
        vec![Diagnostic {
            place: None,
            path: "".into(),
            problem: format!("the file `{name}` cannot be read: {error}"),
            help: None,
        }]
    })?;
    match sources.add_bytes(&name, folder(path), content) {
        (source, None) => Ok(source),
        (_, Some(problem)) => Err(vec![problem]),
    }
}
