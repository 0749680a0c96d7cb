//! A fleet, written straight into a migrated database.

use std::path::Path;

use anyhow::{Context as _, Result};
use rusqlite::{Connection, params};
use sealgate_domain::DeviceId;
use serde::Deserialize;
use tokio_postgres::NoTls;

/// One entry of a manifest.
#[derive(Debug, Clone, Deserialize)]
pub struct Device {
    id: String,
    serial: String,
    log_public: String,
    cert_sha256: String,
}

const ORGANIZATION: [u8; 16] = [1; 16];
const NAME: &str = "load";

struct Row {
    key: i64,
    serial: String,
    fingerprint: Vec<u8>,
    log_key: Vec<u8>,
    grant: [u8; 16],
}

fn rows(devices: &[Device]) -> Result<Vec<Row>> {
    devices
        .iter()
        .map(|device| {
            let id: DeviceId = device.id.parse().context("a device id")?;
            let mut grant = [2; 16];
            grant[..8].copy_from_slice(&id.0);
            Ok(Row {
                key: id.to_key(),
                serial: device.serial.clone(),
                fingerprint: unhex(&device.cert_sha256)?,
                log_key: unhex(&device.log_public)?,
                grant,
            })
        })
        .collect()
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).context("hex"))
        .collect()
}

const ORGANIZATION_SQL: &str = "INSERT INTO organization (id, name, grants_required, device_quota, next_member_no, version, created_at)
    VALUES ($1, $2, TRUE, 1000000, 1, 1, 0)";
const DEVICE_SQL: &str = "INSERT INTO device (id, model, serial, name, note, life, generation, organization_id, cert_fingerprint,
        log_key, desired_locked, desired_config, desired_config_version, desired_offline, counter_lock, counter_grant,
        counter_config, counter_firmware, next_grant_no, version, created_at)
    VALUES ($1, 'GL', $2, '', '', 'bound', 0, $3, $4, $5, FALSE, '{}', 0, FALSE, 0, 1, 1, 0, 2, 1, 0)";
const REPORT_SQL: &str =
    "INSERT INTO device_report (device_id, connected, term) VALUES ($1, FALSE, 0)";
const GRANT_SQL: &str = "INSERT INTO use_grant (id, device_id, no, organization_id, max_count, used, not_before, not_after,
        method, flags, remark, created_by, created_at, delivered_at)
    VALUES ($1, $2, 1, $3, 0, 0, 0, 9999999999999, 'direct', 0, '', 'load', 0, 0)";

/// Into a SQLite file.
///
/// # Errors
/// The database refuses.
pub fn sqlite(file: &Path, devices: &[Device]) -> Result<()> {
    let mut database = Connection::open(file)?;
    let transaction = database.transaction()?;
    transaction.execute(ORGANIZATION_SQL, params![ORGANIZATION.as_slice(), NAME])?;
    for row in rows(devices)? {
        transaction.prepare_cached(DEVICE_SQL)?.execute(params![
            row.key,
            row.serial,
            ORGANIZATION.as_slice(),
            row.fingerprint,
            row.log_key
        ])?;
        transaction
            .prepare_cached(REPORT_SQL)?
            .execute(params![row.key])?;
        transaction.prepare_cached(GRANT_SQL)?.execute(params![
            row.grant.as_slice(),
            row.key,
            ORGANIZATION.as_slice()
        ])?;
    }
    transaction.commit()?;
    Ok(())
}

/// Into a PostgreSQL database.
///
/// # Errors
/// The database refuses.
pub async fn postgres(url: &str, devices: &[Device]) -> Result<()> {
    let (mut database, connection) = tokio_postgres::connect(url, NoTls).await?;
    sealgate::tasks::spawn("seed-connection", async move {
        let _ = connection.await;
    });
    let transaction = database.transaction().await?;
    // Ids travel as text of sixteen bytes in hex and are cast, so that no type of the driver is needed for UUIDs.
    let uuid = |bytes: [u8; 16]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let cast = |sql: &str, places: &[u8]| {
        places.iter().fold(sql.to_owned(), |sql, place| {
            sql.replacen(
                &format!("${place}"),
                &format!("CAST(CAST(${place} AS TEXT) AS UUID)"),
                1,
            )
        })
    };
    transaction
        .execute(&cast(ORGANIZATION_SQL, &[1]), &[&uuid(ORGANIZATION), &NAME])
        .await?;
    let device = transaction.prepare(&cast(DEVICE_SQL, &[3])).await?;
    let grant = transaction.prepare(&cast(GRANT_SQL, &[1, 3])).await?;
    for row in rows(devices)? {
        transaction
            .execute(
                &device,
                &[
                    &row.key,
                    &row.serial,
                    &uuid(ORGANIZATION),
                    &row.fingerprint,
                    &row.log_key,
                ],
            )
            .await?;
        transaction.execute(REPORT_SQL, &[&row.key]).await?;
        transaction
            .execute(&grant, &[&uuid(row.grant), &row.key, &uuid(ORGANIZATION)])
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}
