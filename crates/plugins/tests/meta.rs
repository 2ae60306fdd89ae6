//! What must hold of every plugin in the catalogue.

#[path = "meta/bounds.rs"]
mod bounds;
#[path = "meta/breaches.rs"]
mod breaches;
#[path = "meta/configuration.rs"]
mod configuration;
#[path = "meta/matchers.rs"]
mod matchers;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_chain::{CompileCx, CpuPool, Kinship, NodeFacts, StateRegistry, Unsupported};
use bartizan_config::{
    Format, PluginSchemas, ResourceKind, ResourceRef, Slot, SourceId, Standing, read,
    unsupported_keywords,
};
use bartizan_core::{Clock, Compatibility, Limits, NodeKey};
use bartizan_plugins::{CATALOGUE, Catalogue, Entry};
use bartizan_protos::Protos;
use serde_json::Value;

/// The schemas of a plugin, each with what it is for.
fn schemas(entry: &Entry) -> Vec<(&'static str, &Value)> {
    let schemas = [
        ("config", Some(&entry.config_schema)),
        ("consumer", entry.consumer_schema.as_ref()),
        ("metadata", entry.metadata_schema.as_ref()),
    ];
    schemas.into_iter().filter_map(|(slot, schema)| Some((slot, schema?))).collect()
}

