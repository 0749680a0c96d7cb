//! Databases for tests: a file of its own, or a schema of its own on the PostgreSQL that `SEALGATE_TEST_POSTGRES` names.

use std::{future::Future, path::PathBuf};

use bytes::Bytes;
use sea_orm::{
    ConnectionTrait as _, DbBackend, EntityTrait, QuerySelect as _, QueryTrait as _, Select,
    Statement,
    sqlx::{self, Connection, Executor, PgConnection},
};
use sealgate_domain::{
    DeviceId, GrantId, MemberId, Millis, OrganizationId,
    stamp::{AbnormalKind, Cursor, Hash, TimeSync},
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{
    Lane, Store, StoreError, device, fresh, grant,
    ingest::{IngestBatch, IngestRecord},
    log, member, organization,
};
use crate::config::StoreConfig;

/// Names a PostgreSQL server for tests.
const SERVER: &str = "SEALGATE_TEST_POSTGRES";

/// The time tests begin at.
pub(crate) const START: Millis = Millis(1_800_000_000_000);

/// A migrated database that goes away with it.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) config: StoreConfig,
    directory: Option<TempDir>,
    schema: Option<(String, String)>,
}

impl TestStore {
    /// SQLite.
    pub(crate) async fn sqlite() -> Self {
        Self::sqlite_with(|_| {}).await
    }

    /// SQLite with other settings.
    pub(crate) async fn sqlite_with(change: impl FnOnce(&mut StoreConfig)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = StoreConfig {
            url: format!("sqlite://{}/test.db", directory.path().display()),
            ..StoreConfig::default()
        };
        change(&mut config);
        Self::open(config, Some(directory), None).await
    }

    /// PostgreSQL, or nothing and a line that says why.
    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var(SERVER) else {
            eprintln!("skipped on PostgreSQL: {SERVER} names no server");
            return None;
        };
        let (schema, config) = schema(&server).await;
        Some(Self::open(config, None, Some((server, schema))).await)
    }

    /// How SQLite would walk a query; "TEMP B-TREE" means it sorts everything it finds.
    pub(crate) async fn plan<E: EntityTrait>(&self, query: Select<E>) -> String {
        let mut statement: Statement = query.limit(50).build(DbBackend::Sqlite);
        statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let rows = self.store.read().query_all_raw(statement).await;
        let rows = rows.expect("a query that can be explained");
        let steps = rows.iter().map(|row| row.try_get::<String>("", "detail"));
        let steps: Result<Vec<_>, _> = steps.collect();
        steps.expect("texts").join("; ")
    }

    async fn open(
        config: StoreConfig,
        directory: Option<TempDir>,
        schema: Option<(String, String)>,
    ) -> Self {
        let store = Store::open(&config).await.expect("opens");
        store.migrate().await.expect("migrates");
        Self {
            store,
            config,
            directory,
            schema,
        }
    }

    async fn close(self) {
        self.store.close().await;
        if let Some((server, schema)) = self.schema {
            let mut admin = PgConnection::connect(&server)
                .await
                .expect("the test server");
            let sql = format!("DROP SCHEMA {schema} CASCADE");
            admin
                .execute(sqlx::AssertSqlSafe(sql))
                .await
                .expect("drops");
        }
        drop(self.directory);
    }
}

/// Makes a schema of its own, and the settings that lead there.
async fn schema(server: &str) -> (String, StoreConfig) {
    let schema = format!("t{}", fresh::<uuid::Uuid>(START).simple());
    let mut admin = PgConnection::connect(server)
        .await
        .expect("the test server");
    let sql = format!("CREATE SCHEMA {schema}");
    admin
        .execute(sqlx::AssertSqlSafe(sql))
        .await
        .expect("a schema");
    let mark = if server.contains('?') { '&' } else { '?' };
    let config = StoreConfig {
        url: format!("{server}{mark}options=-csearch_path%3D{schema}"),
        ..StoreConfig::default()
    };
    (schema, config)
}

/// Where a whole gateway of a test keeps its data: a file of its own, or a schema of its own where a server is named.
/// Goes away with it.
pub(crate) struct Home {
    pub(crate) config: StoreConfig,
    pub(crate) file: PathBuf,
    _directory: TempDir,
    schema: Option<(String, String)>,
}

