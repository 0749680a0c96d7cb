//! A platform of many records, written past the gateway: what a month of its work would have left behind.
//!
//! What holds between rows holds here: chains of records and their heads, counts under grants, counters and numbers of
//! devices, owners, positions. Signatures and the audit's hashes are bytes of the right size and nothing more.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use sealgate::app::order::Order;
use sealgate_codec::{DeviceId as WireId, chain::Head};
use sealgate_domain::{Millis, command::Op};

use super::{
    actors::{Device, Grant, class, ended, given, record},
    plan::{
        Last, PER_GRANT, Plan, device_id, grant_id, hash, member_id, organization_id, text, uuid,
    },
    sink::{Cell, Rows, Sink},
    tables,
};

/// Stamps between two writes.
const BITE: u64 = 20_000;
/// A grant is given so long before its first stamp.
const BEFORE: i64 = 60 * Millis::SECOND;
/// Placeholder of a signed ticket, of its usual size.
const TICKET: usize = 160;

/// Rows on their way.
struct Fill<'a> {
    plan: &'a Plan,
    now: i64,
    sink: Sink,
    stamps: Rows,
    grants: Rows,
    commands: Rows,
    outbox: Rows,
    audit: Rows,
    /// Positions given so far: stamps, events, audit rows.
    given: [i64; 3],
    postgres: bool,
}

/// Writes everything into a migrated, empty database.
pub(super) async fn fill(url: &str, plan: &Plan, now: Millis) -> Result<()> {
    let mut fill = Fill {
        plan,
        now: now.0,
        sink: Sink::open(url).await?,
        stamps: Rows::of(tables::STAMP),
        grants: Rows::of(tables::GRANT),
        commands: Rows::of(tables::COMMAND),
        outbox: Rows::of(tables::OUTBOX),
        audit: Rows::of(tables::AUDIT),
        given: [0; 3],
        postgres: !url.starts_with("sqlite:"),
    };
    fill.people().await?;
    fill.fleet().await?;
    let devices = fill.work().await?;
    fill.logs(&devices).await?;
    let head = fill.given[1];
    let done = format!(
        "INSERT INTO follower (name, position) VALUES ('notices', {head}); \
         UPDATE outbox_head SET position = {} WHERE one = 1",
        if fill.postgres { head } else { 0 }
    );
    fill.sink.run(&done).await?;
    fill.sink.finish().await
}