/// The pointers of fields without a description.
fn undocumented(schema: &Value, pointer: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            for (keyword, value) in members {
                let here = format!("{pointer}/{keyword}");
                if keyword == "properties" {
                    for (field, schema) in value.as_object().into_iter().flatten() {
                        let text = schema.get("description").and_then(Value::as_str);
                        if text.is_none_or(|text| text.trim().len() < 8) {
                            found.push(format!("{here}/{field}"));
                        }
                    }
                }
                undocumented(value, &here, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                undocumented(item, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The module documentation of a plugin.
fn documentation(name: &str) -> Vec<String> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let states_it = format!("const NAME: &'static str = \"{name}\";");
    let texts = files.iter().map(|path| std::fs::read_to_string(path).unwrap());
    let text = texts.into_iter().find(|text| text.contains(&states_it)).unwrap_or_default();
    text.lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default())
        .map(str::to_owned)
        .collect()
}

/// The first example in the module documentation of a plugin.
fn example(name: &str) -> Option<String> {
    let doc = documentation(name);
    let lines = doc.iter().skip_while(|line| *line != "```yaml").skip(1);
    let lines: Vec<&str> = lines.take_while(|line| *line != "```").map(String::as_str).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The files that examples name, in a folder of their own.
fn example_files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/keys/issuer.json");
    std::fs::create_dir(folder.path().join("keys")).unwrap();
    std::fs::copy(keys, folder.path().join("keys/issuer.json")).unwrap();
    let places = serde_json::json!({"192.0.2.0/24": {"country": {"iso_code": "DE"}}});
    let places = bartizan_testkit::geo_database(&places);
    std::fs::write(folder.path().join("GeoLite2-Country.mmdb"), places).unwrap();
    folder
}

fn node(files: &Path) -> NodeFacts {
    NodeFacts {
        compatibility: Compatibility::None,
        limits: Limits::default(),
        clock: Clock::System,
        key: NodeKey::random(),
        hash_keys: bartizan_core::HashKeys::default(),
        key_uses: bartizan_chain::KeyUses::default(),
        metrics: Arc::default(),
        registry: StateRegistry::default(),
        cpu: CpuPool::inline(&Limits::default()),
        base_dir: files.to_owned(),
        files: bartizan_chain::FilesRead::default(),
        started: bartizan_core::Timestamp::from_secs(0),
        counts: Arc::default(),
        pages: bartizan_chain::Pages::default(),
        outside: bartizan_chain::Outside::default(),
        redactor: Arc::default(),
    }
}

#[test]
fn names_are_unique() {
    let mut seen = HashSet::new();
    for entry in CATALOGUE.iter() {
        assert!(seen.insert(entry.name), "{} twice", entry.name);
        assert!(entry.stages.iter().next().is_some(), "{} runs in no stage", entry.name);
    }
}

#[test]
fn every_field_is_documented() {
    for entry in CATALOGUE.iter() {
        for (slot, schema) in schemas(entry) {
            let mut found = Vec::new();
            undocumented(schema, "#", &mut found);
            assert!(found.is_empty(), "{slot} of {}: {found:?}", entry.name);
        }
    }
}

/// What a reader looks for on the page of every plugin. Its fields, refusals and example come from
/// elsewhere.
const SECTIONS: [&str; 3] = ["Headers", "What it costs", "What it cannot do"];

/// Where a page tells what somebody who knows the plugin from Apache APISIX has to know.
const DIFFERENCES: &str = "How it differs from Apache APISIX";

#[test]
fn every_page_says_what_a_reader_looks_for() {
    for entry in CATALOGUE.iter() {
        let doc = documentation(entry.name);
        let is_purpose = doc.first().is_some_and(|line| line.len() > 20 && !line.starts_with('#'));
        assert!(is_purpose, "{} does not begin with what it is for", entry.name);
        let section = |title: &str| {
            let mut lines = doc.iter().skip_while(|line| **line != format!("# {title}")).skip(1);
            lines.find(|line| !line.is_empty()).is_some_and(|line| !line.starts_with('#'))
        };
        for title in SECTIONS {
            assert!(section(title), "the documentation of {} has no `# {title}`", entry.name);
        }
        let differs = matches!(entry.kinship, Kinship::Different(_));
        assert_eq!(section(DIFFERENCES), differs, "`# {DIFFERENCES}` of {}", entry.name);
    }
}

#[test]
fn every_keyword_of_every_schema_is_checked() {
    for entry in CATALOGUE.iter() {
        for (slot, schema) in schemas(entry) {
            let unchecked = unsupported_keywords(schema);
            assert!(unchecked.is_empty(), "{slot} of {}: {unchecked:?}", entry.name);
        }
    }
}

#[test]
fn unknown_fields_are_refused() {
    for entry in CATALOGUE.iter() {
        for (slot, schema) in schemas(entry) {
            let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
            assert!(is_closed, "{slot} of {} takes any field", entry.name);
        }
    }
}

#[test]
fn a_field_has_one_answer() {
    for entry in CATALOGUE.iter() {
        for (path, unsupported) in entry.unsupported {
            let known = entry.config_schema.pointer(&format!("/properties/{path}"));
            assert!(known.is_none(), "`{path}` of {} is there", entry.name);
            let (Unsupported::NotYet(why) | Unsupported::Refused(why)) = unsupported;
            assert!(!why.is_empty() && !why.ends_with('.'), "`{path}` of {}", entry.name);
        }
        let fields = entry.config_schema.get("properties").and_then(Value::as_object);
        for field in fields.into_iter().flatten().map(|(field, _)| field) {
            let twin = field.strip_prefix("danger_").unwrap_or_default();
            let twin = entry.config_schema.pointer(&format!("/properties/{twin}"));
            assert!(twin.is_none() || !field.starts_with("danger_"), "{field} of {}", entry.name);
        }
    }
}

/// What examples call.
const SHOP: &str = "syntax = \"proto3\"; package shop.v1; message Order { string id = 1; } \
                    service Orders { rpc Find(Order) returns (Order); }";

#[test]
fn every_plugin_has_an_example_that_compiles() {
    let files = example_files();
    let node = node(files.path());
    let protos = Arc::new(Protos::compile(SHOP).unwrap());
    for entry in CATALOGUE.iter() {
        let text = example(entry.name).unwrap_or_else(|| panic!("{} has no example", entry.name));
        let document = read(SourceId(0), &text, Format::Yaml)
            .unwrap_or_else(|faults| panic!("{}: {faults:?}", entry.name));
        let config = document.get(entry.name).map(bartizan_config::Node::to_json);
        let config = config.unwrap_or_else(|| panic!("{} is not in its example", entry.name));
        let resource = ResourceRef { kind: ResourceKind::Route, id: Arc::from("example") };
        let mut cx = CompileCx {
            node: &node,
            resource: &resource,
            plugin: entry.name,
            is_disabled: false,
            metadata: None,
            has_consumer: &|_| true,
            has_group: &|_| true,
            proto: &|id| (id == "shop").then(|| protos.clone()),
            exposed: &std::cell::RefCell::default(),
        };
        if let Err(fault) = (entry.compile)(&config, &mut cx) {
            panic!("the example of {}: {fault}", entry.name);
        }
        let schema = jsonschema::options().offline().build(&entry.config_schema).unwrap();
        let faults: Vec<_> = schema.iter_errors(&config).map(|e| e.to_string()).collect();
        assert!(faults.is_empty(), "the example of {}: {faults:?}", entry.name);
    }
}

#[test]
fn the_configuration_sees_the_catalogue() {
    for entry in CATALOGUE.iter() {
        assert_eq!(Catalogue.standing(entry.name), Standing::Known);
        assert!(Catalogue.names().contains(&entry.name));
        assert!(Catalogue.schema(entry.name, Slot::Config).is_some());
        assert_eq!(Catalogue.is_authentication(entry.name), entry.is_authentication);
        let has_consumer_part = Catalogue.schema(entry.name, Slot::Consumer).is_some();
        assert!(!has_consumer_part || entry.is_authentication, "{}", entry.name);
    }
}
