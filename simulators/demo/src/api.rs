//! The platform's HTTP API as the demo uses it: a bearer token, JSON, and patience with a gateway that is being killed.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// How long a gateway may be away.
const AWAY: Duration = Duration::from_secs(90);

/// One token at one gateway.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    base: Arc<str>,
    token: Arc<str>,
    client: Client,
}

impl Api {
    pub(crate) fn new(base: &str, token: &str) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(Duration::from_secs(20))
            .no_proxy()
            .build()?;
        Ok(Self {
            base: base.into(),
            token: token.into(),
            client,
        })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.expect(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.expect(Method::POST, path, Some(body)).await
    }

    /// Posts until it is accepted: a seal may be between two sessions just now.
    pub(crate) async fn insist(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let until = Instant::now_plus(AWAY);
        loop {
            match self.ask(Method::POST, path, Some(body.clone())).await? {
                (status, answer) if status.is_success() => return Ok(answer),
                (StatusCode::CONFLICT, answer) if !until.is_past() => {
                    tracing::debug!(path, %answer, "not yet");
                    sleep(Duration::from_millis(300)).await;
                }
                (status, answer) => bail!("POST {path}: {status} {answer}"),
            }
        }
    }

    /// Every item of a listing, page by page.
    pub(crate) async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let glue = if path.contains('?') { '&' } else { '?' };
            let page = match &cursor {
                Some(cursor) => format!("{path}{glue}limit=200&cursor={cursor}"),
                None => format!("{path}{glue}limit=200"),
            };
            let mut body = self.get(&page).await?;
            let found = body["items"]
                .as_array_mut()
                .context("a page without items")?;
            items.append(found);
            cursor = body["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(items);
            }
        }
    }

    /// The id in an answer.
    pub(crate) fn id(answer: &Value) -> anyhow::Result<String> {
        let id = answer["id"].as_str();
        Ok(id.with_context(|| format!("no id in {answer}"))?.to_owned())
    }

    async fn expect(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(method.clone(), path, body).await?;
        if !status.is_success() {
            bail!("{method} {path}: {status} {answer}");
        }
        Ok(answer)
    }

    /// One answer. While no gateway listens the question is asked again; each POST carries one idempotency key
    /// through all its tries, so that it is done once.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let url = format!("{}/api/v1{path}", self.base);
        let key = format!("demo-{:032x}", rand::random::<u128>());
        let until = Instant::now_plus(AWAY);
        loop {
            let mut request = self
                .client
                .request(method.clone(), &url)
                .bearer_auth(&self.token);
            if method == Method::POST {
                request = request.header("Idempotency-Key", &key);
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            let answer = match request.send().await {
                Ok(response) => {
                    let status = response.status();
                    response.text().await.map(|text| (status, text))
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok((status, text)) if transient(status, &text) && !until.is_past() => {}
                Ok((status, text)) => {
                    let value = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
                    return Ok((status, value));
                }
                Err(error) if until.is_past() => {
                    return Err(error).with_context(|| format!("{method} {url}"));
                }
                Err(_) => {}
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A gateway killed in the middle of a request leaves its key taken for a minute: then it is done, once.
fn transient(status: StatusCode, text: &str) -> bool {
    matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY
    ) || (status == StatusCode::CONFLICT && text.contains("\"request_in_flight\""))
}

/// Deadlines by the runtime's clock.
trait Deadline {
    fn now_plus(wait: Duration) -> Self;
    fn is_past(&self) -> bool;
}

impl Deadline for Instant {
    fn now_plus(wait: Duration) -> Self {
        Self::now() + wait
    }

    fn is_past(&self) -> bool {
        Self::now() >= *self
    }
}
