//! Whether fields that cases claim to be live are.

use std::collections::BTreeSet;

use super::fields::{Field, fields};
use super::file::{CaseFile, Claim};
use super::run::{Outcome, run};
use super::setup::Variation;
use super::tokens::Stand;
use crate::load::yaml_value;

/// Fields that have one meaning left, so that they decide only whether a configuration is
/// accepted, and why that is so.
const ACCEPTED_ONLY: &[(&str, &str)] = &[
    ("jwt-auth.store_in_ctx", "claims are always kept; taken in compatibility mode for old files"),
    ("jwt-auth@consumer.exp", "nothing is signed here; taken in compatibility mode for old files"),
    ("request-id.algorithm", "ids are UUIDs of version 7, however they are called"),
    ("limit-count.policy", "counters are local; the others are not yet there"),
    ("graphql-limit-count.policy", "counters are local; the others are not yet there"),
    ("graphql-limit-count.resolve_variables", "variables are read, or they would be free"),
    ("limit-conn.policy", "requests are counted locally; the others are not yet there"),
    ("limit-req.policy", "buckets are local; the others are not yet there"),
    ("openid-connect.bearer_only", "there is no login yet"),
    ("openid-connect.ssl_verify", "certificates are verified always"),
    (
        "openid-connect.claim_validator.audience.required",
        "an audience that is asked for must be there",
    ),
    ("object-guard.bindings[].in.consumer", "a consumer has one name, `equals` is for that"),
    (
        "oas-validator.ref_files",
        "what a document refers to must be there, and is then a part of it",
    ),
    ("object-guard.on_missing", "what cannot be judged is denied, always"),
];

/// Fields that decide what an exchange costs and not what comes of it, or that only a real
/// connection under TLS shows, with the unit test of the plugin that shows them to be live.
/// Fields that decide what an exchange costs, or what plugins that log see of it, and not what comes
/// of it, with the unit test of the plugin that shows them to be live.
pub(super) const COST_ONLY: &[(&str, &str)] = &[
    ("jwt-auth.token_cache", "a_verdict_is_remembered_and_dies_with_the_key"),
    ("jwt-auth.providers[].ca_certs", "the_authorities_of_a_provider_can_be_named"),
    ("oauth-introspection.ca_certs", "who_says_the_same_of_an_issuer_shares_what_it_said"),
    (
        "oauth-introspection.client_cert",
        "the_gateways_own_certificate_is_shown_where_it_is_configured",
    ),
    (
        "oauth-introspection.client_cert_key",
        "the_gateways_own_certificate_is_shown_where_it_is_configured",
    ),
    ("oauth-introspection.assertion_key", "assertions_are_signed_as_configured"),
    ("oauth-introspection.assertion_key_id", "assertions_are_signed_as_configured"),
    ("oauth-introspection.assertion_algorithm", "assertions_are_signed_as_configured"),
    ("oauth-introspection.assertion_audience", "assertions_are_signed_as_configured"),
    ("openid-connect.ca_certs", "the_authorities_of_the_provider_can_be_named"),
    ("openid-connect.jwt_verification_cache_ignore", "verdicts_are_remembered_unless_that_is_off"),
    ("openid-connect.client_rsa_private_key", "assertions_are_signed_as_configured"),
    ("openid-connect.client_rsa_private_key_id", "assertions_are_signed_as_configured"),
    ("openid-connect.client_jwt_assertion_alg", "assertions_are_signed_as_configured"),
    ("openid-connect.client_jwt_assertion_audience", "assertions_are_signed_as_configured"),
    ("openid-connect.client_jwt_assertion_expires_in", "assertions_are_signed_as_configured"),
    ("forward-auth.keepalive_pool", "the_pool_is_as_large_as_said"),
    ("forward-auth.ca_certs", "a_private_authority_can_be_named"),
    ("forward-auth.danger_ssl_verify", "verification_ends_only_where_danger_is_written"),
    ("opa.keepalive_pool", "a_pool_is_as_large_as_the_configuration_says"),
    ("opa.ca_certs", "the_authorities_of_the_engine_can_be_named"),
    ("opa.danger_ssl_verify", "verification_ends_only_where_danger_is_written"),
    ("http-logger.ca_certs", "a_private_authority_is_trusted_where_it_is_named"),
    ("http-logger.danger_ssl_verify", "verification_ends_only_where_danger_is_written"),
    ("tcp-logger.ca_certs", "a_private_authority_is_trusted_where_it_is_named"),
    ("tcp-logger.tls", "a_line_of_tcp_is_secured_where_that_is_said"),
    ("syslog.ca_certs", "the_authorities_of_a_receiver_can_be_named"),
    ("syslog.tls", "a_message_is_secured_where_that_is_said"),
    ("gzip.comp_level", "a_higher_level_makes_a_smaller_body"),
    ("brotli.comp_level", "every_setting_makes_another_body"),
    ("brotli.mode", "every_setting_makes_another_body"),
    ("brotli.lgwin", "every_setting_makes_another_body"),
    ("brotli.lgblock", "every_setting_makes_another_body"),
    ("data-mask.request[].action", "whatever_a_log_reads_is_masked"),
    ("data-mask.request[].regex", "whatever_a_log_reads_is_masked"),
    ("data-mask.request[].value", "whatever_a_log_reads_is_masked"),
    ("data-mask.request[].body_format", "bodies_are_masked_by_their_kind_or_left_out"),
    ("data-mask.response[].action", "each_action_does_its_own"),
    ("waf.sample", "a_sample_is_as_large_as_said"),
    ("data-mask.max_req_post_args", "bodies_are_masked_by_their_kind_or_left_out"),
];

