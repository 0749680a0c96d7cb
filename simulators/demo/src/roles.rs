//! The parts of the scripted day: each of the ten abnormal kinds (REC-6), two broken links, an offline week, a loss
//! lock while the seal is off. A part leaves its seal on, unlocked, connected and without an open grant.

use std::time::Duration;

use anyhow::ensure;
use sealgate_simulators::{net::LinkFault, seal::Input};
use tokio::time::sleep;

use crate::cast::{Allowance, Cast};

/// What seal number so-and-so is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The link breaks twice while stamping.
    Disconnects,
    /// Kind 1.
    OverCount,
    /// Kind 2.
    OutsideTime,
    /// Kinds 3 and 7: nothing was ever granted.
    NeverGranted,
    /// Kind 4, and the time a lock takes.
    LossLock,
    /// Kind 5.
    ShuttingDown,
    /// Kind 6.
    GrantOver,
    /// Kind 8.
    QrScreen,
    /// Kind 9.
    DarkScreen,
    /// Kind 10.
    LockedWhileOff,
    /// A week without a link, until the log is full.
    OfflineWeek,
}

/// All parts; every further seal plays an ordinary day.
pub(crate) const ROLES: [Role; 11] = [
    Role::Disconnects,
    Role::OverCount,
    Role::OutsideTime,
    Role::NeverGranted,
    Role::LossLock,
    Role::ShuttingDown,
    Role::GrantOver,
    Role::QrScreen,
    Role::DarkScreen,
    Role::LockedWhileOff,
    Role::OfflineWeek,
];

/// Days of the offline week, presses of each.
const WEEK: (usize, usize) = (7, 120);

impl Role {
    /// Plays the part; a lock's time in milliseconds if it took one.
    pub(crate) async fn play(self, cast: Cast) -> anyhow::Result<Option<u64>> {
        match self {
            Self::Disconnects => disconnects(&cast).await?,
            Self::OverCount => over_count(&cast).await?,
            Self::OutsideTime => outside_time(&cast).await?,
            Self::NeverGranted => never_granted(&cast).await?,
            Self::LossLock => return loss_lock(&cast).await.map(Some),
            Self::ShuttingDown => shutting_down(&cast).await?,
            Self::GrantOver => grant_over(&cast).await?,
            Self::QrScreen => screen(&cast, Input::Keys(3)).await?,
            Self::DarkScreen => screen(&cast, Input::Keys(1)).await?,
            Self::LockedWhileOff => locked_while_off(&cast).await?,
            Self::OfflineWeek => offline_week(&cast).await?,
        }
        Ok(None)
    }
}

async fn disconnects(cast: &Cast) -> anyhow::Result<()> {
    let grant = cast.grant(Allowance::of(0)).await?;
    cast.seal.fault(LinkFault::Duplicate(true)).await?;
    for _ in 0..2 {
        cast.press().await?;
        cast.press().await?;
        cast.seal.fault(LinkFault::Drop).await?;
        cast.press().await?;
        cast.press_calmly(2).await?;
        cast.until("back", |view| view.online).await?;
    }
    cast.seal.fault(LinkFault::Duplicate(false)).await?;
    cast.end(&grant).await
}

async fn over_count(cast: &Cast) -> anyhow::Result<()> {
    let grant = cast.grant(Allowance::of(3)).await?;
    cast.press_calmly(5).await?;
    cast.end(&grant).await
}

async fn outside_time(cast: &Cast) -> anyhow::Result<()> {
    let holds = Duration::from_secs(8);
    let grant = cast
        .grant(Allowance {
            holds,
            ..Allowance::of(10)
        })
        .await?;
    cast.press_calmly(2).await?;
    sleep(holds).await;
    cast.press_calmly(2).await?;
    cast.end(&grant).await
}

async fn never_granted(cast: &Cast) -> anyhow::Result<()> {
    cast.press_calmly(2).await?;
    // The next follows at once: quick, with the bracket out.
    cast.press().await?;
    Ok(())
}

async fn loss_lock(cast: &Cast) -> anyhow::Result<u64> {
    let grant = cast.grant(Allowance::of(20)).await?;
    cast.press_calmly(2).await?;
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(cast.lock().await?);
        cast.press_calmly(1).await?;
        cast.unlock().await?;
    }
    times.sort_unstable();
    cast.press_calmly(2).await?;
    cast.end(&grant).await?;
    Ok(times[1])
}

async fn shutting_down(cast: &Cast) -> anyhow::Result<()> {
    let grant = cast.grant(Allowance::of(5)).await?;
    cast.press_calmly(1).await?;
    cast.seal.power_off().await?;
    cast.press_calmly(1).await?;
    cast.until("off", |view| !view.on).await?;
    cast.switch_on().await?;
    cast.end(&grant).await
}

async fn grant_over(cast: &Cast) -> anyhow::Result<()> {
    let grant = cast.grant(Allowance::of(5)).await?;
    cast.press_calmly(2).await?;
    cast.end(&grant).await?;
    cast.press_calmly(1).await?;
    cast.press().await?;
    cast.press().await?;
    Ok(())
}

/// Nothing is granted, the screen shows something else than it should.
async fn screen(cast: &Cast, key: Input) -> anyhow::Result<()> {
    for _ in 0..2 {
        sleep(Duration::from_millis(1_200)).await;
        cast.act(key.clone()).await?;
        cast.press().await?;
        if key == Input::Keys(3) {
            // The code stays for a while; the next round shows it anew.
            continue;
        }
    }
    Ok(())
}

/// The seal is off while its owner locks it; it is pressed right after power-on, before it hears of that.
async fn locked_while_off(cast: &Cast) -> anyhow::Result<()> {
    let grant = cast.grant(Allowance::of(5)).await?;
    cast.press_calmly(1).await?;
    cast.drained().await?;
    cast.switch_off().await?;
    cast.order_lock().await?;
    // Times of records are whole seconds: the lock must be clearly older than the power-on.
    sleep(Duration::from_millis(3_500)).await;
    cast.seal.fault(LinkFault::Cut).await?;
    cast.seal.power_on().await?;
    cast.press_calmly(2).await?;
    sleep(Duration::from_millis(1_500)).await;
    cast.seal.fault(LinkFault::Restore).await?;
    cast.until("locked at power-on", |view| view.locked).await?;
    cast.until("online", |view| view.online && view.leased)
        .await?;
    cast.press_calmly(1).await?;
    cast.unlock().await?;
    cast.press_calmly(1).await?;
    cast.end(&grant).await
}

/// Seven days at a place without a network: every day the seal is turned on, used and turned off.
async fn offline_week(cast: &Cast) -> anyhow::Result<()> {
    let grant = cast
        .grant(Allowance {
            offline: true,
            ..Allowance::of(0)
        })
        .await?;
    cast.allow_offline().await?;
    cast.seal.fault(LinkFault::Cut).await?;
    let (days, presses) = WEEK;
    for day in 0..days {
        for _ in 0..presses {
            cast.press().await?;
        }
        if day % 2 == 0 {
            cast.seal.cut_power().await?;
        } else {
            cast.switch_off().await?;
        }
        sleep(Duration::from_millis(200)).await;
        cast.seal.power_on().await?;
    }
    let full = cast.seal.view().await?;
    ensure!(
        full.screen == "storage full",
        "the log is not full: {full:?}"
    );
    cast.seal.fault(LinkFault::Restore).await?;
    cast.drained().await?;
    cast.until("online", |view| view.online && view.leased)
        .await?;
    cast.press_calmly(2).await?;
    cast.end(&grant).await
}
