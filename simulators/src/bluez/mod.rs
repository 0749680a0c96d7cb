//! A Bluetooth daemon without a radio: what an unmodified BlueZ client sees, on a private D-Bus.
//!
//! - [`PrivateBus`] is a `dbus-daemon` of our own; the system's bus is never touched.
//! - [`Air`] is the world: stations with their advertisements and peripherals. It outlives daemons and adapters.
//! - The daemon is one task, as the real one is one thread: signals and replies leave in the order in which things happened.
//! - [`FakeBluez`] holds the three together; [`Fault`]s break them, by hand or by a [`Script`] from a seed.
//!
//! Modelled after BlueZ 5.66, with what its clients have to live with: advertisements that arrive as property changes,
//! devices that vanish when nobody scans, one connection attempt at a time, file descriptors that end, signals that just
//! stop. Absent: pairing, classic Bluetooth, being a peripheral.

mod address;
mod air;
mod bus;
mod daemon;
mod error;
mod fault;
mod table;

use std::time::Duration;

use tokio::time::sleep;

pub use address::{Address, NotAnAddress};
pub use air::{Advertisement, Air, Dialling, Station};
pub use bus::{BusError, PrivateBus};
pub use daemon::{Counters, DaemonError, Options};
pub use fault::{Change, Fault, Script, Step};
pub use table::{Table, uuids};

use daemon::Daemon;

/// Why the fake cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BluezError {
    /// No bus.
    #[error("no private D-Bus")]
    Bus(#[from] BusError),
    /// The daemon does not get on the bus.
    #[error("the daemon does not get on its bus")]
    Daemon(#[from] DaemonError),
}

/// Bus, world and daemon.
#[derive(Debug)]
pub struct FakeBluez {
    bus: PrivateBus,
    air: Air,
    options: Options,
    daemon: Option<Daemon>,
    past: Counters,
}

impl FakeBluez {
    /// Starts all three.
    ///
    /// # Errors
    /// `dbus-daemon` is missing or does not start.
    pub async fn start(air: Air, options: Options) -> Result<Self, BluezError> {
        let bus = PrivateBus::start().await?;
        let daemon = Daemon::start(bus.address(), air.clone(), &options).await?;
        Ok(Self {
            bus,
            air,
            options,
            daemon: Some(daemon),
            past: Counters::default(),
        })
    }

    /// The value a client needs in `DBUS_SYSTEM_BUS_ADDRESS`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.bus.address()
    }

    /// The world.
    #[must_use]
    pub fn air(&self) -> &Air {
        &self.air
    }

    /// What happened so far, over all daemons.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let present = self.daemon.as_ref().map(Daemon::counters);
        self.past + present.unwrap_or_default()
    }

    /// Breaks or heals something, now. What is broken already stays as it is.
    ///
    /// # Errors
    /// A daemon that should return does not get on the bus.
    pub async fn inflict(&mut self, fault: &Fault) -> Result<(), BluezError> {
        tracing::info!(?fault, "fault");
        match fault {
            Fault::DaemonKilled => self.kill().await,
            Fault::DaemonBack => {
                if self.daemon.is_none() {
                    let daemon =
                        Daemon::start(self.bus.address(), self.air.clone(), &self.options).await?;
                    self.daemon = Some(daemon);
                }
            }
            Fault::AdapterGone => self.air.plug_adapter(false),
            Fault::AdapterBack => self.air.plug_adapter(true),
            Fault::LinkLost { device } => self.air.lose_link(*device),
            Fault::Station { device, change } => {
                self.air.change(*device, |station| change.apply(station));
            }
        }
        Ok(())
    }

    /// Inflicts a script's faults at their times; returns after the last one.
    ///
    /// # Errors
    /// As [`FakeBluez::inflict`].
    pub async fn play(&mut self, script: &Script) -> Result<(), BluezError> {
        let mut at = Duration::ZERO;
        for step in &script.steps {
            let due = Duration::from_millis(step.at_ms);
            sleep(due.saturating_sub(at)).await;
            at = at.max(due);
            self.inflict(&step.fault).await?;
        }
        Ok(())
    }

    async fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            self.past = self.past + daemon.counters();
            daemon.kill().await;
        }
    }

    /// Ends daemon and bus, in this order, and waits for both.
    pub async fn stop(mut self) {
        self.kill().await;
        self.bus.stop().await;
    }
}
