//! What the published vectors say: at least one of every message, op, statement and abnormal kind.

use sealgate_codec::{
    ErrorCode, Frame, Message,
    chain::{Head, LogSender},
    cose::{self, Purpose},
    message::{
        Bye, ByeReason, Caps, Cell, CmdAck, CmdStatus, ErrMsg, Event, FpProg, Gap, Hello, HelloAck,
        LeaseDown, LeaseReq, Life, LogAck, LogPosition, LogPull, OtaBlk, OtaOffer, OtaReq,
        OtaResult, OtaStat, OtaState, ResetCause, Stamps, Status,
    },
    record::{
        ClockQuality, Entry, Facts, GrantState, LinkKind, Phase, Position, Record, Screen, kind,
    },
    statement::{Checkpoint, Lease, Receipt},
    ticket::{
        Area, Args, ConfigArgs, CounterDomain, FirmwareArgs, GrantArgs, GrantFlags, Op, Ticket,
        UseMode, Vertex,
    },
};

use crate::keys::{DEVICE, LEASE, LOG, NOW, RECEIPT, ROOT, key, key_set, kid_for};

pub(crate) struct Sample<T> {
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) value: T,
}

pub(crate) fn sample<T>(name: &'static str, meaning: &'static str, value: T) -> Sample<T> {
    Sample {
        name,
        meaning,
        value,
    }
}

pub(crate) const NONCE: [u8; 8] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7];
const BEIJING: Position = Position {
    lat_e7: 399_042_000,
    lon_e7: 1_164_074_000,
    accuracy: 25,
};
const RIO: Position = Position {
    lat_e7: -229_068_000,
    lon_e7: -431_729_000,
    accuracy: 1200,
};

pub(crate) fn allowed() -> Facts {
    Facts::new()
        .with_grant_state(GrantState::Active)
        .with_stretched(true)
        .with_link(LinkKind::Gprs)
}

pub(crate) fn record(seq: u32) -> Record {
    Record {
        seq,
        boot: 41,
        up: 3600 + seq,
        wall: NOW + seq,
        clkq: ClockQuality::Secure,
        kind: kind::STAMP,
        auth: 12,
        n: u16::try_from(seq % 500 + 1).unwrap(),
        at: Some(BEIJING),
        facts: allowed(),
    }
}

fn log_with(count: u32) -> LogSender {
    let mut log = LogSender::new(DEVICE, 1, 800);
    for seq in 1..=count {
        log.append(record(seq));
    }
    log.reconcile(1, true);
    log
}

pub(crate) fn sign_log(message: &[u8]) -> [u8; 64] {
    use ed25519_dalek::Signer;
    key(LOG).sign(message).to_bytes()
}

pub(crate) fn stamps(count: u32) -> Stamps {
    log_with(count).next_batch(41, 3700, &sign_log).unwrap()
}

fn stamps_with_loss() -> Stamps {
    let mut log = log_with(6);
    log.declare_lost(3..6, 41, 3699).unwrap();
    log.next_batch(41, 3700, &sign_log).unwrap()
}

pub(crate) fn lease() -> Lease {
    Lease {
        dev: DEVICE,
        generation: 2,
        boot: 41,
        nonce: NONCE,
        iat: NOW,
        exp: NOW + 3600,
    }
}

pub(crate) fn receipt() -> Receipt {
    Receipt {
        dev: DEVICE,
        epoch: 1,
        upto: 2,
        head: Head::genesis(DEVICE, 1).extend(&record(1).encode()),
        time: NOW + 5,
    }
}

pub(crate) fn checkpoint() -> Checkpoint {
    Checkpoint {
        dev: DEVICE,
        epoch: 1,
        next: 2,
        head: receipt().head,
        boot: 41,
        up: 3700,
    }
}

pub(crate) fn hello() -> Hello {
    Hello {
        minor: 0,
        fw: 20_201_217,
        sec: 3,
        hw: 2,
        boot: 41,
        cause: ResetCause::PowerKey,
        up: 12,
        wall: NOW - 30,
        clkq: ClockQuality::Kept,
        batt: 87,
        rssi: Some(-71),
        log: LogPosition {
            first: 12_001,
            next: 12_801,
            capacity: 800,
        },
        counters: [31, 771, 20, 4],
        locked: false,
        config_version: 20,
        cell: Some(Cell {
            mcc: 460,
            mnc: 0,
            lac: 4301,
            cid: 20_986_371,
        }),
        link: LinkKind::Gprs,
        caps: Caps(Caps::GPRS | Caps::BLE | Caps::FINGERPRINT | Caps::OFFLINE_MODE),
        head: Head::genesis(DEVICE, 1).prefix(),
        epoch: 1,
        generation: 2,
        nonce: NONCE,
        counted: [5, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0],
    }
}

