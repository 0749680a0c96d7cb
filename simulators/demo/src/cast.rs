//! One seal and what its people do with it, at the device and in the console.

use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use sealgate_simulators::{
    net::{SealHandle, View},
    seal::{Input, Press, TruthPress},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::api::Api;

/// Longer than the gap that makes a press quick.
const UNHURRIED: Duration = Duration::from_millis(1_100);

/// Patience with anything that must happen at last: a gateway may be killed and a seal may back off meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);

/// A seal, the console, and the person who stamps.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) api: Api,
    pub(crate) seal: SealHandle,
    pub(crate) organization: String,
    pub(crate) member: String,
}

/// What a grant allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// Stamps, 0 for no limit.
    pub(crate) count: u16,
    /// How long it holds from now on.
    pub(crate) holds: Duration,
    /// Offline mode may be switched on.
    pub(crate) offline: bool,
}

impl Allowance {
    /// `count` stamps within a week.
    pub(crate) fn of(count: u16) -> Self {
        Self {
            count,
            holds: Duration::from_secs(7 * 86_400),
            offline: false,
        }
    }
}

impl Cast {
    /// Waits until the seal looks like that.
    pub(crate) async fn until(
        &self,
        what: &str,
        looks: impl Fn(&View) -> bool,
    ) -> anyhow::Result<View> {
        let end = Instant::now() + PATIENCE;
        loop {
            let view = self.seal.view().await?;
            if looks(&view) {
                return Ok(view);
            }
            if Instant::now() >= end {
                bail!("seal {}: never {what}; it is {view:?}", self.seal.name());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Turns the seal on and waits for its session.
    pub(crate) async fn switch_on(&self) -> anyhow::Result<()> {
        self.until("off before it is turned on", |view| !view.on || view.online)
            .await?;
        self.seal.power_on().await?;
        self.until("online", |view| view.online && view.leased)
            .await?;
        Ok(())
    }

    /// Turns the seal off and waits until it is.
    pub(crate) async fn switch_off(&self) -> anyhow::Result<()> {
        self.seal.power_off().await?;
        self.until("off", |view| !view.on).await?;
        Ok(())
    }

    /// Gives a grant and waits until the seal has it.
    pub(crate) async fn grant(&self, allowance: Allowance) -> anyhow::Result<String> {
        let now = Timestamp::now();
        let holds = SignedDuration::try_from(allowance.holds)?;
        let body = json!({
            "device": self.seal.name(),
            "member": self.member,
            "count": allowance.count,
            "not_before": (now - SignedDuration::from_secs(60)).to_string(),
            "not_after": (now + holds).to_string(),
            "offline_allowed": allowance.offline,
            "document": {"name": "Lease contract"},
        });
        let given = self.api.post("/grants", body).await?;
        let number = given["no"].as_u64().context("a grant has a number")?;
        self.until("granted", |view| {
            u64::from(view.grant) == number && view.leased
        })
        .await?;
        Api::id(&given)
    }

    /// Ends a grant and waits until the platform knows that the seal has ended it.
    pub(crate) async fn end(&self, grant: &str) -> anyhow::Result<()> {
        self.api
            .post(&format!("/grants/{grant}/end"), json!({}))
            .await?;
        self.eventually(&format!("/grants/{grant}"), |shown| {
            shown["state"] == "ended"
        })
        .await
    }

    /// Locks the seal by the console; milliseconds until the seal was locked.
    pub(crate) async fn lock(&self) -> anyhow::Result<u64> {
        let begun = Instant::now();
        self.order_lock().await?;
        self.until("locked", |view| view.locked).await?;
        Ok(u64::try_from(begun.elapsed().as_millis())?)
    }

    /// Orders the lock without waiting for the seal.
    pub(crate) async fn order_lock(&self) -> anyhow::Result<()> {
        let path = format!("/devices/{}/lock", self.seal.name());
        self.api.post(&path, json!({})).await.map(drop)
    }

    /// Unlocks the seal and waits until both sides know.
    pub(crate) async fn unlock(&self) -> anyhow::Result<()> {
        let device = format!("/devices/{}", self.seal.name());
        self.api
            .post(&format!("{device}/unlock"), json!({}))
            .await?;
        self.until("unlocked", |view| !view.locked).await?;
        self.eventually(&device, |shown| shown["lock"]["reported"] == false)
            .await
    }

    /// Unbinds the seal and waits until both sides know.
    pub(crate) async fn unbind(&self) -> anyhow::Result<()> {
        let device = format!("/devices/{}", self.seal.name());
        self.api
            .insist(&format!("{device}/unbind"), json!({}))
            .await?;
        self.eventually(&device, |shown| shown["life"] == "unbound")
            .await?;
        self.until("unbound", |view| !view.bound).await?;
        Ok(())
    }

    /// Switches offline mode on with the code sent to the owner's phone.
    pub(crate) async fn allow_offline(&self) -> anyhow::Result<()> {
        let codes = format!("/organizations/{}/codes", self.organization);
        self.api
            .post(&codes, json!({"purpose": "offline_mode"}))
            .await?;
        let code = self.newest_code().await?;
        let path = format!("/devices/{}/offline-mode", self.seal.name());
        self.api
            .insist(&path, json!({"enabled": true, "code": code}))
            .await?;
        self.until("in offline mode", |view| view.offline_mode)
            .await?;
        Ok(())
    }

    async fn newest_code(&self) -> anyhow::Result<String> {
        for _ in 0..100 {
            let inbox = self.api.get("/sms-inbox").await?;
            let items = inbox["items"].as_array().cloned().unwrap_or_default();
            let texts = items.iter().filter(|item| item["template"] == "code");
            let code = texts
                .filter_map(|item| item["text"].as_str())
                .find_map(six_digits);
            if let Some(code) = code {
                return Ok(code);
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("no code arrived at the owner's phone");
    }

    async fn eventually(
        &self,
        path: &str,
        holds: impl Fn(&serde_json::Value) -> bool,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let shown = self.api.get(path).await?;
            if holds(&shown) {
                return Ok(());
            }
            if Instant::now() >= end {
                bail!("{path} stays {shown}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses the head with the bracket out; the seal must be on.
    pub(crate) async fn press(&self) -> anyhow::Result<TruthPress> {
        let press = self.seal.press(Press::proper()).await?;
        press.with_context(|| format!("seal {} is off", self.seal.name()))
    }

    /// Presses without hurry: the press before is long ago.
    pub(crate) async fn press_calmly(&self, times: usize) -> anyhow::Result<()> {
        for _ in 0..times {
            sleep(UNHURRIED).await;
            self.press().await?;
        }
        Ok(())
    }

    /// Something else that is done to the seal.
    pub(crate) async fn act(&self, input: Input) -> anyhow::Result<()> {
        self.seal.act(input).await?;
        Ok(())
    }

    /// Waits until the platform has acknowledged every record.
    pub(crate) async fn drained(&self) -> anyhow::Result<()> {
        self.until("without records to send", |view| view.unsent == 0)
            .await?;
        Ok(())
    }
}

/// The first run of exactly six digits.
fn six_digits(text: &str) -> Option<String> {
    text.split(|letter: char| !letter.is_ascii_digit())
        .find(|word| word.len() == 6)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::six_digits;

    #[test]
    fn a_code_is_found_among_other_words() {
        let text = "Your code is 042731, good for 5 minutes (13800138000).";
        assert_eq!(six_digits(text).as_deref(), Some("042731"));
    }
}
