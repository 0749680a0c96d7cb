//! Walking a list as a client does: page by page, along `next_cursor`.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Client, StatusCode};
use sealgate::http::Cursors;
use serde_json::Value;

use super::{
    listings::{Asker, Depth, Listing, Samples},
    plan::Plan,
};
use crate::{
    report::Latencies,
    timer::{self, micros},
};

/// No walk takes longer, however slow its pages are.
const AT_MOST: Duration = Duration::from_secs(10);

/// A client with its tokens, and the secret that signs cursors: a test may begin in the middle of a list.
pub(super) struct Walker<'a> {
    pub(super) client: Client,
    pub(super) base: String,
    pub(super) tokens: [(Asker, String); 3],
    pub(super) cursors: Cursors,
    pub(super) plan: &'a Plan,
    pub(super) samples: &'a Samples,
    /// Pages of one walk.
    pub(super) pages: u64,
}

/// The deployment's secret.
pub(super) fn cursors(data: &Path) -> Result<Cursors> {
    let text = std::fs::read_to_string(data.join("secret.key"))?;
    let text = text.trim();
    ensure!(text.len() == 64, "a secret of 64 hex digits");
    let mut secret = [0; 32];
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16)?;
    }
    Ok(Cursors::new(secret))
}

impl Walker<'_> {
    /// Walks a list from one depth on, until so many pages were read; a list that ends before begins again.
    pub(super) async fn walk(
        &self,
        listing: &Listing,
        limit: Option<u32>,
        depth: Depth,
    ) -> Result<Latencies> {
        let mut latencies = Latencies::default();
        let start = self.start(listing, depth);
        let mut at = start.clone();
        let began = timer::now();
        while latencies.count() < self.pages && began.elapsed() < AT_MOST {
            let page = self
                .page(listing, limit, at.as_deref(), &mut latencies)
                .await?;
            at = next(listing, &page, at.as_deref()).or_else(|| start.clone());
        }
        Ok(latencies)
    }

    fn start(&self, listing: &Listing, depth: Depth) -> Option<String> {
        if let Some(after) = listing.after(self.plan, depth) {
            return Some(format!("after={after}"));
        }
        let key = listing.key(self.plan, self.samples, depth)?;
        let cursor = self.cursors.continued(&listing.path, &key);
        Some(format!("cursor={cursor}"))
    }

    async fn page(
        &self,
        listing: &Listing,
        limit: Option<u32>,
        at: Option<&str>,
        latencies: &mut Latencies,
    ) -> Result<Value> {
        let mut url = format!("{}/api/v1{}", self.base, listing.path);
        let limit = limit.map(|limit| format!("limit={limit}"));
        for more in at.into_iter().chain(limit.as_deref()) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(more);
        }
        let (_, token) = self
            .tokens
            .iter()
            .find(|(asker, _)| *asker == listing.asker)
            .context("a token for each asker")?;
        let asked = timer::now();
        let answer = self.client.get(&url).bearer_auth(token).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        latencies.record(micros(asked.elapsed()));
        if status != StatusCode::OK {
            bail!("{url}: {status} {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Where a walk goes on; none at the end of the list.
fn next(listing: &Listing, page: &Value, at: Option<&str>) -> Option<String> {
    if !listing.is_paged() {
        let after = format!("after={}", page.get("after")?.as_i64()?);
        return (at != Some(after.as_str())).then_some(after);
    }
    let cursor = page.get("next_cursor")?.as_str()?;
    Some(format!("cursor={cursor}"))
}
