//! Makes a fresh fleet usable through the platform's HTTP interface: stock, organizations, binding.
//!
//! An organization may bind fifty devices, so a large fleet is spread over many. They need no grants (USE-15): the
//! platform gives every bound seal one without limit.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::sleep};

use crate::tasks;

/// Devices an organization may bind.
const QUOTA: usize = 50;

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// How often something that is not yet possible is tried, and how long apart.
const TRIES: (usize, Duration) = (300, Duration::from_millis(200));

/// Why a fleet could not be made usable.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// No answer.
    #[error("the platform does not answer: {0}")]
    Http(#[from] reqwest::Error),
    /// A refusal.
    #[error("{path}: {status} {body}")]
    Refused {
        /// What was asked.
        path: String,
        /// Status.
        status: StatusCode,
        /// Why.
        body: String,
    },
    /// The manifest of the devices.
    #[error("the manifest cannot be read: {0}")]
    Manifest(#[from] std::io::Error),
    /// A worker ended badly.
    #[error("a worker ended badly: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// The platform, with a token that may do all this.
#[derive(Debug, Clone)]
pub struct Platform {
    base: Arc<str>,
    token: Arc<str>,
    client: Client,
    gate: Arc<Semaphore>,
}

impl Platform {
    /// The platform at `base`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(base: &str, token: &str) -> Result<Self, ProvisionError> {
        // The client wants a provider even where it speaks plain HTTP; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(Duration::from_secs(60))
            .no_proxy()
            .build()?;
        Ok(Self {
            base: base.trim_end_matches('/').into(),
            token: token.into(),
            client,
            gate: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Takes the manifest of `folder` into stock and hands `names` to organizations.
    ///
    /// # Errors
    /// The platform refuses.
    pub async fn deliver(&self, folder: &Path, names: &[String]) -> Result<(), ProvisionError> {
        let manifest = std::fs::read(folder.join("manifest.json"))?;
        let mut entries: Vec<Value> =
            serde_json::from_slice(&manifest).map_err(std::io::Error::from)?;
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            let known = ["id", "model", "serial", "log_public", "cert_sha256"];
            entry.retain(|key, _| known.contains(&key.as_str()));
        }
        for part in entries.chunks(500) {
            self.post("/devices/import", json!(part)).await?;
        }
        let lives = self.lives().await?;
        let fresh: Vec<String> = names
            .iter()
            .filter(|name| lives.get(*name).is_some_and(|life| is_in_stock(life)))
            .cloned()
            .collect();
        for (number, part) in fresh.chunks(QUOTA).enumerate() {
            let organization = json!({
                "name": format!("Simulated company {}", number + 1),
                "owner": {"name": "Owner", "phone": format!("137{:08}", number + 1)},
                "grants_required": false,
            });
            let made = self.post("/organizations", organization).await?;
            let body = json!({"organization": made["id"]});
            self.each(part, "deliver", &body).await?;
        }
        Ok(())
    }

    /// Binds those of `names` that are not bound; they must be connected, or connect soon.
    ///
    /// # Errors
    /// The platform refuses for another reason than that a device is not connected yet.
    pub async fn bind(&self, names: &[String]) -> Result<(), ProvisionError> {
        let lives = self.lives().await?;
        let unbound: Vec<String> = names
            .iter()
            .filter(|name| lives.get(*name).is_some_and(|life| life == "unbound"))
            .cloned()
            .collect();
        self.each(&unbound, "bind", &json!({})).await
    }

    /// The same action for many devices, some at a time.
    async fn each(
        &self,
        names: &[String],
        action: &str,
        body: &Value,
    ) -> Result<(), ProvisionError> {
        let mut work = Vec::with_capacity(names.len());
        for name in names {
            let (platform, body) = (self.clone(), body.clone());
            let path = format!("/devices/{name}/{action}");
            work.push(tasks::spawn("provision", async move {
                platform.insist(&path, &body).await
            }));
        }
        for done in work {
            done.await??;
        }
        Ok(())
    }

    async fn insist(&self, path: &str, body: &Value) -> Result<(), ProvisionError> {
        let (tries, pause) = TRIES;
        for _ in 0..tries {
            let (status, _) = self.ask(Method::POST, path, Some(body)).await?;
            if status != StatusCode::CONFLICT && status != StatusCode::TOO_MANY_REQUESTS {
                break;
            }
            sleep(pause).await;
        }
        // A device that was bound meanwhile refuses again, and that is fine.
        Ok(())
    }

    async fn lives(&self) -> Result<HashMap<String, String>, ProvisionError> {
        let mut lives = HashMap::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/devices?limit=200{cursor}");
            let (status, page) = self.ask(Method::GET, &path, None).await?;
            refuse(&path, status, &page)?;
            for device in page["items"].as_array().into_iter().flatten() {
                if let (Some(id), Some(life)) = (device["id"].as_str(), device["life"].as_str()) {
                    lives.insert(id.to_owned(), life.to_owned());
                }
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(lives),
            }
        }
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, ProvisionError> {
        let (status, answer) = self.ask(Method::POST, path, Some(&body)).await?;
        refuse(path, status, &answer)?;
        Ok(answer)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), ProvisionError> {
        let _turn = self.gate.acquire().await;
        let url = format!("{}/api/v1{path}", self.base);
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }
}

fn is_in_stock(life: &str) -> bool {
    matches!(life, "manufactured" | "not_delivered")
}

fn refuse(path: &str, status: StatusCode, body: &Value) -> Result<(), ProvisionError> {
    if status.is_success() {
        return Ok(());
    }
    Err(ProvisionError::Refused {
        path: path.to_owned(),
        status,
        body: body.to_string(),
    })
}