/// Every message, most of them bare and full.
pub(crate) fn messages() -> Vec<Sample<Frame>> {
    let mut all = session_messages();
    all.extend(log_messages());
    all.extend(command_messages());
    all.extend(firmware_messages());
    all.extend(other_messages());
    all
}

#[rustfmt::skip]
fn session_messages() -> Vec<Sample<Frame>> {
    let bare = Hello { rssi: None, cell: None, link: LinkKind::Ble, caps: Caps(Caps::BLE), counted: [0; 11], ..hello() };
    let ack = HelloAck { minor: 0, now: NOW, ackto: 12_001, keepalive: 240, life: Life::Bound, pending: 0, retry: None, lease: None };
    let full = HelloAck { retry: Some(20), pending: 2, lease: Some(lease().sign(&key(LEASE), LEASE)), ..ack.clone() };
    let lease = LeaseDown { lease: lease().sign(&key(LEASE), LEASE) };
    vec![
        sample("hello", "a GL seal with 800 records to upload opens its session", Frame::new(1, Message::Hello(hello()))),
        sample("hello_bare", "a seal on BLE without optional keys", Frame::new(65_535, Message::Hello(bare))),
        sample("hello_ack", "send from 12001 on; no lease for an unbound seal or one that must wait", Frame::reply(7, 1, Message::HelloAck(ack))),
        sample("hello_ack_lease", "with a lease, two commands to come, and 20 s before the upload", Frame::reply(8, 1, Message::HelloAck(full))),
        sample("bye", "switched off by the power key after record 12801", Frame::new(9, Message::Bye(Bye { reason: ByeReason::PowerKey, last: Some(12_801) }))),
        sample("bye_will", "the will of a session", Frame::new(0, Message::Bye(Bye { reason: ByeReason::Will, last: None }))),
        sample("lease", "a lease sent down on its own", Frame::new(10, Message::Lease(lease.clone()))),
        sample("lease_reply", "a lease that answers LEASE-REQ", Frame::reply(11, 300, Message::Lease(lease))),
        sample("lease_req", "the seal asks for a lease with this nonce", Frame::new(300, Message::LeaseReq(LeaseReq { nonce: NONCE }))),
    ]
}

#[rustfmt::skip]
fn log_messages() -> Vec<Sample<Frame>> {
    let ack = LogAck { epoch: 1, upto: 2, now: NOW + 5, gaps: vec![], receipt: None };
    let gaps = LogAck { upto: 12_421, gaps: vec![Gap { start: 12_421, count: 28 }], ..ack.clone() };
    let receipted = LogAck { receipt: Some(receipt().sign(&key(RECEIPT), RECEIPT)), ..ack.clone() };
    let entry = Entry::new(truth_table().remove(1).value.0);
    let signature = cose::sign_with(&key(LOG), Checkpoint::KID, Purpose::Event, &entry.bytes);
    let event = |signature| { Message::Event(Event { entry, signature, epoch: 1 }) };
    let pull = LogPull { epoch: 1, from: 12_001, count: 28 };
    vec![
        sample("stamps_one", "one live stamp", Frame::new(20, Message::Stamps(stamps(1)))),
        sample("stamps_full", "a full batch: the first of many", Frame::new(21, Message::Stamps(stamps(60)))),
        sample("stamps_lost", "records 3 to 5 are lost; one record of kind 250 stands for them", Frame::new(22, Message::Stamps(stamps_with_loss()))),
        sample("log_ack", "everything below 2 is stored", Frame::reply(23, 20, Message::LogAck(ack))),
        sample("log_ack_gaps", "28 records are missing from 12421 on, nothing behind them is stored", Frame::reply(24, 21, Message::LogAck(gaps))),
        sample("log_ack_receipt", "with a receipt, for a seal behind a box", Frame::reply(25, 20, Message::LogAck(receipted))),
        sample("log_pull", "send 28 records again", Frame::new(26, Message::LogPull(pull))),
        sample("event", "a press after a loss lock, at once", Frame::new(27, Message::Event(Event { signature: None, entry, epoch: 1 }))),
        sample("event_signed", "the same, signed", Frame::new(28, event(Some(signature)))),
    ]
}

