//! The lake on an S3 store.
//!
//! The client never retries: a retried PUT that landed the first time comes back as "already exists" on our own
//! write, and what may be repeated is repeated by the gate before it, which counts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::{ClientOptions, DynObjectStore, ObjectStore, PutMode, PutOptions, RetryConfig};
use url::Url;

use super::{PutAnswer, Store, StoreSpec, object_path, runtime};
use crate::LakeError;

/// Longest a single request may take before its outcome counts as unknown.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The same for a commit, which is some kilobytes: its doubt is settled by reading, and better soon.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A store in one bucket.
#[derive(Debug)]
pub struct S3Store {
    root: Url,
    objects: Arc<DynObjectStore>,
    runtime: tokio::runtime::Runtime,
}

impl S3Store {
    /// Open the bucket of a lake; no request is made yet.
    ///
    /// # Errors
    /// `StoreInvalid` when the spec is not one of S3.
    pub fn open(spec: &StoreSpec) -> Result<Self, LakeError> {
        let root = spec.url()?;
        let invalid = |reason: String| LakeError::StoreInvalid { uri: spec.uri.clone(), reason };
        let bucket = root.host_str().ok_or_else(|| invalid("no bucket is named".to_owned()))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(spec.region.as_deref().unwrap_or("us-east-1"))
            .with_allow_http(spec.allow_http)
            .with_virtual_hosted_style_request(false)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_client_options(
                ClientOptions::new()
                    .with_timeout(REQUEST_TIMEOUT)
                    .with_connect_timeout(Duration::from_secs(3))
                    .with_allow_http(spec.allow_http),
            )
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        if let Some(endpoint) = &spec.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(key) = &spec.access_key_id {
            builder = builder.with_access_key_id(key);
        }
        if let Some(secret) = &spec.secret_access_key {
            builder = builder.with_secret_access_key(secret);
        }
        let objects = Arc::new(builder.build().map_err(|e| invalid(e.to_string()))?);
        Ok(Self { objects, runtime: runtime(spec)?, root })
    }
}

impl Store for S3Store {
    fn root(&self) -> &Url {
        &self.root
    }

    fn objects(&self) -> Arc<DynObjectStore> {
        self.objects.clone()
    }

    fn put_if_absent(&self, url: &Url, bytes: Bytes) -> PutAnswer {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = object_path(url);
        let put = self.objects.put_opts(&path, bytes.into(), options);
        match self.runtime.block_on(async { tokio::time::timeout(COMMIT_TIMEOUT, put).await }) {
            Ok(Ok(_)) => PutAnswer::Created,
            Ok(Err(object_store::Error::AlreadyExists { .. })) => PutAnswer::Exists,
            Ok(Err(e)) => PutAnswer::Failed(e.to_string()),
            Err(_) => PutAnswer::Failed(format!("no answer for {} s", COMMIT_TIMEOUT.as_secs())),
        }
    }

    fn confirm(&self, _log: &Url) -> Result<(), LakeError> {
        Ok(())
    }

    fn make_root(&self, _url: &Url) -> Result<(), LakeError> {
        Ok(())
    }

    fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }
}
