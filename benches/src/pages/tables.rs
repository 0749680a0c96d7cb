//! The tables a fill writes, and how their rows are laid out.

use sealgate_codec::record::Record;
use sealgate_domain::DeviceId;

use super::{
    plan::{Plan, device_id, hash, member_id, organization_id, uuid},
    sink::{Cell, Table},
};

pub(super) const ORGANIZATION: Table = Table {
    name: "organization",
    columns: "id, name, grants_required, device_quota, next_member_no, version, created_at",
};
pub(super) const MEMBER: Table = Table {
    name: "member",
    columns: "id, organization_id, no, name, phone, role, created_at",
};
pub(super) const TOKEN: Table = Table {
    name: "api_token",
    columns: "id, name, secret_hash, scopes, organization_id, created_at",
};
pub(super) const DEVICE: Table = Table {
    name: "device",
    columns: "id, model, serial, name, note, life, suspended_from, generation, organization_id, cert_fingerprint, log_key, \
              desired_locked, desired_config, desired_config_version, desired_offline, counter_lock, counter_grant, \
              counter_config, counter_firmware, next_grant_no, version, created_at",
};
pub(super) const REPORT: Table = Table {
    name: "device_report",
    columns: "device_id, fw, boot, battery, locked, config_version, offline_mode, connected, term, node, last_contact_at",
};
pub(super) const LOG: Table = Table {
    name: "device_log",
    columns: "device_id, epoch, next_seq, head, state, last_at",
};
pub(super) const GRANT: Table = Table {
    name: "use_grant",
    columns: "id, device_id, no, organization_id, member_id, max_count, used, not_before, not_after, method, flags, remark, \
              created_by, created_at, delivered_at, exhausted_at, end_requested_at, ended_at, end_reason",
};
pub(super) const STAMP: Table = Table {
    name: "stamp",
    columns: "position, device_id, epoch, seq, boot, up, wall, clock_quality, kind, grant_no, grant_id, member_id, \
              organization_id, n, lat_e7, lon_e7, accuracy, facts, abnormal, record, hash, received_at, corrected_at, \
              uncertainty_s, battery",
};
pub(super) const COMMAND: Table = Table {
    name: "command",
    columns: "id, device_id, domain, counter, op, supersede_key, priority, args, ticket, state, generation, expires_at, \
              attempts, created_by, created_at, sent_at, applied_at, ended_at",
};
pub(super) const OUTBOX: Table = Table {
    name: "outbox",
    columns: "id, position, topic, organization_id, device_id, payload, created_at",
};
pub(super) const AUDIT: Table = Table {
    name: "audit",
    columns: "id, organization_id, device_id, actor, action, subject, hash, at",
};

/// Thirty-two bytes that belong to one number.
fn scattered(number: u64) -> Vec<u8> {
    (0..4)
        .flat_map(|part| hash(number << 2 | part).to_be_bytes())
        .collect()
}

/// A member; the first is the owner, the second an admin.
pub(super) fn member(plan: &Plan, organization: u32, member: u32) -> Vec<Cell> {
    let role = match member {
        0 => "owner",
        1 => "admin",
        _ => "member",
    };
    vec![
        Cell::Uuid(member_id(plan, organization, member)),
        Cell::Uuid(organization_id(plan, organization)),
        Cell::Big(i64::from(member) + 1),
        Cell::Text(format!("Member {member}")),
        Cell::Text(format!("13{:09}", organization * 1_000 + member)),
        Cell::Text(role.to_owned()),
        Cell::Big(plan.began),
    ]
}

/// A token nobody has the secret of.
pub(super) fn token(organization: [u8; 16], number: u32, at: i64) -> Vec<Cell> {
    vec![
        Cell::Uuid(uuid(at, 5, number.into())),
        Cell::Text(format!("console {number}")),
        Cell::Bytes(scattered(0x5000_0000_0000 | u64::from(number))),
        Cell::Text("stamp:read".to_owned()),
        Cell::Uuid(organization),
        Cell::Big(at),
    ]
}

/// A device: in use, or behind those in stock.
pub(super) fn device(plan: &Plan, device: u32) -> Vec<Cell> {
    let in_use = device < plan.devices();
    let suspended = in_use && device % 5_000 == 99;
    let life = match (in_use, suspended, device % 2) {
        (true, true, _) => "suspended",
        (true, false, _) => "bound",
        (false, _, 0) => "manufactured",
        (false, _, _) => "not_delivered",
    };
    let (orders, grants) = match in_use {
        true => (plan.orders(device), plan.grants(device)),
        false => (0, 0),
    };
    vec![
        Cell::Big(device_id(device).to_key()),
        Cell::Text("GL".to_owned()),
        Cell::Text(format!("SN{device:09}")),
        Cell::Text(format!("Seal {device}")),
        Cell::Text(String::new()),
        Cell::Text(life.to_owned()),
        match suspended {
            true => Cell::Text("bound".to_owned()),
            false => Cell::Null,
        },
        Cell::Big(0),
        match in_use {
            true => Cell::Uuid(organization_id(plan, plan.organization_of(device))),
            false => Cell::Null,
        },
        Cell::Bytes(scattered(0x6000_0000_0000 | u64::from(device))),
        Cell::Bytes(scattered(0x7000_0000_0000 | u64::from(device))),
        Cell::Bool(false),
        Cell::Text("{}".to_owned()),
        Cell::Big(0),
        Cell::Bool(false),
        Cell::Big(0),
        Cell::Big(orders.into()),
        Cell::Big(u32::from(in_use).into()),
        Cell::Big(0),
        Cell::Big(i64::from(grants) + 1),
        Cell::Big(1),
        Cell::Big(plan.began),
    ]
}