impl Home {
    /// On SQLite whatever is named.
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("gateway.db");
        Self {
            config: StoreConfig {
                url: format!("sqlite://{}", file.display()),
                ..StoreConfig::default()
            },
            file,
            _directory: directory,
            schema: None,
        }
    }

    /// On PostgreSQL where a server is named, else on SQLite.
    pub(crate) async fn any() -> Self {
        let mut home = Self::sqlite();
        if let Ok(server) = std::env::var(SERVER) {
            let (schema, config) = schema(&server).await;
            home.config = config;
            home.schema = Some((server, schema));
        }
        home
    }
}

/// Who still works there may hold a lock: then the schema stays behind.
impl Drop for Home {
    fn drop(&mut self) {
        let Some((server, schema)) = self.schema.take() else {
            return;
        };
        let drops = async move {
            let mut admin = PgConnection::connect(&server).await?;
            admin.execute("SET lock_timeout = '2s'").await?;
            let sql = format!("DROP SCHEMA {schema} CASCADE");
            admin.execute(sqlx::AssertSqlSafe(sql)).await
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            if let Err(error) = runtime.block_on(drops) {
                eprintln!("a schema stays behind: {error}");
            }
        });
        let _ = thread.join();
    }
}

/// Runs a test on SQLite, and on PostgreSQL where there is one.
pub(crate) fn on_both<F, Fut>(test: F)
where
    F: Fn(Store) -> Fut,
    Fut: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let sqlite = TestStore::sqlite().await;
        test(sqlite.store.clone()).await;
        sqlite.close().await;
        if let Some(postgres) = TestStore::postgres().await {
            eprintln!("on PostgreSQL");
            test(postgres.store.clone()).await;
            postgres.close().await;
        }
    });
}

/// Runs a test on PostgreSQL, where there is one.
pub(crate) fn on_postgres<F, Fut>(test: F)
where
    F: Fn(Store) -> Fut,
    Fut: Future<Output = ()>,
{
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        if let Some(postgres) = TestStore::postgres().await {
            test(postgres.store.clone()).await;
            postgres.close().await;
        }
    });
}

/// A small world: an organization with its owner.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) organization: OrganizationId,
    pub(crate) owner: MemberId,
}

/// Writes the world.
pub(crate) async fn world(store: &Store, grants_required: bool) -> World {
    let world = World {
        organization: fresh(START),
        owner: fresh(START),
    };
    let organization = organization::Row {
        id: world.organization.0,
        name: "Harbour Works".to_owned(),
        grants_required,
        device_quota: 50,
        next_member_no: 2,
        version: 1,
        created_at: START.0,
        mode_switched_at: organization::NEVER.to_owned(),
    };
    let owner = member::Row {
        id: world.owner.0,
        organization_id: world.organization.0,
        no: 1,
        name: "Lin".to_owned(),
        phone: "13800138000".to_owned(),
        role: "owner".to_owned(),
        removed_at: None,
        created_at: START.0,
    };
    let (organization, owner) = (&organization, &owner);
    let written: Result<(), StoreError> = store
        .write(Lane::Normal, |tx| async move {
            organization::insert(&tx, organization).await?;
            member::insert(&tx, owner).await
        })
        .await;
    written.expect("the world");
    world
}

/// A device row as an import makes it.
pub(crate) fn device_row(number: u64) -> device::Row {
    device::Row {
        id: i64::from_be_bytes(number.to_be_bytes()),
        model: "GL".to_owned(),
        serial: format!("SG-{number:06}"),
        name: String::new(),
        note: String::new(),
        life: "not_delivered".to_owned(),
        suspended_from: None,
        generation: 0,
        organization_id: None,
        cert_fingerprint: vec![7; 32],
        cert_not_after: None,
        next_cert_fingerprint: None,
        next_cert_not_after: None,
        log_key: vec![8; 32],
        revoked_at: None,
        desired_locked: false,
        lock_issued_at: None,
        lock_applied_at: None,
        lock_lifted_at: None,
        desired_config: serde_json::json!({"backlight_s": 30, "auto_off_min": 10}),
        desired_config_version: 0,
        desired_offline: false,
        counter_lock: 0,
        counter_grant: 0,
        counter_config: 0,
        counter_firmware: 0,
        next_grant_no: 1,
        version: 1,
        created_at: START.0,
    }
}

