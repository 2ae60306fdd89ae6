//! Clients that others wrote for the Admin API of Apache APISIX, unmodified, and one that is made
//! of the API's own description.

use std::path::{Path, PathBuf};
use std::process::Command;

use bartizan_testkit::{npm_package, pypi_packages};

use crate::admin_api::Scene;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Runs a client, which asserts what it is answered, and says `done` at the end.
fn play(scene: &Scene, mut client: Command) {
    client.arg(scene.serving.admin.unwrap().to_string()).arg(&scene.key);
    let ended = client.output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{told}");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "done\n", "{told}");
}

fn play_python(lock: &str, name: &str) {
    let Some(packages) = pypi_packages(lock) else { return };
    let mut python = Command::new("python3");
    python.args(["-B"]).arg(script(name)).env("PYTHONPATH", packages);
    play(&Scene::start("admin"), python);
}

#[test]
fn apisix_client_of_pypi_creates_reads_lists_and_deletes() {
    play_python("apisix-client", "with_apisix_client.py");
}

#[test]
fn apisix_python_client_of_pypi_creates_reads_replaces_and_deletes() {
    play_python("apisix-python-client", "with_apisix_python_client.py");
}

#[test]
fn a_client_made_of_the_description_creates_patches_lists_and_deletes() {
    let Some(package) = npm_package("openapi-client-axios") else { return };
    let mut node = Command::new("node");
    node.arg(script("generated.mjs")).arg(package.parent().unwrap());
    play(&Scene::start("admin"), node);
}
