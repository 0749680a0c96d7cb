//! HELLO and leases.
//!
//! HELLO is a hint from a device that may have been restored, cloned or replayed: it never moves our log cursor or a
//! counter backwards. A lease is withheld while a lock or an end waits for the device, so that whoever carries our
//! messages cannot deliver the one and drop the other; the nonce is remembered and answered once they are applied.

use sealgate_codec::{
    DeviceId as WireId, Message,
    chain::Head,
    message::{Hello, HelloAck, LeaseDown, LeaseReq, Life as WireLife, MINOR},
    statement::Lease,
};
use sealgate_domain::{device::Life, stamp::TimeSync};

use super::{End, Greeting, Session};
use crate::{
    app::{
        command::DeviceAnswer,
        session::{HelloAnswer, HelloReport, Suspicion},
    },
    devices::link::CloseReason,
    signer::{Purpose, SignRequest},
};

impl Session {
    /// HELLO: the twin is updated, what the device missed is found out, and it is told where we stand.
    pub(super) async fn on_hello(&mut self, mid: u16, hello: &Hello) -> Result<(), End> {
        let now = self.host.clock.monotonic();
        if self
            .host
            .registry
            .boot_conflicts(self.device, hello.boot, now)
        {
            self.suspect(Suspicion::TwoSeals).await?;
        }
        let at = self.host.clock.now();
        let early = std::mem::take(&mut self.early);
        let answer = self
            .host
            .app
            .device_hello(&self.report(hello, early))
            .await
            .map_err(|error| self.store_failed(&error))?
            .ok_or(End::Close(CloseReason::NotAuthorized))?;
        self.greeting = Some(Greeting {
            sync: TimeSync {
                boot: hello.boot,
                uptime_s: hello.up,
                at,
            },
            battery: hello.batt,
            nonce: Some(hello.nonce),
        });
        self.standing = answer.standing;
        // With records of an earlier HELLO under way, the cursor that counts is ahead of the stored one.
        if self.owed.is_empty() || self.cursor.is_none() {
            self.cursor = Some(answer.cursor);
        }
        for (domain, counter) in (0u8..).zip(hello.counters) {
            self.flight.answered(domain, counter);
        }
        self.greet(mid, hello, answer).await
    }

    /// The stored log is ahead of everything this session sent: a person moved it on, and only HELLO tells the device.
    pub(super) async fn check_cursor(&self) -> Result<(), End> {
        let Some(known) = self.cursor else {
            return Ok(());
        };
        let stored = self.host.app.log_cursor(self.device).await;
        let stored = stored.map_err(|error| self.store_failed(&error))?;
        match stored {
            Some(stored) if stored.epoch == known.epoch && stored.next > known.next => {
                Err(End::Close(CloseReason::LogReopened))
            }
            _ => Ok(()),
        }
    }