impl Fill<'_> {
    async fn people(&mut self) -> Result<()> {
        let (mut organizations, mut members) =
            (Rows::of(tables::ORGANIZATION), Rows::of(tables::MEMBER));
        let mut tokens = Rows::of(tables::TOKEN);
        let at = self.plan.began;
        for organization in 0..self.plan.organizations() {
            let id = organization_id(self.plan, organization);
            let count = self.plan.members(organization);
            organizations.push(vec![
                Cell::Uuid(id),
                Cell::Text(format!("Company {organization}")),
                Cell::Bool(true),
                Cell::Int(1_000_000),
                Cell::Big(i64::from(count) + 1),
                Cell::Big(1),
                Cell::Big(at),
            ]);
            for member in 0..count {
                members.push(tables::member(self.plan, organization, member));
            }
            tokens.push(tables::token(id, organization, at));
        }
        self.sink.write(&mut organizations).await?;
        self.sink.write(&mut members).await?;
        self.sink.write(&mut tokens).await
    }

    async fn fleet(&mut self) -> Result<()> {
        let (mut devices, mut reports) = (Rows::of(tables::DEVICE), Rows::of(tables::REPORT));
        for device in 0..self.plan.devices() + self.plan.in_stock() {
            devices.push(tables::device(self.plan, device));
            reports.push(tables::report(self.plan, device, self.now));
        }
        self.sink.write(&mut devices).await?;
        self.sink.write(&mut reports).await
    }

    async fn work(&mut self) -> Result<Vec<Device>> {
        let mut devices: Vec<Device> = (0..self.plan.devices())
            .map(|number| Device {
                number,
                id: device_id(number),
                organization: self.plan.organization_of(number),
                next: 1,
                head: Head::genesis(WireId::new(device_id(number).0), 0),
                last: self.plan.began,
                grant: None,
            })
            .collect();
        let bar = ProgressBar::new(self.plan.records).with_style(
            ProgressStyle::with_template(
                "{elapsed_precise} [{bar:30}] {pos}/{len} stamps, {eta} left",
            )
            .expect("the template is ours"),
        );
        for number in 0..self.plan.records {
            let device = &mut devices[self.plan.device_of(number) as usize];
            self.stamp(device, self.plan.at(number), hash(!number));
            if number % BITE == BITE - 1 {
                self.flush().await?;
                bar.set_position(number);
            }
        }
        for device in &mut devices {
            self.last_grant(device);
        }
        self.flush().await?;
        bar.finish_and_clear();
        Ok(devices)
    }

    async fn flush(&mut self) -> Result<()> {
        for rows in [
            &mut self.grants,
            &mut self.commands,
            &mut self.stamps,
            &mut self.outbox,
            &mut self.audit,
        ] {
            self.sink.write(rows).await?;
        }
        Ok(())
    }

    async fn logs(&mut self, devices: &[Device]) -> Result<()> {
        let mut logs = Rows::of(tables::LOG);
        for device in devices {
            logs.push(vec![
                Cell::Big(device.id.to_key()),
                Cell::Big(0),
                Cell::Big(device.next.into()),
                Cell::Bytes(device.head.0.to_vec()),
                Cell::Text("ok".to_owned()),
                Cell::Big(device.last),
            ]);
        }
        self.sink.write(&mut logs).await
    }

    fn stamp(&mut self, device: &mut Device, at: i64, scatter: u64) {
        let mut grant = match device.grant {
            Some(grant) if grant.used < PER_GRANT => grant,
            used_up => {
                if let Some(used_up) = used_up {
                    self.end(device, used_up, at - BEFORE);
                }
                self.give(device, used_up.map_or(1, |grant| grant.no + 1), at - BEFORE)
            }
        };
        grant.used += 1;
        if grant.used == PER_GRANT {
            grant.exhausted = Some(at);
        }
        let record = record(device, &grant, at, scatter);
        let bytes = record.encode();
        device.head = device.head.extend(&bytes);
        let class = class(scatter);
        self.given[0] += 1;
        let row = tables::Stamp {
            position: self.given[0],
            device: device.id,
            organization: organization_id(self.plan, device.organization),
            member: member_id(self.plan, device.organization, grant.member),
            grant: grant.id,
            record: &record,
            bytes: &bytes,
            class,
            at,
        };
        self.stamps.push(row.cells());
        let seq = device.next;
        let stored = format!(r#"{{"epoch":0,"from":{seq},"upto":{}}}"#, seq + 1);
        self.tell(device, "stamp", stored, at);
        if let Some(class) = class {
            let alarm = format!(
                r#"{{"kind":"abnormal","epoch":0,"stamps":[{{"seq":{seq},"class":{class}}}]}}"#
            );
            self.tell(device, "alarm", alarm, at);
        }
        self.note(device, "stamps.stored", format!("0/{seq}-{seq}"), at);
        device.next += 1;
        device.last = at;
        device.grant = Some(grant);
    }

    /// A grant that begins, with its order; its row is written when its fate is known.
    fn give(&mut self, device: &Device, no: u32, at: i64) -> Grant {
        let grant = Grant {
            id: grant_id(at, device.number, no),
            no,
            member: self.plan.member_of(device.number, no),
            given: at,
            used: 0,
            exhausted: None,
        };
        self.order(device, &given(&grant), 2 * no - 1, at, true);
        self.note(device, "grant.give", text(grant.id), at);
        grant
    }

    fn end(&mut self, device: &Device, grant: Grant, at: i64) {
        let fate = tables::Fate {
            not_after: grant.given + 24 * Millis::HOUR,
            delivered: Some(grant.given),
            requested: Some(at),
            ended: Some(at),
        };
        self.settle(device, &grant, fate);
        self.order(device, &ended(&grant), 2 * grant.no, at, true);
        self.note(device, "grant.end", text(grant.id), at);
    }

    fn settle(&mut self, device: &Device, grant: &Grant, fate: tables::Fate) {
        let row = tables::Grant {
            id: grant.id,
            device: device.id,
            no: grant.no,
            organization: organization_id(self.plan, device.organization),
            member: member_id(self.plan, device.organization, grant.member),
            given: grant.given,
            used: grant.used,
            exhausted: grant.exhausted,
        };
        self.grants.push(row.cells(fate));
    }

    /// What a device's last grant came to.
    fn last_grant(&mut self, device: &mut Device) {
        let Some(grant) = device.grant else {
            return;
        };
        let fate = tables::Fate {
            not_after: self.now + 24 * Millis::HOUR,
            delivered: Some(grant.given),
            requested: None,
            ended: None,
        };
        let last = self.plan.last(device.number);
        match last {
            Last::InUse | Last::Expired => self.settle(device, &grant, fate),
            Last::Ending => {
                let requested = Some(self.now);
                self.settle(device, &grant, tables::Fate { requested, ..fate });
                self.order(device, &ended(&grant), 2 * grant.no, self.now, false);
            }
            Last::Waiting | Last::NotBegun => {
                self.end(device, grant, self.now);
                let delivered = last == Last::NotBegun;
                let next = Grant {
                    id: grant_id(self.now, device.number, grant.no + 1),
                    no: grant.no + 1,
                    member: self.plan.member_of(device.number, grant.no + 1),
                    given: self.now,
                    used: 0,
                    exhausted: None,
                };
                self.order(device, &given(&next), 2 * next.no - 1, self.now, delivered);
                let shifted = Grant {
                    given: self.now + 12 * Millis::HOUR,
                    ..next
                };
                let delivered = delivered.then_some(self.now);
                self.settle(device, &shifted, tables::Fate { delivered, ..fate });
            }
        }
    }

    /// An order that a device has obeyed, or that waits for it unsigned.
    fn order(&mut self, device: &Device, order: &Order, counter: u32, at: i64, obeyed: bool) {
        let op = order.op();
        let number = u64::from(device.number) << 32 | u64::from(counter);
        let done = Cell::big(obeyed.then_some(at));
        let keeps_its_place = op == Op::End && !obeyed;
        self.commands.push(vec![
            Cell::Uuid(uuid(at, 4, number)),
            Cell::Big(device.id.to_key()),
            Cell::Int(op.domain().number().into()),
            Cell::Big(counter.into()),
            Cell::Text(op.as_str().to_owned()),
            op.supersede_key(0)
                .filter(|_| !keeps_its_place)
                .map_or(Cell::Null, Cell::Text),
            Cell::Int(op.priority().into()),
            Cell::Text(order.to_json().to_string()),
            match obeyed {
                true => Cell::Bytes(vec![0xa5; TICKET]),
                false => Cell::Null,
            },
            Cell::Text(if obeyed { "applied" } else { "pending" }.to_owned()),
            Cell::Big(0),
            Cell::big(order.expires_at(Millis(at)).map(|at| at.0)),
            Cell::Int(obeyed.into()),
            Cell::Text("cli".to_owned()),
            Cell::Big(at),
            done.clone(),
            done.clone(),
            done,
        ]);
        let state = if obeyed { "applied" } else { "pending" };
        let event = serde_json::json!({
            "command": text(uuid(at, 4, number)), "device": device.id.to_string(), "op": op.as_str(), "state": state,
            "error": null, "attempts": 1, "created_at": at,
        });
        self.tell(device, "command", event.to_string(), at);
    }

    fn tell(&mut self, device: &Device, topic: &str, payload: String, at: i64) {
        self.given[1] += 1;
        let position = self.given[1];
        self.outbox.push(vec![
            Cell::Big(position),
            Cell::big(self.postgres.then_some(position)),
            Cell::Text(topic.to_owned()),
            Cell::Uuid(organization_id(self.plan, device.organization)),
            Cell::Big(device.id.to_key()),
            Cell::Text(payload),
            Cell::Big(at),
        ]);
    }

    fn note(&mut self, device: &Device, action: &str, subject: String, at: i64) {
        self.given[2] += 1;
        self.audit.push(vec![
            Cell::Big(self.given[2]),
            Cell::Uuid(organization_id(self.plan, device.organization)),
            Cell::Big(device.id.to_key()),
            Cell::Text("device".to_owned()),
            Cell::Text(action.to_owned()),
            Cell::Text(subject),
            Cell::Bytes(device.head.0.to_vec()),
            Cell::Big(at),
        ]);
    }
}
