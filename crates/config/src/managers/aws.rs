//! Secrets Manager of Amazon Web Services, where references `$secret://aws/<id>/<secret>/<key>` lead.

use bartizan_core::Secret;

/// Secrets Manager in one region, with the key that requests are signed with.
#[derive(Clone, Debug)]
pub struct Aws {
    /// Where it is: scheme, host and port.
    pub endpoint: String,
    /// The region, which is part of each signature.
    pub region: String,
    /// The name of the key.
    pub access_key_id: Secret,
    /// The key.
    pub secret_access_key: Secret,
    /// What goes with a key that ends by itself.
    pub session_token: Option<Secret>,
}

impl Aws {
    /// Where the service of a region is.
    pub(crate) fn endpoint_of(region: &str) -> String {
        // The regions of China are a partition of their own.
        let end = if region.starts_with("cn-") { ".cn" } else { "" };
        format!("https://secretsmanager.{region}.amazonaws.com{end}")
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        let token = match (&self.session_token, &other.session_token) {
            (Some(one), Some(other)) => one.matches(other.expose()),
            (None, None) => true,
            _ => false,
        };
        token
            && self.endpoint == other.endpoint
            && self.region == other.region
            && self.access_key_id.matches(other.access_key_id.expose())
            && self.secret_access_key.matches(other.secret_access_key.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_of_a_region_is_at_the_name_of_its_partition() {
        for (region, endpoint) in [
            ("eu-central-1", "https://secretsmanager.eu-central-1.amazonaws.com"),
            ("cn-north-1", "https://secretsmanager.cn-north-1.amazonaws.com.cn"),
        ] {
            assert_eq!(Aws::endpoint_of(region), endpoint);
        }
    }
}