    #[expect(
        clippy::unnecessary_min_or_max,
        reason = "the least of both versions, also when ours is no longer 0"
    )]
    async fn greet(&mut self, mid: u16, hello: &Hello, answer: HelloAnswer) -> Result<(), End> {
        let lease = self.take_lease().await;
        let settings = &self.host.settings;
        let keepalive = match answer.standing.grant_open {
            true => settings.keep_alive_active_s,
            false => settings.keep_alive_idle_s,
        };
        let ack = HelloAck {
            minor: hello.minor.min(MINOR),
            now: self.host.clock.now().seconds(),
            ackto: answer.cursor.next,
            keepalive,
            life: wire_life(answer.standing.life),
            pending: answer.pending,
            retry: None,
            lease,
        };
        self.send(Some(mid), Message::HelloAck(ack)).await?;
        for command in answer.commands {
            self.launch(super::outgoing(command)).await?;
        }
        self.handle.greet();
        // What was signed while HELLO was being answered found no session that takes commands.
        self.launch_waiting().await
    }

    fn report(&self, hello: &Hello, early: Vec<DeviceAnswer>) -> HelloReport {
        HelloReport {
            device: self.device,
            term: self.handle.term,
            firmware: hello.fw,
            hardware: hello.hw,
            boot: hello.boot,
            uptime_s: hello.up,
            battery: hello.batt,
            rssi: hello.rssi,
            log_first: hello.log.first,
            log_next: hello.log.next,
            log_capacity: hello.log.capacity,
            counters: hello.counters,
            locked: hello.locked,
            config_version: hello.config_version,
            head: hello.head,
            epoch: hello.epoch,
            generation: hello.generation,
            counted: hello.counted,
            genesis: Head::genesis(WireId::new(self.device.0), hello.epoch).0,
            early,
        }
    }

    /// LEASE-REQ: a fresh lease, now or when nothing stands against it any more.
    pub(super) async fn on_lease_request(
        &mut self,
        mid: u16,
        request: LeaseReq,
    ) -> Result<(), End> {
        let Some(greeting) = &mut self.greeting else {
            return self
                .send_error(Some(mid), sealgate_codec::ErrorCode::RetryLater)
                .await;
        };
        greeting.nonce = Some(request.nonce);
        self.refresh().await?;
        if let Some(lease) = self.take_lease().await {
            self.send(Some(mid), Message::Lease(LeaseDown { lease }))
                .await?;
        }
        Ok(())
    }

    /// Gives a lease that was withheld, if nothing stands against it any more.
    pub(super) async fn lease_if_owed(&mut self) -> Result<(), End> {
        if let Some(lease) = self.take_lease().await {
            self.send(None, Message::Lease(LeaseDown { lease })).await?;
        }
        Ok(())
    }

    /// A lease over the outstanding nonce, which it spends. None when the device may not have one, or when the signer
    /// cannot be reached: then the device asks again.
    async fn take_lease(&mut self) -> Option<Vec<u8>> {
        let greeting = self.greeting?;
        let nonce = greeting.nonce.filter(|_| self.standing.lease)?;
        let now = self.host.clock.now().seconds();
        let lease = Lease {
            dev: WireId::new(self.device.0),
            generation: self.standing.generation,
            boot: greeting.sync.boot,
            nonce,
            iat: now,
            exp: now.saturating_add(self.host.settings.lease_ttl_s),
        };
        let cose = self.sign(Purpose::Lease, lease.payload()).await?;
        self.host.metrics.leases_issued.inc();
        if let Some(greeting) = &mut self.greeting {
            greeting.nonce = None;
        }
        Some(cose)
    }

    /// Has one payload signed. None when the signer refuses or cannot be reached.
    pub(super) async fn sign(&self, purpose: Purpose, payload: Vec<u8>) -> Option<Vec<u8>> {
        let request = SignRequest {
            purpose,
            key_set: self.standing.key_set,
            payload,
        };
        match self.host.signer.sign(vec![request]).await {
            Ok(answers) => match answers.into_iter().next() {
                Some(Ok(signed)) => Some(signed.cose),
                Some(Err(refused)) => {
                    tracing::error!(device = %self.device, %refused, purpose = purpose.as_str(), "not signed");
                    None
                }
                None => None,
            },
            Err(error) => {
                // Of every seal that asks for a lease meanwhile; that the signer is away is told once, by its job.
                tracing::debug!(device = %self.device, %error, purpose = purpose.as_str(), "not signed");
                None
            }
        }
    }

    /// Takes the device out of use until a person decides.
    pub(super) async fn suspect(&mut self, suspicion: Suspicion) -> Result<(), End> {
        self.host
            .app
            .suspend_suspect(self.device, suspicion)
            .await
            .map_err(|error| self.store_failed(&error))?;
        self.host.fleet.forget(self.device);
        self.standing.life = Life::Suspended;
        self.standing.lease = false;
        Ok(())
    }
}

const fn wire_life(life: Life) -> WireLife {
    match life {
        Life::Manufactured | Life::NotDelivered => WireLife::NotDelivered,
        Life::Unbound => WireLife::Unbound,
        Life::Bound => WireLife::Bound,
        Life::Suspended => WireLife::Suspended,
        Life::Retired => WireLife::Retired,
    }
}
