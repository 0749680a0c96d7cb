//! The limit of the storage: every row a stamp owes (record, cursor, grant, audit, outbox), in group commits, without
//! network, checks, queues or async. What the gateway reaches end to end is measured against this.
//!
//! The schema is the gateway's own, from its migrations; the statements are the shortest that write the rows.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rusqlite::{Connection, Transaction, params};

use crate::{
    report::{Latencies, Report},
    timer,
};

/// How much to write.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Seals.
    pub seals: u32,
    /// Stamps of all of them.
    pub stamps: u32,
    /// Stamps a commit.
    pub batch: u32,
}

/// Writes into a fresh database in `dir`.
///
/// # Errors
/// The database refuses.
pub fn sqlite(dir: &Path, plan: Plan) -> Result<Report> {
    let mut database = open(&dir.join("ceiling.db"))?;
    prepare(&mut database, plan.seals)?;
    let mut commits = Latencies::default();
    let began = timer::now();
    let mut written = 0;
    while written < plan.stamps {
        let batch = plan.batch.min(plan.stamps - written);
        let commit = timer::now();
        let transaction = database.transaction()?;
        for stamp in written..written + batch {
            insert(&transaction, stamp, plan.seals)?;
        }
        transaction.commit()?;
        commits.record(timer::micros(commit.elapsed()));
        written += batch;
    }
    let taken = began.elapsed();
    let mut report =
        Report::of("ceiling: all rows of a stamp in group commits, SQLite, synchronous=FULL");
    report.set("seals", plan.seals);
    report.set("stamps", plan.stamps);
    report.set("batch", plan.batch);
    report.figure(
        "stamps",
        timer::rate(u64::from(written), taken),
        "1/s",
        None,
    );
    report.latency("commit", &commits);
    Ok(report)
}

fn open(file: &Path) -> Result<Connection> {
    let database = Connection::open(file)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.set_prepared_statement_cache_capacity(32);
    for migration in migrations()? {
        let sql = fs::read_to_string(&migration)?;
        database
            .execute_batch(&sql)
            .with_context(|| migration.display().to_string())?;
    }
    Ok(database)
}

fn migrations() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/migrations/sqlite");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|x| x == "sql"))
        .collect();
    files.sort();
    Ok(files)
}

/// One organization; a bound seal with its log and an open grant each.
fn prepare(database: &mut Connection, seals: u32) -> Result<()> {
    let transaction = database.transaction()?;
    transaction.execute(
        "INSERT INTO organization (id, name, grants_required, device_quota, next_member_no, version, created_at)
         VALUES (?1, 'ceiling', 1, 100000, 1, 1, 0)",
        params![[1_u8; 16].as_slice()],
    )?;
    for seal in 0..seals {
        transaction.execute(
            "INSERT INTO device (id, model, serial, name, note, life, generation, organization_id, cert_fingerprint, log_key,
                desired_locked, desired_config, desired_config_version, desired_offline, counter_lock, counter_grant,
                counter_config, counter_firmware, next_grant_no, version, created_at)
             VALUES (?1, 'GL', ?2, '', '', 'bound', 0, ?3, x'00', x'00', 0, '{}', 0, 0, 0, 1, 1, 0, 2, 1, 0)",
            params![seal, format!("S{seal}"), [1_u8; 16].as_slice()],
        )?;
        transaction.execute(
            "INSERT INTO device_log (device_id, epoch, next_seq, head, state) VALUES (?1, 0, 1, ?2, 'ok')",
            params![seal, [0_u8; 32].as_slice()],
        )?;
        transaction.execute(
            "INSERT INTO use_grant (id, device_id, no, organization_id, max_count, used, not_before, not_after, method,
                flags, remark, created_by, created_at)
             VALUES (?1, ?2, 1, ?3, 0, 0, 0, 9999999999999, 'direct', 0, '', 'bench', 0)",
            params![grant(seal).as_slice(), seal, [1_u8; 16].as_slice()],
        )?;
    }
    transaction.commit()?;
    Ok(())
}

fn grant(seal: u32) -> [u8; 16] {
    let mut id = [2; 16];
    id[..4].copy_from_slice(&seal.to_be_bytes());
    id
}

/// The five rows of one stamp.
fn insert(transaction: &Transaction<'_>, stamp: u32, seals: u32) -> Result<()> {
    let (seal, seq) = (stamp % seals, stamp / seals + 1);
    let organization = [1_u8; 16];
    let (hash, record) = ([7_u8; 32], [9_u8; 36]);
    transaction
        .prepare_cached(
            "INSERT INTO stamp (device_id, epoch, seq, boot, up, wall, clock_quality, kind, grant_no, grant_id, member_id,
                organization_id, n, lat_e7, lon_e7, accuracy, facts, abnormal, record, hash, received_at, corrected_at,
                uncertainty_s, battery)
             VALUES (?1, 0, ?2, 1, ?2, 1700000000, 2, 1, 1, ?3, NULL, ?4, ?2, 312304000, 1214737000, 10, 1, NULL, ?5, ?6,
                1700000000000, 1700000000000, 0, 90)",
        )?
        .execute(params![seal, seq, grant(seal).as_slice(), organization.as_slice(), record.as_slice(), hash.as_slice()])?;
    transaction
        .prepare_cached(
            "UPDATE device_log SET next_seq = ?2, head = ?3 WHERE device_id = ?1 AND epoch = 0",
        )?
        .execute(params![seal, seq + 1, hash.as_slice()])?;
    transaction
        .prepare_cached("UPDATE use_grant SET used = ?2 WHERE id = ?1")?
        .execute(params![grant(seal).as_slice(), seq])?;
    transaction
        .prepare_cached(
            "INSERT INTO audit (organization_id, device_id, actor, action, subject, hash, at)
             VALUES (?1, ?2, 'device', 'stamp', ?3, ?4, 1700000000000)",
        )?
        .execute(params![
            organization.as_slice(),
            seal,
            format!("{seal}/0/{seq}"),
            hash.as_slice()
        ])?;
    transaction
        .prepare_cached(
            "INSERT INTO outbox (topic, organization_id, device_id, payload, created_at)
             VALUES ('stamp', ?1, ?2, ?3, 1700000000000)",
        )?
        .execute(params![
            organization.as_slice(),
            seal,
            format!("{{\"epoch\":0,\"seq\":{seq},\"n\":{seq},\"abnormal\":null,\"grant_no\":1}}")
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stamp_has_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan {
            seals: 3,
            stamps: 10,
            batch: 4,
        };
        sqlite(dir.path(), plan).unwrap();
        let database = Connection::open(dir.path().join("ceiling.db")).unwrap();
        for table in ["stamp", "audit", "outbox"] {
            let sql = format!("SELECT count(*) FROM {table}");
            let count: i64 = database.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(count, 10, "{table}");
        }
    }
}
