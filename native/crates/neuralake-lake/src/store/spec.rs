//! What a store is, as the Python side says it.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::Gates;
use crate::LakeError;

/// Address of a lake and, for S3, how to sign in. The secret shows in no debug output.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {
    /// `file:///…` or `s3://bucket/prefix`.
    pub uri: String,
    /// Endpoint of an S3 store that is not Amazon's.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Region the requests are signed for.
    #[serde(default)]
    pub region: Option<String>,
    /// Access key.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// Its secret.
    #[serde(default)]
    pub secret_access_key: Option<String>,
    /// Whether plain HTTP is allowed, as on loopback.
    #[serde(default)]
    pub allow_http: bool,
    /// Gates of every store opened by this spec or a copy of it: what they do is counted together.
    #[serde(skip)]
    pub gates: Arc<Gates>,
}

impl StoreSpec {
    /// The address, ending in `/`.
    ///
    /// # Errors
    /// `StoreInvalid` when it is no address of a kind we know.
    pub fn url(&self) -> Result<Url, LakeError> {
        let invalid = |reason: String| LakeError::StoreInvalid { uri: self.uri.clone(), reason };
        let text = if self.uri.ends_with('/') { self.uri.clone() } else { format!("{}/", self.uri) };
        let url = Url::parse(&text).map_err(|e| invalid(e.to_string()))?;
        match url.scheme() {
            "file" | "s3" => Ok(url),
            other => Err(invalid(format!("found the scheme {other}, expected file or s3"))),
        }
    }
}

impl fmt::Debug for StoreSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSpec").field("uri", &self.uri).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
