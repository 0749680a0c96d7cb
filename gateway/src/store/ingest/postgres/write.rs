//! Rows to write, collected over the groups and written by a fixed number of statements.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sqlx::{self, PgConnection};
use uuid::Uuid;

use super::Failure;
use crate::store::{
    Topic,
    ingest::{
        IngestBatch,
        decide::{AuditRow, Grants, Log, NewStamp, Plan},
    },
    log,
};

const STAMPS: &str = "INSERT INTO stamp (device_id, epoch, seq, boot, up, wall, clock_quality, kind, grant_no, \
     grant_id, member_id, organization_id, n, lat_e7, lon_e7, accuracy, facts, abnormal, record, hash, received_at, \
     corrected_at, uncertainty_s, battery) SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], \
     $4::bigint[], $5::bigint[], $6::bigint[], $7::int[], $8::int[], $9::bigint[], $10::uuid[], $11::uuid[], \
     $12::uuid[], $13::int[], $14::int[], $15::int[], $16::int[], $17::bigint[], $18::int[], $19::bytea[], \
     $20::bytea[], $21::bigint[], $22::bigint[], $23::bigint[], $24::int[]) \
     ON CONFLICT (device_id, epoch, seq) DO NOTHING";
const LOST: &str = "INSERT INTO log_gap (device_id, epoch, from_seq, count, reason, at) \
     SELECT *, 'lost', $5 FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) ON CONFLICT DO NOTHING";
const CURSORS: &str = "UPDATE device_log SET next_seq = k.next_seq, head = k.head, last_at = k.last_at \
     FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[]) \
     AS k (device_id, epoch, next_seq, head, last_at) \
     WHERE device_log.device_id = k.device_id AND device_log.epoch = k.epoch";
const USED: &str = "UPDATE use_grant SET used = k.used, exhausted_at = k.exhausted_at \
     FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[]) AS k (id, used, exhausted_at) WHERE use_grant.id = k.id";
const AUDIT: &str = "INSERT INTO audit (organization_id, device_id, actor, action, subject, hash, at) \
     SELECT o, d, 'device', a, s, h, t FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], \
     $6::bigint[]) AS k (o, d, a, s, h, t)";
const OUTBOX: &str = "INSERT INTO outbox (topic, organization_id, device_id, payload, created_at) \
     SELECT t, o, d, p::json, c FROM UNNEST($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::bigint[]) \
     AS k (t, o, d, p, c)";
const QUARANTINE: &str = "INSERT INTO log_quarantine (device_id, epoch, seq, hash, record, received_at) \
     SELECT $1, $2, s, h, r, $6 FROM UNNEST($3::bigint[], $4::bytea[], $5::bytea[]) AS k (s, h, r) \
     ON CONFLICT DO NOTHING";
const CLOSE_LOG: &str = "UPDATE device_log SET state = $3 WHERE device_id = $1 AND epoch = $2";

pub(super) async fn quarantine(
    connection: &mut PgConnection,
    batch: &IngestBatch,
    seq: u32,
) -> Result<(), Failure> {
    let records = || batch.records.iter().filter(move |record| record.seq >= seq);
    sqlx::query(QUARANTINE)
        .bind(batch.device.to_key())
        .bind(i64::from(batch.epoch))
        .bind(
            records()
                .map(|record| i64::from(record.seq))
                .collect::<Vec<_>>(),
        )
        .bind(records().map(|record| &record.hash[..]).collect::<Vec<_>>())
        .bind(
            records()
                .map(|record| &record.record[..])
                .collect::<Vec<_>>(),
        )
        .bind(batch.received_at.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query(CLOSE_LOG)
        .bind(batch.device.to_key())
        .bind(i64::from(batch.epoch))
        .bind(log::AUDIT)
        .execute(connection)
        .await?;
    Ok(())
}

type Audited<'a> = (Option<Uuid>, &'a IngestBatch, AuditRow);
type Told<'a> = (Option<Uuid>, &'a IngestBatch, Topic, String);

/// Rows to write, collected over the groups.
#[derive(Debug, Default)]
pub(super) struct Written<'a> {
    pub(super) plans: Vec<(Option<Uuid>, &'a IngestBatch, Plan<'a>)>,
    audit: Vec<Audited<'a>>,
    events: Vec<Told<'a>>,
}

