//! A client of the HTTP API that fails loudly: a test that expects success gets the body of what went wrong.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode, header};
use serde_json::Value;

/// Answer to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// `ETag`, when there was one.
    pub etag: Option<String>,
    /// Body as JSON; `Null` when it was empty, a string when it was no JSON.
    pub body: Value,
}

impl Answer {
    /// The stable code of a refusal.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// The rule a refusal names.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.body["rule"].as_str().unwrap_or("")
    }
}

/// Speaks to one gateway with one token.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: String,
    http: Client,
}

impl Api {
    /// For the gateway at `address` (host and port).
    ///
    /// # Panics
    /// The HTTP client cannot be built.
    #[must_use]
    pub fn new(address: impl std::fmt::Display, token: &str) -> Self {
        // The client refuses to be built without a TLS provider, though it only speaks plain HTTP here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .timeout(Duration::from_secs(40))
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Self {
            base: format!("http://{address}"),
            token: token.to_owned(),
            http,
        }
    }

    /// The same gateway with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// The same gateway after a restart on other ports.
    #[must_use]
    pub fn at(&self, address: impl std::fmt::Display) -> Self {
        Self {
            base: format!("http://{address}"),
            ..self.clone()
        }
    }

    /// One request; `path` below `/api/v1`, or absolute when it begins with `/`.
    ///
    /// # Errors
    /// No answer came.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.base)
        } else {
            format!("{}/api/v1/{path}", self.base)
        };
        let mut request = self.http.request(method, url);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let etag = response
            .headers()
            .get(header::ETAG)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let text = response.text().await?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        Ok(Answer { status, etag, body })
    }

    async fn succeed(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self
            .ask(method.clone(), path, &[], body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!(
            answer.status.is_success(),
            "{method} {path} {}: {} {}",
            body.cloned().unwrap_or_default(),
            answer.status,
            answer.body
        );
        answer.body
    }

    /// GET that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        self.succeed(Method::GET, path, None).await
    }

    /// POST that must succeed.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.succeed(Method::POST, path, Some(&body)).await
    }

    /// DELETE that must succeed.
    pub async fn delete(&self, path: &str) -> Value {
        self.succeed(Method::DELETE, path, None).await
    }

    /// POST whose answer the test looks at.
    ///
    /// # Panics
    /// No answer came.
    pub async fn try_post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, &[], Some(&body))
            .await
            .unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// GET whose answer the test looks at.
    ///
    /// # Panics
    /// No answer came.
    pub async fn try_get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], None)
            .await
            .unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// PUT or PATCH under the entity tag of what is there now.
    pub async fn change(&self, method: Method, path: &str, body: Value) -> Value {
        let now = self.try_get(path).await;
        let etag = now.etag.unwrap_or_else(|| "*".to_owned());
        let answer = self
            .ask(method.clone(), path, &[("if-match", &etag)], Some(&body))
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!(
            answer.status.is_success(),
            "{method} {path} {body}: {} {}",
            answer.status,
            answer.body
        );
        answer.body
    }

    /// Every item of a listing, page by page.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut next = format!("{path}{join}limit=200");
        loop {
            let page = self.get(&next).await;
            let more = page["items"]
                .as_array()
                .unwrap_or_else(|| panic!("{path} is no listing: {page}"));
            items.extend(more.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}{join}limit=200&cursor={cursor}"),
                None => return items,
            }
        }
    }

    /// The sum of all samples of a metric, 0 when it is not there.
    ///
    /// # Panics
    /// No answer came.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = self.try_get("/metrics").await.body;
        let page = page.as_str().unwrap_or("").to_owned();
        page.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with([' ', '{']))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}