/// What is wrong with a case's claims, and which fields they show to be live.
pub(super) async fn check(case: &CaseFile) -> (Vec<String>, BTreeSet<Field>) {
    let (mut problems, mut live) = (Vec::new(), BTreeSet::new());
    if case.claims.is_empty() {
        return (problems, live);
    }
    let known = fields();
    let original = run(case, None).await;
    for claim in &case.claims {
        let field = Field::parse(&claim.field).filter(|field| known.contains(field));
        let Some(field) = field else {
            problems.push(format!("there is no field `{}`", claim.field));
            continue;
        };
        match prove(case, claim, &field, &original).await {
            Ok(()) => drop(live.insert(field)),
            Err(problem) => problems.push(format!("`{field}`: {problem}")),
        }
    }
    (problems, live)
}

async fn prove(
    case: &CaseFile,
    claim: &Claim,
    field: &Field,
    original: &Outcome,
) -> Result<(), String> {
    let changed = match &claim.instead {
        Some((place, value)) => Variation {
            field: Field::parse(place).ok_or_else(|| format!("there is no field `{place}`"))?,
            value: Some(yaml_value(&Stand::default().fill(value))),
        },
        None => Variation { field: field.clone(), value: None },
    };
    let outcome = run(case, Some(&changed)).await;
    if outcome.is_unchanged {
        return Err("the case does not configure it".to_owned());
    }
    if let Some(refusal) = &outcome.refused {
        return judge_refusal(claim, field, refusal);
    }
    if claim.is_refused {
        return Err("without it nothing is refused".to_owned());
    }
    if outcome.essence() == original.essence() {
        return Err("the outcome is the same without it".to_owned());
    }
    Ok(())
}

/// A field that decides what is accepted, and nothing else, is live if that changes. That another
/// is refused for want of a required field proves nothing.
fn judge_refusal(claim: &Claim, field: &Field, refusal: &str) -> Result<(), String> {
    if !claim.is_refused {
        return Err(format!("without it the configuration is refused, say `instead`: {refusal}"));
    }
    let name = field.to_string();
    let is_danger = field.path.rsplit('.').next().is_some_and(|key| key.starts_with("danger_"));
    let is_declared = ACCEPTED_ONLY.iter().any(|(known, _)| *known == name);
    let is_missing = claim.instead.is_none() && field.is_required();
    if is_missing || !(is_danger || is_declared) {
        return Err("what is refused without it may still ignore it: say `instead`".to_owned());
    }
    Ok(())
}

/// The fields of the catalogue that nothing shows to be live.
pub(super) fn unclaimed(live: &BTreeSet<Field>) -> Vec<String> {
    let known = fields();
    // The runner of plugins treats `_meta` alike for all; one plugin shows each key.
    let is_live = |field: &Field| {
        live.contains(field) || field.is_meta() && live.iter().any(|other| other.path == field.path)
    };
    let names = known.iter().filter(|field| !is_live(field)).map(ToString::to_string);
    names.filter(|name| !COST_ONLY.iter().any(|(known, _)| known == name)).collect()
}
