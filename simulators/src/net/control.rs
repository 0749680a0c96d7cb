//! The hands on a seal that runs in a task of its own.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};

use crate::seal::{Flash, Input, Press, Seal, Truth, TruthPress};

/// Spoils the link between a seal and the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFault {
    /// The connection breaks now; the seal may call again.
    Drop,
    /// The connection breaks and none can be made.
    Cut,
    /// Connections can be made again.
    Restore,
    /// Every message up is sent twice.
    Duplicate(bool),
    /// The platform listens elsewhere from now on.
    MoveTo(SocketAddr),
}

/// What one sees of a seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Turned on.
    pub on: bool,
    /// The platform has answered in this session.
    pub online: bool,
    /// A lease is valid.
    pub leased: bool,
    /// Bound.
    pub bound: bool,
    /// Loss lock.
    pub locked: bool,
    /// Offline mode.
    pub offline_mode: bool,
    /// Words on the screen.
    pub screen: String,
    /// The grant on the device, 0 for none.
    pub grant: u32,
    /// Stamps of it used.
    pub used: u16,
    /// Records the platform has not acknowledged.
    pub unsent: usize,
    /// Why the last connection failed or ended.
    pub fault: Option<String>,
}

impl View {
    pub(super) fn of(seal: &Seal, fault: Option<String>) -> Self {
        Self {
            on: seal.is_on(),
            online: seal.is_online(),
            leased: seal.is_leased(),
            bound: seal.flash().bound,
            locked: seal.flash().locked,
            offline_mode: seal.flash().offline_mode,
            screen: seal.screen_text(),
            grant: seal.flash().grant.as_ref().map_or(0, |grant| grant.no),
            used: seal.flash().grant.as_ref().map_or(0, |grant| grant.used),
            unsent: seal.unsent(),
            fault,
        }
    }
}

/// What a handle asks of its driver.
#[derive(Debug)]
pub enum Control {
    /// Do something to the seal; answers with its last press.
    Do(Input, oneshot::Sender<Option<TruthPress>>),
    /// Spoil the link.
    Fault(LinkFault, oneshot::Sender<()>),
    /// Look.
    View(oneshot::Sender<View>),
    /// The world's memory so far.
    Truth(oneshot::Sender<Box<Truth>>),
    /// A copy of the flash.
    Flash(oneshot::Sender<Box<Flash>>),
    /// Replace the flash by an older copy: the seal restarts with it.
    Restore(Box<Flash>, oneshot::Sender<()>),
}

/// The seal's task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the simulated seal has stopped")]
pub struct SealGone;

/// A hand on one running seal. Clones are hands on the same seal.
#[derive(Debug, Clone)]
pub struct SealHandle {
    name: String,
    control: mpsc::Sender<Control>,
}

impl SealHandle {
    pub(crate) fn new(name: String, control: mpsc::Sender<Control>) -> Self {
        Self { name, control }
    }

    /// Device id as text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does something to the seal.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn act(&self, input: Input) -> Result<Option<TruthPress>, SealGone> {
        self.ask(|reply| Control::Do(input, reply)).await
    }

    /// Presses the head. `None` when the seal is off and nothing moves.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn press(&self, press: Press) -> Result<Option<TruthPress>, SealGone> {
        if !self.view().await?.on {
            return Ok(None);
        }
        self.act(Input::Press(press)).await
    }

    /// Holds the power key when the seal is off.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn power_on(&self) -> Result<(), SealGone> {
        if !self.view().await?.on {
            self.act(Input::PowerKey).await?;
        }
        Ok(())
    }

    /// Holds the power key when the seal is on: it shuts down in order.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn power_off(&self) -> Result<(), SealGone> {
        if self.view().await?.on {
            self.act(Input::PowerKey).await?;
        }
        Ok(())
    }

    /// Takes the battery out.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn cut_power(&self) -> Result<(), SealGone> {
        self.act(Input::PowerCut).await.map(drop)
    }

    /// Spoils the link.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn fault(&self, fault: LinkFault) -> Result<(), SealGone> {
        self.ask(|reply| Control::Fault(fault, reply)).await
    }

    /// Looks at the seal.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn view(&self) -> Result<View, SealGone> {
        self.ask(Control::View).await
    }

    /// The words on the screen.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn screen(&self) -> Result<String, SealGone> {
        Ok(self.view().await?.screen)
    }

    /// The world's memory of the seal so far.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn truth(&self) -> Result<Truth, SealGone> {
        self.ask(Control::Truth).await.map(|truth| *truth)
    }

    /// A copy of the flash.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn flash(&self) -> Result<Flash, SealGone> {
        self.ask(Control::Flash).await.map(|flash| *flash)
    }

    /// Puts an older copy of the flash back, as a thief with a programmer would.
    ///
    /// # Errors
    /// The seal's task has ended.
    pub async fn roll_back(&self, flash: Flash) -> Result<(), SealGone> {
        self.ask(|reply| Control::Restore(Box::new(flash), reply))
            .await
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Control,
    ) -> Result<T, SealGone> {
        let (reply, answer) = oneshot::channel();
        let sent = self.control.send(question(reply)).await;
        sent.map_err(|_| SealGone)?;
        answer.await.map_err(|_| SealGone)
    }
}