/// What it reported; one of twenty has a session with another node.
pub(super) fn report(plan: &Plan, device: u32, now: i64) -> Vec<Cell> {
    let in_use = device < plan.devices();
    let connected = in_use && device % 20 == 7;
    let told = |value: Cell| if in_use { value } else { Cell::Null };
    vec![
        Cell::Big(device_id(device).to_key()),
        told(Cell::Big(1)),
        told(Cell::Big(1)),
        told(Cell::Int(90)),
        told(Cell::Bool(false)),
        told(Cell::Big(0)),
        told(Cell::Bool(false)),
        Cell::Bool(connected),
        Cell::Big(i64::from(in_use)),
        match connected {
            true => Cell::Text("elsewhere".to_owned()),
            false => Cell::Null,
        },
        told(Cell::Big(now)),
    ]
}

/// A grant, but for how it went on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    pub(super) id: [u8; 16],
    pub(super) device: DeviceId,
    pub(super) no: u32,
    pub(super) organization: [u8; 16],
    pub(super) member: [u8; 16],
    pub(super) given: i64,
    pub(super) used: u32,
    pub(super) exhausted: Option<i64>,
}

/// How a grant went on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate {
    pub(super) not_after: i64,
    pub(super) delivered: Option<i64>,
    pub(super) requested: Option<i64>,
    pub(super) ended: Option<i64>,
}

impl Grant {
    pub(super) fn cells(&self, fate: Fate) -> Vec<Cell> {
        vec![
            Cell::Uuid(self.id),
            Cell::Big(self.device.to_key()),
            Cell::Big(self.no.into()),
            Cell::Uuid(self.organization),
            Cell::Uuid(self.member),
            Cell::Int(5),
            Cell::Big(self.used.into()),
            Cell::Big(self.given),
            Cell::Big(fate.not_after),
            Cell::Text("direct".to_owned()),
            Cell::Int(0),
            Cell::Text("contract".to_owned()),
            Cell::Text("cli".to_owned()),
            Cell::Big(self.given),
            Cell::big(fate.delivered),
            Cell::big(self.exhausted),
            Cell::big(fate.requested),
            Cell::big(fate.ended),
            match fate.requested {
                Some(_) => Cell::Text("manager".to_owned()),
                None => Cell::Null,
            },
        ]
    }
}

/// A stamp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp<'a> {
    pub(super) position: i64,
    pub(super) device: DeviceId,
    pub(super) organization: [u8; 16],
    pub(super) member: [u8; 16],
    pub(super) grant: [u8; 16],
    pub(super) record: &'a Record,
    pub(super) bytes: &'a [u8],
    pub(super) class: Option<u8>,
    pub(super) at: i64,
}

impl Stamp<'_> {
    pub(super) fn cells(&self) -> Vec<Cell> {
        use sha2::{Digest as _, Sha256};
        let record = self.record;
        let place = |value: Option<i32>| value.map_or(Cell::Null, Cell::Int);
        vec![
            Cell::Big(self.position),
            Cell::Big(self.device.to_key()),
            Cell::Big(0),
            Cell::Big(record.seq.into()),
            Cell::Big(record.boot.into()),
            Cell::Big(record.up.into()),
            Cell::Big(record.wall.into()),
            Cell::Int(3),
            Cell::Int(record.kind.into()),
            Cell::Big(record.auth.into()),
            Cell::Uuid(self.grant),
            Cell::Uuid(self.member),
            Cell::Uuid(self.organization),
            Cell::Int(record.n.into()),
            place(record.at.map(|at| at.lat_e7)),
            place(record.at.map(|at| at.lon_e7)),
            place(record.at.map(|at| at.accuracy.into())),
            Cell::Big(record.facts.bits().into()),
            place(self.class.map(i32::from)),
            Cell::Bytes(self.bytes.to_vec()),
            Cell::Bytes(Sha256::digest(self.bytes).to_vec()),
            Cell::Big(self.at),
            Cell::Big(self.at),
            Cell::Big(1),
            Cell::Int(90),
        ]
    }
}
