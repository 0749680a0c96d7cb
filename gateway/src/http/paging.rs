//! Pages by key, never by offset: a cursor is opaque, signed, and good for one listing with one set of filters.

use axum::http::Uri;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;
use utoipa::ToSchema;

use super::problem::Problem;

/// Items of a page when the caller names no number.
pub(crate) const DEFAULT_LIMIT: u32 = 50;
/// Items of a page at most.
pub(crate) const MAX_LIMIT: u32 = 200;
const MAC_LEN: usize = 16;
/// No cursor of ours is longer.
const MAX_CURSOR: usize = 512;

/// One page of a listing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Send it as `cursor` for the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page of other items.
    pub(crate) fn map<U>(self, change: impl Fn(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

/// Signs and reads cursors.
#[derive(Debug, Clone)]
pub struct Cursors {
    secret: [u8; 32],
}

impl Cursors {
    /// With the deployment's secret.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// A cursor that goes on behind `key`, for the listing at `path` (below the prefix, with its filters).
    ///
    /// # Panics
    /// `path` is no path.
    #[must_use]
    pub fn continued(&self, path: &str, key: &serde_json::Value) -> String {
        let uri: Uri = path.parse().expect("a path with its filters");
        self.sign(&Self::listing(&uri), key)
    }

    /// Which listing a request asks for: its path and every filter, without cursor and limit.
    pub(crate) fn listing(uri: &Uri) -> String {
        let mut filters: Vec<_> = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| {
                let name = pair.split('=').next().unwrap_or_default();
                !name.is_empty() && name != "cursor" && name != "limit"
            })
            .collect();
        filters.sort_unstable();
        format!("{}?{}", uri.path(), filters.join("&"))
    }

    fn mac(&self, listing: &str, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any key length will do");
        mac.update(listing.as_bytes());
        mac.update(&[0]);
        mac.update(payload);
        mac
    }

    /// Writes the key of the last item shown.
    pub(crate) fn sign<K: Serialize>(&self, listing: &str, key: &K) -> String {
        let mut bytes = serde_json::to_vec(key).expect("keys are numbers and texts");
        let mac = self.mac(listing, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_LEN]);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Reads a cursor back.
    pub(crate) fn read<K: DeserializeOwned>(
        &self,
        listing: &str,
        cursor: &str,
    ) -> Result<K, Problem> {
        let refused = || {
            Problem::bad_request(
                "bad_cursor",
                (
                    "游标只能用于给出它的列表和筛选条件",
                    "a cursor is good for the listing and the filters it came from",
                ),
            )
        };
        if cursor.len() > MAX_CURSOR {
            return Err(refused());
        }
        let bytes = BASE64URL_NOPAD
            .decode(cursor.as_bytes())
            .map_err(|_| refused())?;
        let split = bytes.len().checked_sub(MAC_LEN).ok_or_else(refused)?;
        let (payload, mac) = bytes.split_at(split);
        self.mac(listing, payload)
            .verify_truncated_left(mac)
            .map_err(|_| refused())?;
        serde_json::from_slice(payload).map_err(|_| refused())
    }

    /// Reads the cursor of a request that may have none.
    pub(crate) fn after<K: DeserializeOwned>(
        &self,
        listing: &str,
        cursor: Option<&str>,
    ) -> Result<Option<K>, Problem> {
        cursor.map(|cursor| self.read(listing, cursor)).transpose()
    }

    /// Cuts one item more than a page down to the page and writes the cursor behind it.
    pub(crate) fn page<T, K: Serialize>(
        &self,
        listing: &str,
        mut items: Vec<T>,
        limit: u32,
        key: impl Fn(&T) -> K,
    ) -> Page<T> {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next_cursor = items
            .last()
            .filter(|_| more)
            .map(|last| self.sign(listing, &key(last)));
        Page { items, next_cursor }
    }
}

/// How many items a page shall have.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(Problem::bad_request(
            "invalid_query",
            (
                format!("limit：须为1至{MAX_LIMIT}"),
                format!("limit: 1 to {MAX_LIMIT}"),
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let cursors = Cursors::new([7; 32]);
        let cursor = cursors.sign("/a?", &(5_i64, "x".to_owned()));
        let key: (i64, String) = cursors.read("/a?", &cursor).unwrap();
        assert_eq!(key, (5, "x".into()));
    }

    #[test]
    fn a_cursor_of_another_listing_or_changed_by_one_character_is_refused() {
        let cursors = Cursors::new([7; 32]);
        let cursor = cursors.sign("/a?", &5_i64);
        assert!(cursors.read::<i64>("/b?", &cursor).is_err());
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(cursors.read::<i64>("/a?", &changed).is_err(), "at {at}");
        }
        for bad in ["", "A", "****", &"A".repeat(2000)] {
            assert!(cursors.read::<i64>("/a?", bad).is_err());
        }
    }

    #[test]
    fn the_order_of_filters_and_the_page_size_do_not_matter() {
        let listing = |text: &str| Cursors::listing(&text.parse().unwrap());
        assert_eq!(
            listing("/s?b=1&a=2&limit=5"),
            listing("/s?a=2&cursor=x&b=1")
        );
        assert_ne!(listing("/s?a=2"), listing("/s?a=3"));
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let cursors = Cursors::new([7; 32]);
        assert!(
            cursors
                .page("/", vec![1, 2], 2, |n| *n)
                .next_cursor
                .is_none()
        );
        let page = cursors.page("/", vec![1, 2, 3], 2, |n| *n);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(
            cursors
                .read::<i32>("/", &page.next_cursor.unwrap())
                .unwrap(),
            2
        );
    }
}
