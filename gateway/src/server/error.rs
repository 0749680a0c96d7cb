//! Why a gateway did not start.

use std::{io, path::PathBuf};

use crate::{
    ingress::{business::BusinessError, front::FrontError, front::TlsError},
    store::StoreError,
};

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another gateway works in the data folder, or on the database file.
    #[error("another gateway works in {}: stop it, or give this one a place and a database of its own", .0.display())]
    Taken(PathBuf),
    /// A file of the data folder can not be made or read.
    #[error("data folder")]
    Files(#[from] sealgate_broker_config::Error),
    /// The signing keys can not be used.
    #[error("signing keys")]
    Keys(#[source] sealgate_broker_config::Error),
    /// The database can not be reached or is not fit.
    #[error("database")]
    Store(#[from] StoreError),
    /// Certificates do not work.
    #[error("certificates of the front")]
    Front(#[from] TlsError),
    /// An address can not be listened at.
    #[error("can not listen at {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// Something else.
    #[error("{0}")]
    Failed(String),
}

impl From<FrontError> for ServerError {
    fn from(error: FrontError) -> Self {
        match error {
            FrontError::Tls(error) => Self::Front(error),
            FrontError::Listen { address, source } => Self::Listen {
                address: address.to_string(),
                source,
            },
        }
    }
}

impl From<BusinessError> for ServerError {
    fn from(error: BusinessError) -> Self {
        match error {
            BusinessError::Tls(error) => Self::Front(error),
            BusinessError::Listen { address, source } => Self::Listen {
                address: address.to_string(),
                source,
            },
        }
    }
}
