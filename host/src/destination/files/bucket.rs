//! Files in an object store: Amazon S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.
//!
//! Credentials, region and endpoint come from each store's usual environment variables. Must never take a secret from
//! the URL, which reports show.

use std::io;

use arrow::error::ArrowError;
use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig};
use percent_encoding::percent_decode_str;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::commit_log::LOADS;
use super::refused;
use super::storage::{Fill, Storage};
use crate::error::{Error, ErrorKind, Result};

/// How often one request is tried again; the pipeline tries whole packages again.
const RETRIES: usize = 3;

#[derive(Debug)]
pub(super) struct Bucket {
    store: Box<dyn ObjectStore>,
    root: String,
    runtime: Runtime,
}

impl Bucket {
    /// The bucket must be there; what is in it is made by the first write.
    pub(super) fn open(url: &str, dataset: &str) -> Result<Self> {
        let wrong = |message: &str| {
            Error::new(ErrorKind::Usage, message)
                .with_help("write s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER")
        };
        let parsed = Url::parse(url).map_err(|error| wrong("this is no URL of an object store").with_source(error))?;
        if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() {
            return Err(wrong("the URL of an object store holds no credentials and no parameters")
                .with_help("set the environment's variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL"));
        }
        // Fails only when another part of the process installed one before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig { max_retries: RETRIES, ..RetryConfig::default() };
        let place = format!("{}://{}", parsed.scheme(), parsed.host_str().unwrap_or_default());
        let store: object_store::Result<Box<dyn ObjectStore>> = match parsed.scheme() {
            "s3" => {
                AmazonS3Builder::from_env().with_url(&place).with_retry(retry).build().map(|store| Box::new(store) as _)
            }
            "gs" => GoogleCloudStorageBuilder::from_env()
                .with_url(&place)
                .with_retry(retry)
                .build()
                .map(|store| Box::new(store) as _),
            "az" => MicrosoftAzureBuilder::from_env()
                .with_url(&place)
                .with_retry(retry)
                .build()
                .map(|store| Box::new(store) as _),
            scheme => return Err(wrong(&format!("unknown kind of object store `{scheme}`"))),
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::new(ErrorKind::Internal, "no runtime").with_source(error))?;
        let folder = percent_decode_str(parsed.path()).decode_utf8_lossy();
        let folder = folder.trim_matches('/');
        let root = if folder.is_empty() { dataset.to_owned() } else { format!("{folder}/{dataset}") };
        let opened = store.map_err(failed).map(|store| Self { store, root, runtime });
        opened.and_then(|bucket| bucket.files(LOADS).map(|_| bucket)).map_err(|error| {
            refused(error)
                .with_context("object store", place)
                .with_help("are the bucket, and the variables with its credentials, region and endpoint, right?")
        })
    }

    fn path(&self, path: &str) -> io::Result<Path> {
        Path::parse(format!("{}/{path}", self.root)).map_err(|error| failed(error.into()))
    }
}

impl Storage for Bucket {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let path = self.path(path)?;
        let read = self.runtime.block_on(async { self.store.get(&path).await?.bytes().await });
        read.map(Vec::from).map_err(failed)
    }

    fn files(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let folder = self.path(folder)?;
        let found: Vec<ObjectMeta> =
            self.runtime.block_on(self.store.list(Some(&folder)).try_collect()).map_err(failed)?;
        let root = format!("{}/", self.root);
        let file = |object: &ObjectMeta| Some((object.location.as_ref().strip_prefix(&root)?.to_owned(), object.size));
        let mut files: Vec<(String, u64)> = found.iter().filter_map(file).collect();
        files.sort();
        Ok(files)
    }

    fn put(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let (path, content) = (self.path(path)?, content.to_vec());
        self.runtime.block_on(self.store.put(&path, content.into())).map(drop).map_err(failed)
    }

    /// A file that is smaller than a package goes in one piece.
    fn write(&self, path: &str, fill: Fill<'_>) -> Result<(), ArrowError> {
        let mut content = Vec::new();
        fill(&mut content)?;
        let path = self.path(path)?;
        self.runtime.block_on(self.store.put(&path, content.into())).map_err(failed)?;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        let renamed = self.runtime.block_on(async {
            self.store.copy(&from, &to).await?;
            self.store.delete(&from).await
        });
        unless_missing(renamed)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.path(path)?;
        unless_missing(self.runtime.block_on(self.store.delete(&path)))
    }
}

fn unless_missing(done: object_store::Result<()>) -> io::Result<()> {
    match done {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        done => done.map_err(failed),
    }
}

/// By what can be done about it.
fn failed(error: object_store::Error) -> io::Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => io::ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            io::ErrorKind::PermissionDenied
        }
        // What was tried several times.
        object_store::Error::Generic { .. } => io::ErrorKind::HostUnreachable,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