fn command_messages() -> Vec<Sample<Frame>> {
    let lock = tickets().remove(4).value;
    let applied = CmdAck {
        domain: CounterDomain::Lock,
        ctr: 32,
        status: CmdStatus::Applied,
        err: None,
    };
    let rejected = CmdAck {
        domain: CounterDomain::Config,
        ctr: 21,
        status: CmdStatus::Rejected,
        err: Some(ErrorCode::NotOnThisLink),
    };
    vec![
        sample(
            "cmd",
            "a loss lock",
            Frame::new(30, Message::Cmd(lock.sign(&key(3), 3))),
        ),
        sample(
            "cmd_ack",
            "the lock is done",
            Frame::reply(31, 30, Message::CmdAck(applied)),
        ),
        sample(
            "cmd_ack_rejected",
            "no fingerprints over BLE",
            Frame::reply(32, 29, Message::CmdAck(rejected)),
        ),
    ]
}

#[rustfmt::skip]
fn firmware_messages() -> Vec<Sample<Frame>> {
    let offer = OtaOffer { artifact: 41, length: 78_682, block_size: 1024, encoding: 1, mode: 0, manifest: (0..=255).collect(), at: None, base: None, min_battery: None };
    let delta = OtaOffer { encoding: 2, mode: 2, at: Some(NOW + 7200), base: Some(20_201_217), min_battery: Some(40), ..offer.clone() };
    let request = OtaReq { artifact: 41, first: 0, count: 8, bitmap: None };
    let again = OtaReq { first: 16, bitmap: Some(vec![0b1010_0000]), ..request.clone() };
    let block = OtaBlk { artifact: 41, index: 5, data: (0..1024_u32).map(|i| u8::try_from(i % 251).unwrap()).collect() };
    let last = OtaBlk { index: 6, data: vec![0x5a; 2048], ..block.clone() };
    let progress = OtaStat { artifact: 41, state: OtaState::Downloading, result: OtaResult::Initial, percent: Some(30), err: None };
    let failed = OtaStat { state: OtaState::Idle, result: OtaResult::Failed, percent: None, err: Some(ErrorCode::SelfTest), ..progress };
    vec![
        sample("ota_offer", "a full image", Frame::new(40, Message::OtaOffer(offer))),
        sample("ota_offer_delta", "a delta, to be installed at a given time with 40 % battery", Frame::new(41, Message::OtaOffer(delta))),
        sample("ota_req", "the first 8 blocks", Frame::new(42, Message::OtaReq(request))),
        sample("ota_req_bitmap", "of the 8 blocks from 16 on, the first and the third again", Frame::new(43, Message::OtaReq(again))),
        sample("ota_blk", "a block of 1,024 bytes", Frame::new(44, Message::OtaBlk(block))),
        sample("ota_blk_largest", "a block of 2,048 bytes, the largest", Frame::new(45, Message::OtaBlk(last))),
        sample("ota_stat", "30 % are there", Frame::new(46, Message::OtaStat(progress))),
        sample("ota_stat_failed", "the new image failed its self-test", Frame::new(47, Message::OtaStat(failed))),
    ]
}

