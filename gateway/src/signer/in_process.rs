//! A signer in the gateway's own process: for development, the demo and tests.

use std::{path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use sealgate_broker_config::Error;

use super::{Answers, SignRequest, Signer, SignerError, core::Core};
use crate::{clock::SharedClock, telemetry::Metrics};

/// Batches above this leave the runtime's threads alone.
const INLINE: usize = 8;

/// Signs with keys of this process.
#[derive(Debug)]
pub struct InProcess {
    core: Arc<Core>,
    metrics: Arc<Metrics>,
}

impl InProcess {
    /// Opens the keys in `keys_dir`; `audit` is the file to book signatures in, if any.
    ///
    /// # Errors
    /// A key file is missing, exposed or does not fit the others.
    pub fn open(
        keys_dir: &Path,
        audit: Option<&Path>,
        clock: SharedClock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let core = Arc::new(Core::open(keys_dir, audit, clock)?);
        metrics.signer_up.set(1);
        Ok(Self { core, metrics })
    }

    /// Reads the keys again after a rotation; on failure the old ones stay.
    ///
    /// # Errors
    /// A key file is missing, exposed or does not fit the others.
    pub fn reload(&self) -> Result<(), Error> {
        self.core.reload()
    }

    /// Writes what the audit file has not got yet.
    pub fn flush(&self) {
        self.core.flush();
    }
}

impl Signer for InProcess {
    fn sign(&self, requests: Vec<SignRequest>) -> BoxFuture<'_, Result<Answers, SignerError>> {
        Box::pin(async move {
            let purposes: Vec<_> = requests.iter().map(|request| request.purpose).collect();
            let answers = sign(&self.core, requests).await?;
            for (purpose, answer) in purposes.iter().zip(&answers) {
                let result = if answer.is_ok() { "signed" } else { "refused" };
                let payloads = &self.metrics.signer_payloads;
                payloads
                    .with_label_values(&[purpose.as_str(), result])
                    .inc();
            }
            Ok(answers)
        })
    }

    fn key_set(&self) -> BoxFuture<'_, Result<Vec<u8>, SignerError>> {
        Box::pin(async { Ok(self.core.keyring().document().to_vec()) })
    }
}

/// Signs on this thread, or on another when there is much to do.
pub(super) async fn sign(
    core: &Arc<Core>,
    requests: Vec<SignRequest>,
) -> Result<Answers, SignerError> {
    if requests.len() <= INLINE {
        return core.sign(&requests);
    }
    let core = Arc::clone(core);
    tokio::task::spawn_blocking(move || core.sign(&requests))
        .await
        .unwrap_or_else(|error| Err(SignerError::Unreachable(error.to_string())))
}
