//! Files that plugins read while they compile.

use bartizan_chain::CompileCx;
use bartizan_config::read_file_up_to;

/// The content of a file of the configuration, one byte more than `max` at most, which whoever
/// asks takes for too long; or what is to be said behind its name. The file is watched from then on.
pub(crate) fn read_file(path: &str, max: usize, cx: &CompileCx<'_>) -> Result<Vec<u8>, String> {
    let max = u64::try_from(max).unwrap_or(u64::MAX);
    read_file_up_to(&cx.resolve_path(path)?, max)
        .map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bartizan_chain::FilesRead;
    use bartizan_config::{Invalid, References, StoreReferences};
    use serde_json::json;

    use crate::admit::geo_restriction::GeoRestriction;
    use crate::authenticate::jwt_auth::JwtAuth;
    use crate::authenticate::mtls_auth::MtlsAuth;
    use crate::fixture::Bench;
    use crate::inspect::waf::Waf;
    use crate::validate::oas_validator::OasValidator;

    const BARRED: &str = "may not be read for objects of the store: list it in";

    /// What plugins say of a file that they are to read.
    fn told(bench: &mut Bench, file: &str) -> Vec<Invalid> {
        let jwt = json!({
            "jwks": { "file": file }, "issuers": ["https://id.example"], "audiences": ["orders"],
        });
        let rules = json!({ "rule_sets": { "own": { "files": [file] } } });
        let mut told = vec![
            bench.fault::<JwtAuth>(&jwt),
            bench.fault::<MtlsAuth>(&json!({ "crls": [file], "without_consumer": true })),
            bench.fault::<OasValidator>(&json!({ "spec_file": file })),
            bench.fault::<GeoRestriction>(&json!({
                "database": file, "allow": { "countries": ["DE"] },
            })),
        ];
        bench.metadata = Some(rules);
        told.push(bench.fault::<Waf>(&json!({ "rule_set": "own" })));
        told
    }

    /// A node whose folder has a file that no plugin can use, inside a folder and outside.
    fn bench(references: References) -> (Bench, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("lent")).unwrap();
        for name in ["lent/file", "own"] {
            std::fs::write(folder.path().join(name), "hunter2").unwrap();
        }
        let mut bench = Bench::new();
        folder.path().clone_into(&mut bench.node.base_dir);
        bench.node.files = FilesRead::within(references);
        (bench, folder)
    }

    #[test]
    fn no_plugin_reads_a_file_that_objects_may_not() {
        let (mut bench, folder) = bench(References::Any);
        let files = vec![folder.path().join("lent")];
        let listed = StoreReferences { files, ..StoreReferences::default() };
        bench.node.files = FilesRead::within(References::Listed(Arc::new(listed)));
        let outside = folder.path().join("own").display().to_string();
        for file in ["own", "lent/../own", outside.as_str()] {
            for fault in told(&mut bench, file) {
                assert!(fault.to_string().contains(BARRED), "{fault}");
                assert!(!fault.to_string().contains("hunter2"), "{fault}");
            }
            assert!(bench.node.files.take().is_empty(), "{file} is watched");
        }
        for fault in told(&mut bench, "lent/file") {
            assert!(!fault.to_string().contains(BARRED), "{fault}");
        }
        assert!(!bench.node.files.take().is_empty());
    }

    #[test]
    fn plugins_of_objects_that_are_only_looked_at_read_nothing() {
        let (mut bench, _folder) = bench(References::Nothing);
        for fault in told(&mut bench, "lent/file") {
            assert!(fault.to_string().contains("is of this machine"), "{fault}");
        }
    }

    #[test]
    fn no_plugin_waits_for_a_pipe() {
        let (mut bench, folder) = bench(References::Any);
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for fault in told(&mut bench, "pipe") {
            let told = fault.to_string();
            assert!(told.contains("it is no file") || told.contains("is not a file"), "{told}");
        }
    }
}