#[rustfmt::skip]
fn other_messages() -> Vec<Sample<Frame>> {
    let progress = FpProg { ctr: 21, slot: 2, step: 3, of: 6, quality: Some(88), err: None };
    let failed = FpProg { quality: None, err: Some(ErrorCode::FingerprintQuality), ..progress };
    let status = Status { up: 7200, batt: 86, position: None, rssi: None, facts: None, fill: 0, counted: None };
    let full = Status { position: Some(RIO), rssi: Some(-128), facts: Some(allowed()), fill: 101, counted: Some([65_535, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), ..status };
    let busy = ErrMsg { code: ErrorCode::RetryLater, retry: Some(120) };
    let refused = ErrMsg { code: ErrorCode::LogFork, retry: None };
    vec![
        sample("fp_prog", "the third of six presses", Frame::new(50, Message::FpProg(progress))),
        sample("fp_prog_failed", "a picture that is not good enough", Frame::new(51, Message::FpProg(failed))),
        sample("status", "battery and log only", Frame::new(52, Message::Status(status))),
        sample("status_full", "with everything; south and west are negative", Frame::new(53, Message::Status(full))),
        sample("err", "come back in two minutes", Frame::new(54, Message::Err(busy))),
        sample("err_reply", "the logs fork; answers a STAMPS", Frame::reply(55, 20, Message::Err(refused))),
    ]
}

fn ticket(ctr: u32, args: Args) -> Ticket {
    Ticket::new(DEVICE, 2, ctr, NOW, args)
}

/// Every op, and the fuller grants.
#[rustfmt::skip]
pub(crate) fn tickets() -> Vec<Sample<Ticket>> {
    let grant = GrantArgs { no: 12, max: 5, mode: UseMode::Physical, flags: GrantFlags::default(), area: None, fingerprints: None, activation: None, user: 7, offline: None };
    let place = |lat_e7, lon_e7| Vertex { lat_e7, lon_e7 };
    let full = GrantArgs { no: 13, max: 0, flags: GrantFlags(GrantFlags::PHOTO | GrantFlags::FINGERPRINT | GrantFlags::REGION | GrantFlags::OFFLINE_ALLOWED), area: Some(Area::Circle { center: place(BEIJING.lat_e7, BEIJING.lon_e7), radius: 300 }), fingerprints: Some(vec![0, 2]), activation: Some([0x11; 16]), offline: Some(7 * 86_400), ..grant.clone() };
    let region = GrantArgs { no: 14, max: 500, area: Some(Area::Polygon(vec![place(-229_068_000, -431_729_000), place(-229_068_000, -431_700_000), place(-229_000_000, -431_700_000)])), ..grant.clone() };
    let digest = core::array::from_fn(|i| u8::try_from(i).unwrap());
    let firmware = FirmwareArgs { fw: 20_261_122, artifact: 41, digest };
    let settings = ConfigArgs { version: 20, backlight: Some(60), auto_off: Some(0), keepalive: None, heartbeat: Some(600) };
    let window = |ticket: Ticket| ticket.with_window(Some(NOW), Some(NOW + 8 * 3600));
    let short = |ticket: Ticket| ticket.with_window(None, Some(NOW + 60));
    vec![
        sample("grant", "5 stamps in 8 hours; nbf and exp are the grant's window", window(ticket(772, Args::Grant(grant)))),
        sample("grant_full", "unlimited, with photo, fingerprint, circle, activation and offline mode", window(ticket(773, Args::Grant(full)))),
        sample("end", "end of grant 12", ticket(774, Args::End { grant: 12, reason: Some(1) })),
        sample("activate", "grant 13 is activated", ticket(775, Args::Activate { grant: 13 })),
        sample("lock", "loss lock", ticket(32, Args::Lock { reason: None })),
        sample("unlock", "the loss lock is released", ticket(33, Args::Unlock { reason: Some(1) })),
        sample("config", "backlight 60 s, never off by itself, STATUS every 10 min", ticket(21, Args::Config(settings))),
        sample("fp_enrol", "6 presses for user 7 in slot 2, within 60 s", short(ticket(22, Args::FpEnrol { slot: 2, user: 7, presses: Some(6) }))),
        sample("fp_delete", "slot 2 is emptied", ticket(23, Args::FpDelete { slot: 2 })),
        sample("unbind", "unbound, within 60 s", short(ticket(24, Args::Unbind))),
        sample("bind", "bound, within 60 s", short(ticket(25, Args::Bind))),
        sample("fw_set", "version 20261122 may be installed", ticket(5, Args::FwSet(firmware))),
        sample("reboot", "restart, within 60 s", short(ticket(26, Args::Reboot))),
        sample("log_seal", "epoch 2 begins", ticket(27, Args::LogSeal { epoch: 2 })),
        sample("key_set", "a new key set, signed by the root", ticket(28, Args::KeySet { key_set: key_set().sign(&key(ROOT), ROOT) })),
        sample("locate", "the position, within 60 s", short(ticket(29, Args::Locate))),
        sample("offline", "offline mode on, within 60 s", short(ticket(776, Args::Offline { on: true }))),
        sample("grant_polygon", "500 stamps within three corners", window(ticket(777, Args::Grant(region)))),
    ]
}

pub(crate) fn signed(ticket: &Ticket) -> Vec<u8> {
    let kid = kid_for(ticket.op);
    ticket.sign(&key(kid), kid)
}

/// Signed statements with the schema's name of their payload.
pub(crate) fn statements() -> Vec<Sample<(&'static str, Vec<u8>)>> {
    vec![
        sample(
            "key_set",
            "the platform's keys, signed by the root",
            ("keyset-payload", key_set().sign(&key(ROOT), ROOT)),
        ),
        sample(
            "lease",
            "one hour to stamp in boot 41",
            ("lease-payload", lease().sign(&key(LEASE), LEASE)),
        ),
        sample(
            "receipt",
            "everything below 2 is stored",
            ("receipt-payload", receipt().sign(&key(RECEIPT), RECEIPT)),
        ),
        sample(
            "checkpoint",
            "the log before record 2, by the seal",
            ("checkpoint-payload", checkpoint().sign(&key(LOG))),
        ),
        sample(
            "link_ticket",
            "a box may link for a day",
            ("link-payload", crate::link_samples::signed_ticket()),
        ),
    ]
}

/// A record of every kind, with whether the server knows of a lock issued while the seal was off.
#[rustfmt::skip]
pub(crate) fn truth_table() -> Vec<Sample<(Record, bool)>> {
    let base = Facts::new().with_stretched(true).with_link(LinkKind::Gprs);
    let quick = base.with_quick(true);
    let state = |facts: Facts, state| facts.with_grant_state(state);
    let press = |seq, kind, facts| Record { kind, facts, at: None, auth: 0, n: 0, ..record(seq) };
    let booting = state(base, GrantState::Restricted).with_phase(Phase::Booting);
    let row = |name, meaning, seq, kind: u8, facts| { sample(name, meaning, (press(seq, kind, facts), false)) };
    vec![
        sample("kind_10", "locked while off, pressed right after power-on", (press(10, 3, booting), true)),
        row("kind_4", "pressed while locked, though its grant is open", 4, 4, state(base, GrantState::Active).with_locked(true)),
        row("kind_5", "stretched, pressed while shutting down", 5, 5, state(base, GrantState::Active).with_phase(Phase::ShuttingDown)),
        row("kind_7", "bound, never granted, stretched, quick", 7, 7, state(quick, GrantState::Never)),
        row("kind_6_ended", "the grant was ended; stretched, quick", 6, 6, state(quick, GrantState::Ended)),
        row("kind_6_used_up", "the grant is used up; stretched, quick", 61, 6, state(quick, GrantState::Exhausted)),
        row("kind_6_time_over", "the grant's time is over; stretched, quick", 62, 6, state(quick, GrantState::TimeOver)),
        row("kind_1", "more stamps than granted, even with the screen off", 1, 1, state(base, GrantState::Exhausted).with_screen(Screen::Off)),
        row("kind_8", "no grant, stretched, QR code showing", 8, 8, state(base, GrantState::Never).with_screen(Screen::Qr)),
        row("kind_9", "no grant, stretched, screen off", 9, 9, state(base, GrantState::Ended).with_screen(Screen::Off)),
        row("kind_2", "outside the granted time", 2, 2, state(base, GrantState::TimeOver)),
        row("kind_2_not_begun", "before the granted time", 22, 2, state(base, GrantState::NotBegun)),
        row("kind_3", "without a grant", 3, 3, state(base, GrantState::Never)),
        row("kind_3_restricted", "a grant, but no lease", 33, 3, state(base, GrantState::Restricted)),
        row("kind_3_booting", "before the first lease of this boot", 34, 3, state(base, GrantState::Active).with_phase(Phase::Booting)),
        sample("normal", "a press under its grant", (record(11), false)),
        row("normal_offline", "right after power-on, in offline mode", 12, 0, state(base, GrantState::Active).with_phase(Phase::Booting).with_offline_mode(true)),
    ]
}

/// Records that are no presses, and the longest one.
pub(crate) fn other_records() -> Vec<Sample<Record>> {
    let longest = Record {
        seq: u32::MAX - 1,
        boot: u32::MAX,
        up: u32::MAX,
        wall: u32::MAX,
        clkq: ClockQuality::Secure,
        kind: 249,
        auth: u32::MAX,
        n: u16::MAX,
        at: Some(Position {
            lat_e7: -900_000_000,
            lon_e7: -1_800_000_000,
            accuracy: u16::MAX,
        }),
        facts: Facts::from_bits(u32::MAX),
    };
    vec![
        sample(
            "lost",
            "stands for records 100 to 102",
            Record::lost(100, 3, 41, 3700).unwrap(),
        ),
        sample("longest", "every field at its longest: 51 bytes", longest),
    ]
}

/// The op of every sample ticket occurs; checked here so that a new op cannot be forgotten.
#[test]
fn every_op_has_a_sample_ticket() {
    let tickets = tickets();
    for op in Op::ALL {
        assert!(tickets.iter().any(|sample| sample.value.op == *op), "{op}");
    }
}

#[test]
fn every_message_type_has_a_sample() {
    let messages = messages();
    for kind in sealgate_codec::MessageType::ALL {
        assert!(
            messages
                .iter()
                .any(|sample| sample.value.message.kind() == *kind),
            "{kind}"
        );
    }
}
