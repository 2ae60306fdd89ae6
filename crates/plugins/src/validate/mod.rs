//! Check the shape of what was sent.

pub mod oas_validator;
mod plan;
mod proof;
pub mod request_validation;

use bartizan_core::PATTERN_SIZE_MAX;
use jsonschema::{PatternOptions, ValidationOptions};

/// How every schema of a configuration compiles: patterns in linear time and of bounded size,
/// nothing fetched, formats checked, and those that nobody knows refused.
pub(crate) fn schema_options() -> ValidationOptions<'static> {
    let patterns =
        PatternOptions::regex().size_limit(PATTERN_SIZE_MAX).dfa_size_limit(PATTERN_SIZE_MAX);
    jsonschema::options()
        .offline()
        .with_pattern_options(patterns)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_fetch_nothing_match_in_linear_time_and_check_formats() {
        for schema in [
            json!({"pattern": "(?=a)b"}),
            json!({"pattern": r"(a)\1"}),
            json!({"pattern": r"(\w{1000}){1000}"}),
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/schema.json"}),
            json!({"format": "nobody-knows-it"}),
        ] {
            assert!(schema_options().build(&schema).is_err(), "{schema}");
        }
        let schema = json!({"format": "ipv4", "pattern": "^1"});
        let validator = schema_options().build(&schema).unwrap();
        assert!(validator.is_valid(&json!("192.0.2.1")));
        assert!(!validator.is_valid(&json!("1")));
    }
}
