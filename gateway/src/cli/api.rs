//! The HTTP interface of a running gateway, as the command line uses it.

use std::{path::Path, time::Duration};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use sealgate_broker_config::{Error, files};
use serde_json::Value;

use super::{
    Exit, Failure,
    args::{Global, PageArgs},
    out::progress,
};

/// Data folder looked at when none is given.
pub(super) const DATA: &str = "sealgate-data";
/// Items asked for at a time.
const PAGE: usize = 200;
/// Longest wait for an answer that is not a long poll.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway and a token for it.
pub(super) struct Api {
    client: Client,
    base: String,
    token: String,
}

/// Query parameters; `None` is left out.
pub(super) type Query<'a> = [(&'a str, Option<String>)];

impl Api {
    /// Address and token from flags, environment, or the data folder.
    pub(super) fn find(global: &Global) -> Result<Self, Failure> {
        let data = global.data.clone().unwrap_or_else(|| DATA.into());
        let base = match &global.api {
            Some(url) => url.clone(),
            None => address(&data)?,
        };
        let token = match &global.token {
            Some(token) => token.clone(),
            None => admin_token(&data)?,
        };
        let client = Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .map_err(|error| Failure::of(Exit::Failed, &error))?;
        Ok(Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
            token,
        })
    }

    pub(super) async fn get(&self, path: &str, query: &Query<'_>) -> Result<Value, Failure> {
        let request = self.request(Method::GET, path);
        let given: Vec<_> = query
            .iter()
            .filter_map(|(name, value)| value.as_ref().map(|value| (*name, value.as_str())))
            .collect();
        self.send(request.query(&given)).await
    }

    /// With its entity tag.
    pub(super) async fn get_tagged(&self, path: &str) -> Result<(Value, Option<String>), Failure> {
        let response = self.answer(self.request(Method::GET, path)).await?;
        let tag = response
            .headers()
            .get("etag")
            .and_then(|tag| tag.to_str().ok())
            .map(str::to_owned);
        Ok((read(response).await?, tag))
    }

    /// Sends a key, so that a request sent again by the network is done once.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let key = uuid::Uuid::now_v7().to_string();
        let request = self
            .request(Method::POST, path)
            .header("Idempotency-Key", key);
        self.send(request.json(body)).await
    }

    /// Replaces or changes what has this entity tag.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        tag: Option<&str>,
        body: &Value,
    ) -> Result<Value, Failure> {
        let mut request = self.request(method, path).json(body);
        if let Some(tag) = tag {
            request = request.header("If-Match", tag);
        }
        self.send(request).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Items of a list, page by page, each page given to `each`; ends after `page.limit` items unless all are wanted.
    pub(super) async fn pages(
        &self,
        path: &str,
        query: &Query<'_>,
        page: &PageArgs,
        each: &mut (dyn FnMut(Vec<Value>) -> Result<(), Failure> + Send),
    ) -> Result<usize, Failure> {
        let bar = progress(None, "items");
        let mut cursor = None;
        let mut count = 0;
        loop {
            let left = if page.all { PAGE } else { page.limit - count };
            let mut query = query.to_vec();
            query.push(("limit", Some(left.clamp(1, PAGE).to_string())));
            query.push(("cursor", cursor));
            let mut answer = self.get(path, &query).await?;
            let mut items = match answer.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => items,
                _ => {
                    return Err(Failure::new(
                        Exit::Failed,
                        format!("{path} answered without a list"),
                    ));
                }
            };
            items.truncate(left);
            count += items.len();
            bar.inc(items.len() as u64);
            each(items)?;
            cursor = answer
                .get("next_cursor")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if cursor.is_none() || (!page.all && count >= page.limit) {
                bar.finish_and_clear();
                return Ok(count);
            }
        }
    }

    /// All items asked for.
    pub(super) async fn list(
        &self,
        path: &str,
        query: &Query<'_>,
        page: &PageArgs,
    ) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        self.pages(path, query, page, &mut |items| {
            all.extend(items);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1/{}", self.base, path.trim_start_matches('/'));
        self.client
            .request(method, url)
            .bearer_auth(&self.token)
            .header("Accept-Language", language())
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, Failure> {
        read(self.answer(request).await?).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<reqwest::Response, Failure> {
        let response = request.send().await.map_err(|error| {
            let cause = super::exit::chain(&error.without_url());
            Failure::new(
                Exit::Unreachable,
                format!("{} does not answer: {cause}", self.base),
            )
            .hint("is the gateway running? `sealgate serve`; another address is given with --api")
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem = read(response).await.unwrap_or(Value::Null);
        Err(refused(status, &problem))
    }
}

/// Refusals in the language of the terminal, as far as the gateway speaks it.
fn language() -> &'static str {
    let of = |name| std::env::var(name).unwrap_or_default();
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"].map(of);
    match set.iter().find(|value| !value.is_empty()) {
        Some(value) if value.starts_with("zh") => "zh",
        _ => "en",
    }
}

async fn read(response: reqwest::Response) -> Result<Value, Failure> {
    let bytes = response
        .bytes()
        .await
        .map_err(|error| Failure::of(Exit::Unreachable, &error.without_url()))?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|_| {
        Failure::new(Exit::Failed, "the answer is not JSON")
            .hint("does --api name a Sealgate gateway?")
    })
}

/// A problem document as a failure.
fn refused(status: StatusCode, problem: &Value) -> Failure {
    let exit = match status.as_u16() {
        400 => Exit::Usage,
        // A value that can not be read is the same mistake in a body as in a path.
        422 if problem.get("code").and_then(Value::as_str) == Some("invalid_body") => Exit::Usage,
        401 | 403 | 422 => Exit::Refused,
        404 | 410 => Exit::NotFound,
        409 | 412 | 428 => Exit::Conflict,
        429 | 502..=504 => Exit::Unreachable,
        _ => Exit::Failed,
    };
    let text = |key: &str| problem.get(key).and_then(Value::as_str);
    let mut message = text("title")
        .unwrap_or_else(|| status.canonical_reason().unwrap_or("refused"))
        .to_owned();
    if let Some(rule) = text("rule") {
        message = format!("{message} ({rule})");
    }
    if let Some(detail) = text("detail") {
        message = format!("{message}: {detail}");
    }
    for field in problem
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let part = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default();
        message.push_str(&format!("\n  {}: {}", part("field"), part("message")));
    }
    let failure = Failure::new(exit, message).document(problem);
    match (status.as_u16(), text("code")) {
        (401, _) => failure.hint("give a valid token with --token or SEALGATE_TOKEN; make one with `sealgate token create`"),
        (403, _) if text("detail").is_some() => failure.hint("a token that may do this: `sealgate token create NAME --scope ...` by one that has the scope itself"),
        (403, _) => failure.hint("`sealgate token create --scope ...` makes a token that may do this"),
        (412 | 428, _) => failure.hint("it was changed meanwhile; look at it and try again"),
        (_, Some("grants_not_required")) => failure.hint("to count and limit stamps, switch grants on: `sealgate org set ORG --grants-required true`"),
        (_, Some("device_offline")) => failure.hint("the seal must be switched on and connected for this"),
        _ => failure,
    }
}

fn address(data: &Path) -> Result<String, Failure> {
    let file = data.join("run/addresses.json");
    let found = std::fs::read(&file)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .and_then(|value| {
            value
                .get("http")?
                .as_str()
                .map(|http| format!("http://{http}"))
        });
    found.ok_or_else(|| {
        Failure::new(
            Exit::Unreachable,
            format!("no running gateway found: {} is missing", file.display()),
        )
        .hint("start one with `sealgate serve`, or name it with --api URL or --data DIR")
    })
}

fn admin_token(data: &Path) -> Result<String, Failure> {
    let file = data.join("admin.token");
    if !file.exists() {
        return Err(Failure::new(Exit::Refused, "no token given").hint(format!(
            "give one with --token or SEALGATE_TOKEN ({} does not exist); the first one is made on the gateway's machine: \
             `sealgate token create ops --admin --local --config sealgate.toml`",
            file.display()
        )));
    }
    let secret = files::read_secret(&file).map_err(|error| {
        let exposed = matches!(error, Error::Exposed { .. });
        let failure = Failure::from(error);
        if !exposed {
            return failure;
        }
        failure.hint(format!(
            "whoever read it may do everything: run `chmod 600 {}`, make another token, and revoke this one \
             (`sealgate token list`, `sealgate token revoke ID`)",
            file.display()
        ))
    })?;
    Ok(String::from_utf8_lossy(&secret).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_problem_becomes_a_failure_with_its_rule_and_fields() {
        let problem = json!({
            "title": "The count is out of range", "rule": "USE-7", "code": "count",
            "errors": [{"field": "count", "message": "must be at most 500"}],
        });
        let failure = refused(StatusCode::UNPROCESSABLE_ENTITY, &problem);
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(
            failure.to_string(),
            "error: The count is out of range (USE-7)\n  count: must be at most 500"
        );
        let failure = refused(StatusCode::NOT_FOUND, &Value::Null);
        assert_eq!(failure.exit, Exit::NotFound);
        let unread =
            json!({"code": "invalid_body", "errors": [{"field": "from", "message": "no time"}]});
        assert_eq!(
            refused(StatusCode::UNPROCESSABLE_ENTITY, &unread).exit,
            Exit::Usage
        );
        let free = json!({"code": "grants_not_required", "rule": "USE-15"});
        let failure = refused(StatusCode::CONFLICT, &free);
        assert!(
            failure
                .to_string()
                .contains("org set ORG --grants-required true")
        );
        assert_eq!(
            refused(StatusCode::CONFLICT, &json!({"code": "device_offline"})).exit,
            Exit::Conflict
        );
    }

    #[test]
    fn address_and_token_come_from_the_data_folder() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(address(dir.path()).unwrap_err().exit, Exit::Unreachable);
        assert_eq!(admin_token(dir.path()).unwrap_err().exit, Exit::Refused);
        std::fs::create_dir(dir.path().join("run")).unwrap();
        std::fs::write(
            dir.path().join("run/addresses.json"),
            r#"{"http":"127.0.0.1:1"}"#,
        )
        .unwrap();
        files::create(&dir.path().join("admin.token"), b"sk_abc\n", files::SECRET).unwrap();
        assert_eq!(address(dir.path()).unwrap(), "http://127.0.0.1:1");
        assert_eq!(admin_token(dir.path()).unwrap(), "sk_abc");
    }

    #[test]
    fn a_token_file_that_others_may_read_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("admin.token");
        files::create(&file, b"sk_abc\n", files::PUBLIC).unwrap();
        let failure = admin_token(dir.path()).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        let told = failure.to_string();
        assert!(
            told.contains("chmod 600") && told.contains("revoke"),
            "{told}"
        );
        assert!(!told.contains("sk_abc"), "{told}");
    }
}