/// Writes a bound device of the world, its log open.
pub(crate) async fn bound_device(store: &Store, world: &World, number: u64) -> Seal {
    let row = &device::Row {
        life: "bound".to_owned(),
        organization_id: Some(world.organization.0),
        ..device_row(number)
    };
    let seal = Seal::new(row.key());
    let genesis = seal.cursor.head;
    let written: Result<(), StoreError> = store
        .write(Lane::Normal, |tx| async move {
            device::insert(&tx, row).await?;
            log::open(&tx, row.key(), 1, genesis).await?;
            Ok(())
        })
        .await;
    written.expect("the device");
    seal
}

/// A delivered grant on a device, open from [`START`] for an hour.
pub(crate) fn grant_row(world: &World, device: DeviceId, no: u32, max: u16) -> grant::Row {
    grant::Row {
        id: fresh::<GrantId>(START).0,
        device_id: device.to_key(),
        no: i64::from(no),
        organization_id: world.organization.0,
        member_id: Some(world.owner.0),
        max_count: i32::from(max),
        used: 0,
        not_before: START.0,
        not_after: START.plus(Millis::HOUR).0,
        method: "direct".to_owned(),
        flags: 0,
        region: None,
        document: None,
        remark: String::new(),
        created_by: "test".to_owned(),
        created_at: START.0,
        delivered_at: Some(START.0),
        exhausted_at: None,
        end_requested_at: None,
        ended_at: None,
        end_reason: None,
    }
}

/// Writes a grant.
pub(crate) async fn give(store: &Store, row: &grant::Row) {
    let written: Result<(), StoreError> = store
        .write(
            Lane::Normal,
            |tx| async move { grant::insert(&tx, row).await },
        )
        .await;
    written.expect("the grant");
}

/// The device's end of its log.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    pub(crate) id: DeviceId,
    pub(crate) cursor: Cursor,
    pub(crate) records: Vec<(IngestRecord, Hash)>,
}

impl Seal {
    fn new(id: DeviceId) -> Self {
        Self {
            id,
            cursor: Cursor {
                epoch: 1,
                next: 1,
                head: Sha256::digest(id.0).into(),
            },
            records: Vec::new(),
        }
    }

    /// A press under a grant; change it before the next.
    pub(crate) fn press(&mut self, grant_no: u32, n: u16, change: impl FnOnce(&mut IngestRecord)) {
        let mut record = IngestRecord {
            seq: self.cursor.next,
            boot: 1,
            uptime_s: 600 + self.cursor.next,
            wall_s: START.seconds(),
            clock_quality: 3,
            wall_trusted: true,
            kind: 0,
            grant_no,
            n,
            position: None,
            facts: 1,
            grant_active: grant_no != 0,
            booting: false,
            class: (grant_no == 0).then_some(AbnormalKind::WithoutGrant),
            lost: 0,
            record: Bytes::new(),
            hash: [0; 32],
        };
        change(&mut record);
        record.record = format!("{record:?}").into_bytes().into();
        record.hash = Sha256::digest(&record.record).into();
        let head = Sha256::new()
            .chain_update(self.cursor.head)
            .chain_update(&record.record)
            .finalize();
        self.cursor.next += record.lost.max(1);
        self.cursor.head = head.into();
        self.records.push((record, self.cursor.head));
    }

    /// Records `from..to` of the list, as a session whose cursor is at record `known` hands them in.
    pub(crate) fn batch(&self, from: usize, to: usize, known: usize) -> IngestBatch {
        let genesis = Self::new(self.id).cursor;
        let head = |count: usize| match count {
            0 => genesis.head,
            count => self.records[count - 1].1,
        };
        let seq = |at: usize| {
            self.records
                .get(at)
                .map_or(self.cursor.next, |(record, _)| record.seq)
        };
        IngestBatch {
            device: self.id,
            epoch: 1,
            first: seq(from),
            chained_from: seq(known),
            prev_head: head(known),
            new_head: head(to),
            records: self.records[from..to]
                .iter()
                .map(|(record, _)| record.clone())
                .collect(),
            received_at: START.plus(10 * Millis::MINUTE),
            sync: TimeSync {
                boot: 1,
                uptime_s: 600,
                at: START.plus(Millis::MINUTE),
            },
            battery: Some(80),
        }
    }
}