impl<'a> Written<'a> {
    pub(super) fn audit(
        &mut self,
        organization: Option<Uuid>,
        batch: &'a IngestBatch,
        row: AuditRow,
    ) {
        self.audit.push((organization, batch, row));
    }

    pub(super) fn event(
        &mut self,
        organization: Option<Uuid>,
        batch: &'a IngestBatch,
        topic: Topic,
        payload: String,
    ) {
        self.events.push((organization, batch, topic, payload));
    }

    pub(super) fn plan(
        &mut self,
        organization: Option<Uuid>,
        batch: &'a IngestBatch,
        plan: Plan<'a>,
    ) {
        if !plan.stamps.is_empty() {
            self.audit(organization, batch, plan.audit(batch));
        }
        plan.events(batch, |topic, payload| {
            self.event(organization, batch, topic, payload)
        });
        self.plans.push((organization, batch, plan));
    }

    pub(super) async fn flush(
        &self,
        tx: &mut PgConnection,
        grants: &HashMap<i64, Grants>,
    ) -> Result<(), Failure> {
        self.stamps(tx).await?;
        self.lost(tx).await?;
        self.cursors(tx).await?;
        let changed = || {
            grants
                .values()
                .flat_map(HashMap::values)
                .filter(|grant| grant.changed)
        };
        if changed().next().is_some() {
            sqlx::query(USED)
                .bind(changed().map(|grant| grant.id).collect::<Vec<_>>())
                .bind(
                    changed()
                        .map(|grant| i64::from(grant.state.used))
                        .collect::<Vec<_>>(),
                )
                .bind(
                    changed()
                        .map(|grant| grant.exhausted_at)
                        .collect::<Vec<_>>(),
                )
                .execute(&mut *tx)
                .await?;
        }
        self.audited(tx).await?;
        self.told(tx).await
    }

    async fn stamps(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        let mut columns = Columns::default();
        for (organization, batch, plan) in &self.plans {
            for new in &plan.stamps {
                columns.push(*organization, batch, new);
            }
        }
        let expected = columns.seq.len();
        if expected == 0 {
            return Ok(());
        }
        let inserted = columns.insert(tx).await?;
        // A row that the cursor knows nothing of was there: look at the groups one by one.
        match inserted == expected as u64 {
            true => Ok(()),
            false => Err(Failure::Content),
        }
    }

    async fn lost(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        for (_, batch, plan) in &self.plans {
            let lost = || {
                plan.stamps
                    .iter()
                    .map(|new| new.record)
                    .filter(|record| record.lost > 0)
            };
            if lost().next().is_none() {
                continue;
            }
            let (device, epoch) = (batch.device.to_key(), i64::from(batch.epoch));
            sqlx::query(LOST)
                .bind(lost().map(|_| device).collect::<Vec<_>>())
                .bind(lost().map(|_| epoch).collect::<Vec<_>>())
                .bind(
                    lost()
                        .map(|record| i64::from(record.seq))
                        .collect::<Vec<_>>(),
                )
                .bind(
                    lost()
                        .map(|record| i64::from(record.lost))
                        .collect::<Vec<_>>(),
                )
                .bind(batch.received_at.0)
                .execute(&mut *tx)
                .await?;
        }
        Ok(())
    }

    async fn cursors(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        // The last group of a log says how far it is; one row a log, or the statement would pick one at random.
        let logs: BTreeMap<(i64, u32), &Log> = self
            .plans
            .iter()
            .map(|(_, batch, plan)| ((batch.device.to_key(), batch.epoch), &plan.log))
            .collect();
        if logs.is_empty() {
            return Ok(());
        }
        sqlx::query(CURSORS)
            .bind(logs.keys().map(|(device, _)| *device).collect::<Vec<_>>())
            .bind(
                logs.keys()
                    .map(|(_, epoch)| i64::from(*epoch))
                    .collect::<Vec<_>>(),
            )
            .bind(
                logs.values()
                    .map(|log| i64::from(log.cursor.next))
                    .collect::<Vec<_>>(),
            )
            .bind(
                logs.values()
                    .map(|log| &log.cursor.head[..])
                    .collect::<Vec<_>>(),
            )
            .bind(
                logs.values()
                    .map(|log| log.last_at.map(|at| at.0))
                    .collect::<Vec<_>>(),
            )
            .execute(tx)
            .await?;
        Ok(())
    }

