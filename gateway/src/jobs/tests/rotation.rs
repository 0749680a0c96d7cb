//! Rotation of the signing keys: real key files, a real signer, and a seal that checks every signature.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use sealgate_broker_config::{
    DAY,
    keys::{KeyDir, KeyScope, ROOT_KID, Rotation, read_seed},
};
use sealgate_codec::{
    ErrorCode, Message, cose,
    message::{CmdAck, CmdStatus, HelloAck},
    record::LinkKind as WireLink,
    statement::{KeySet, RootKey},
    ticket::{Args, DeviceView, Op, Ticket, verify_ticket},
};
use sealgate_domain::{Millis, command::State};
use tempfile::TempDir;

use super::world::{Link, Seal, World};
use crate::{
    app::order::Order,
    clock::{Clock, SystemClock},
    devices::link::LinkKind,
    signer::{InProcess, keys::sign_key_set},
    store,
    telemetry::Metrics,
};

/// Keys in a folder, and the signer that uses them. The first set names kids 1 to 8, one a scope in the scopes' order;
/// a rotation of all adds 9 to 16.
struct Keys {
    files: KeyDir,
    root: SigningKey,
    signer: Arc<InProcess>,
    _dir: TempDir,
}

fn now() -> u64 {
    SystemClock::new().now().seconds().into()
}

impl Keys {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = KeyDir::new(dir.path());
        files.init(now(), 100 * DAY, &sign_key_set).unwrap();
        let root = read_seed(&files.root_key()).unwrap();
        let clock = Arc::new(SystemClock::new());
        let signer = InProcess::open(dir.path(), None, clock, Arc::new(Metrics::new())).unwrap();
        Self {
            files,
            root,
            signer: Arc::new(signer),
            _dir: dir,
        }
    }

    async fn world(&self) -> World {
        World::signed_by(self.signer.clone(), |_| {}).await
    }

    /// New keys for every scope, in use at once; the old ones end after `overlap`.
    fn rotate(&self, overlap: u64) {
        let rotation = Rotation {
            activate_after: 0,
            overlap,
            life: 100 * DAY,
        };
        self.files
            .rotate(&KeyScope::ALL, rotation, &self.root, now(), &sign_key_set)
            .unwrap();
        self.signer.reload().unwrap();
    }

    /// What a seal made now holds.
    fn held(&self) -> Held {
        let root = RootKey {
            kid: ROOT_KID,
            public: self.root.verifying_key().to_bytes(),
        };
        let set = KeySet::verify(&std::fs::read(self.files.key_set()).unwrap(), &root).unwrap();
        Held { set, root }
    }
}

async fn believe(world: &World, seal: &Seal, version: i64) {
    let id = seal.id;
    world
        .write(|tx| async move {
            let mut report = store::report::lock(&tx, id).await?.unwrap();
            report.key_set_version = version;
            store::report::save(&tx, &report).await
        })
        .await;
}

/// The anchors in a seal's flash.
struct Held {
    set: KeySet,
    root: RootKey,
}

impl Held {
    /// The keys of the first set have ended.
    fn without_first(mut self) -> Self {
        let first = |kid: u8| kid <= 8;
        for entry in self.set.entries.iter_mut().filter(|entry| first(entry.kid)) {
            entry.not_after = 0;
        }
        self
    }

    /// Takes the next command as firmware does; says which key had signed it.
    async fn take(&mut self, link: &mut Link, seal: &mut Seal) -> (Op, u8, CmdStatus) {
        let cose = link.command().await;
        let kid = cose::parse(&cose).unwrap().kid;
        let view = DeviceView {
            dev: seal.wire(),
            generation: seal.generation,
            counters: seal.counters,
            now: Some(u32::try_from(now()).unwrap()),
            bound: true,
            link: WireLink::Gprs,
        };
        let (op, ack) = match verify_ticket(&cose, &self.set, &view) {
            Ok(ticket) => {
                if let Args::KeySet { key_set } = &ticket.args {
                    self.set = KeySet::verify(key_set, &self.root).unwrap();
                }
                (ticket.op, seal.obey(&cose).1)
            }
            Err(refused) => refusal(&cose, refused),
        };
        link.say(Message::CmdAck(ack)).await;
        (op, kid, ack.status)
    }
}

fn refusal(bytes: &[u8], code: ErrorCode) -> (Op, CmdAck) {
    let ticket = Ticket::decode(cose::parse(bytes).unwrap().payload).unwrap();
    let ack = CmdAck {
        domain: ticket.domain,
        ctr: ticket.ctr,
        status: CmdStatus::Rejected,
        err: Some(code),
    };
    (ticket.op, ack)
}

fn lease_kid(ack: &HelloAck) -> u8 {
    cose::parse(ack.lease.as_ref().expect("a lease"))
        .unwrap()
        .kid
}

async fn confirmed(world: &World, seal: &Seal, version: i64) {
    let holds = || async { world.report(seal).await.key_set_version == version };
    world.eventually("the key set is confirmed", holds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_set_reaches_the_seal_under_an_old_key_and_then_the_new_keys_sign() {
    let keys = Keys::new();
    let world = keys.world().await;
    let mut seal = world.bound_seal(1).await;
    let mut held = keys.held();
    let (mut link, ack) = world.greeted(&mut seal).await;
    assert_eq!(lease_kid(&ack), 7);
    keys.rotate(30 * DAY);
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::KeySet, 4, CmdStatus::Applied));
    confirmed(&world, &seal, 2).await;
    let lock = world.order(&seal, Order::Lock {}).await;
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::Lock, 10, CmdStatus::Applied));
    world.until(&lock, State::Applied).await;
    let ack = link.hello(&mut seal).await;
    assert_eq!(lease_kid(&ack), 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_was_off_until_its_keys_had_ended_still_accepts_everything() {
    let keys = Keys::new();
    let world = keys.world().await;
    let mut seal = world.bound_seal(1).await;
    let mut held = keys.held();
    keys.rotate(0);
    let lock = world.order(&seal, Order::Lock {}).await;
    let signed = || async { world.command(&lock).await.ticket.is_some() };
    world.eventually("the lock is signed", signed).await;
    let mut link = world.open(&seal, LinkKind::Mqtt).await.unwrap();
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::Lock, 2, CmdStatus::Applied));
    let ack = link.hello(&mut seal).await;
    world.until(&lock, State::Applied).await;
    assert_eq!(lease_kid(&ack), 7);
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::KeySet, 4, CmdStatus::Applied));
    confirmed(&world, &seal, 2).await;
    let unlock = world.order(&seal, Order::Unlock {}).await;
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::Unlock, 11, CmdStatus::Applied));
    world.until(&unlock, State::Applied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_does_not_know_a_key_after_all_gets_the_set_again() {
    let keys = Keys::new();
    let world = keys.world().await;
    let mut seal = world.bound_seal(1).await;
    let mut held = keys.held();
    keys.rotate(30 * DAY);
    believe(&world, &seal, 2).await;
    let (mut link, _) = world.greeted(&mut seal).await;
    let lock = world.order(&seal, Order::Lock {}).await;
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::Lock, 10, CmdStatus::Rejected));
    world.until(&lock, State::Rejected).await;
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::KeySet, 4, CmdStatus::Applied));
    confirmed(&world, &seal, 2).await;
    world.order(&seal, Order::Lock {}).await;
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::Lock, 10, CmdStatus::Applied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_waited_until_its_key_had_ended_is_signed_anew() {
    let keys = Keys::new();
    let world = keys.world().await;
    let mut seal = world.bound_seal(1).await;
    keys.rotate(0);
    let days_ago = Millis(world.app.clock.now().0 - 48 * Millis::HOUR);
    let lock = world.order_at(&seal, Order::Lock {}, days_ago).await;
    let signed = || async { world.command(&lock).await.ticket.is_some() };
    world.eventually("the lock is signed", signed).await;
    believe(&world, &seal, 2).await;
    let mut held = keys.held().without_first();
    let mut link = world.open(&seal, LinkKind::Mqtt).await.unwrap();
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::Lock, 2, CmdStatus::Rejected));
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::Lock, 10, CmdStatus::Applied));
    assert_eq!(world.report(&seal).await.key_set_version, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_holds_a_newer_set_than_we_knew_is_soon_signed_for_with_its_keys() {
    let keys = Keys::new();
    let world = keys.world().await;
    let mut seal = world.bound_seal(1).await;
    keys.rotate(0);
    let mut held = keys.held().without_first();
    let (mut link, _) = world.greeted(&mut seal).await;
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::KeySet, 4, CmdStatus::Rejected));
    confirmed(&world, &seal, 2).await;
    world.order(&seal, Order::Lock {}).await;
    let taken = held.take(&mut link, &mut seal).await;
    assert_eq!(taken, (Op::Lock, 10, CmdStatus::Applied));
}