    async fn audited(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        if !self.audit.is_empty() {
            let rows = &self.audit;
            sqlx::query(AUDIT)
                .bind(
                    rows.iter()
                        .map(|(organization, ..)| *organization)
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(_, batch, _)| batch.device.to_key())
                        .collect::<Vec<_>>(),
                )
                .bind(rows.iter().map(|(.., row)| row.action).collect::<Vec<_>>())
                .bind(
                    rows.iter()
                        .map(|(.., row)| row.subject.as_str())
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(.., row)| &row.hash[..])
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(_, batch, _)| batch.received_at.0)
                        .collect::<Vec<_>>(),
                )
                .execute(&mut *tx)
                .await?;
        }
        Ok(())
    }

    async fn told(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        if !self.events.is_empty() {
            let rows = &self.events;
            sqlx::query(OUTBOX)
                .bind(
                    rows.iter()
                        .map(|(_, _, topic, _)| topic.as_str())
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(organization, ..)| *organization)
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(_, batch, ..)| batch.device.to_key())
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(.., payload)| payload.as_str())
                        .collect::<Vec<_>>(),
                )
                .bind(
                    rows.iter()
                        .map(|(_, batch, ..)| batch.received_at.0)
                        .collect::<Vec<_>>(),
                )
                .execute(tx)
                .await?;
        }
        Ok(())
    }
}

macro_rules! columns {
    ($($name:ident: $kind:ty = $value:expr;)+) => {
        /// The columns of the stamps to insert, in the statement's order.
        #[derive(Debug, Default)]
        struct Columns<'a> { $($name: Vec<$kind>),+ }

        impl<'a> Columns<'a> {
            fn push(
                &mut self,
                organization: Option<Uuid>,
                batch: &IngestBatch,
                new: &NewStamp<'a>,
            ) {
                $(self.$name.push($value(organization, batch, new));)+
            }

            async fn insert(&self, tx: &mut PgConnection) -> Result<u64, sqlx::Error> {
                let query = sqlx::query(STAMPS);
                $(let query = query.bind(&self.$name);)+
                Ok(query.execute(tx).await?.rows_affected())
            }
        }
    };
}

type New<'n, 'a> = &'n NewStamp<'a>;

columns! {
    device: i64 = |_, batch: &IngestBatch, _: New<'_, 'a>| batch.device.to_key();
    epoch: i64 = |_, batch: &IngestBatch, _: New<'_, 'a>| i64::from(batch.epoch);
    seq: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.seq);
    boot: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.boot);
    up: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.uptime_s);
    wall: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.wall_s);
    clock_quality: i32 = |_, _, new: New<'_, 'a>| i32::from(new.record.clock_quality);
    kind: i32 = |_, _, new: New<'_, 'a>| i32::from(new.record.kind);
    grant_no: i64 = |_, _, new: New<'_, 'a>| if new.record.lost > 0 { 0 } else { i64::from(new.record.grant_no) };
    grant: Option<Uuid> = |_, _, new: New<'_, 'a>| new.grant;
    member: Option<Uuid> = |_, _, new: New<'_, 'a>| new.member;
    organization: Option<Uuid> = |organization, _, _| organization;
    n: i32 = |_, _, new: New<'_, 'a>| i32::from(new.record.n);
    lat: Option<i32> = |_, _, new: New<'_, 'a>| new.record.position.map(|position| position.place.lat_e7);
    lon: Option<i32> = |_, _, new: New<'_, 'a>| new.record.position.map(|position| position.place.lon_e7);
    accuracy: Option<i32> = |_, _, new: New<'_, 'a>| new.record.position.map(|position| i32::from(position.accuracy_m));
    facts: i64 = |_, _, new: New<'_, 'a>| i64::from(new.record.facts);
    abnormal: Option<i32> = |_, _, new: New<'_, 'a>| new.abnormal.map(|class| i32::from(class.number()));
    record: &'a [u8] = |_, _, new: New<'_, 'a>| &new.record.record[..];
    hash: &'a [u8] = |_, _, new: New<'_, 'a>| &new.record.hash[..];
    received_at: i64 = |_, batch: &IngestBatch, _: New<'_, 'a>| batch.received_at.0;
    corrected_at: i64 = |_, _, new: New<'_, 'a>| new.corrected.at.0;
    uncertainty_s: i64 = |_, _, new: New<'_, 'a>| i64::from(new.corrected.uncertainty_s);
    battery: Option<i32> = |_, batch: &IngestBatch, _: New<'_, 'a>| batch.battery.map(i32::from);
}
