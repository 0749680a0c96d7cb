//! Migrations, and the two schemas against the one set of entities.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn,
    Statement,
};

use crate::store::{
    Lane, Migrated, Store, StoreError, entity,
    testing::{TestStore, on_both},
};

/// Table -> column -> (may be null, belongs to the key).
type Schema = BTreeMap<String, BTreeMap<String, (bool, bool)>>;

fn of_entity<E: EntityTrait>(schema: &mut Schema) {
    let keys: Vec<String> = E::PrimaryKey::iter()
        .map(|key| key.into_column().as_str().to_owned())
        .collect();
    let columns = E::Column::iter()
        .map(|column| {
            let name = column.as_str().to_owned();
            let key = keys.contains(&name);
            (name, (column.def().is_null(), key))
        })
        .collect();
    schema.insert(E::default().table_name().to_owned(), columns);
}

fn of_entities() -> Schema {
    let mut schema = Schema::new();
    let s = &mut schema;
    of_entity::<entity::api_token::Entity>(s);
    of_entity::<entity::audit::Entity>(s);
    of_entity::<entity::command::Entity>(s);
    of_entity::<entity::device::Entity>(s);
    of_entity::<entity::device_log::Entity>(s);
    of_entity::<entity::device_report::Entity>(s);
    of_entity::<entity::follower::Entity>(s);
    of_entity::<entity::idempotency::Entity>(s);
    of_entity::<entity::log_gap::Entity>(s);
    of_entity::<entity::log_quarantine::Entity>(s);
    of_entity::<entity::member::Entity>(s);
    of_entity::<entity::organization::Entity>(s);
    of_entity::<entity::outbox::Entity>(s);
    of_entity::<entity::reading_mark::Entity>(s);
    of_entity::<entity::stamp::Entity>(s);
    of_entity::<entity::use_grant::Entity>(s);
    of_entity::<entity::verification_code::Entity>(s);
    schema
}

const SQLITE: &str = "SELECT m.name AS t, c.name AS c, c.\"notnull\" = 0 AS nullable, c.pk > 0 AS key \
    FROM sqlite_master m JOIN pragma_table_info(m.name) c \
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
const POSTGRES: &str = "SELECT c.table_name::text AS t, c.column_name::text AS c, c.is_nullable = 'YES' AS nullable, \
    EXISTS (SELECT 1 FROM information_schema.table_constraints k JOIN information_schema.key_column_usage u \
    USING (constraint_schema, constraint_name) WHERE k.constraint_type = 'PRIMARY KEY' AND \
    k.table_schema = c.table_schema AND k.table_name = c.table_name AND u.column_name = c.column_name) AS key \
    FROM information_schema.columns c WHERE c.table_schema = current_schema()";

async fn of_database(store: &Store) -> Schema {
    let reader = store.read();
    let backend = reader.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => POSTGRES,
        _ => SQLITE,
    };
    let rows = reader
        .query_all_raw(Statement::from_string(backend, sql))
        .await
        .unwrap();
    let mut schema = Schema::new();
    for row in rows {
        let table: String = row.try_get("", "t").unwrap();
        let column: String = row.try_get("", "c").unwrap();
        let nullable: bool = row.try_get("", "nullable").unwrap();
        let key: bool = row.try_get("", "key").unwrap();
        schema
            .entry(table)
            .or_default()
            .insert(column, (nullable, key));
    }
    schema
}

#[test]
fn both_databases_have_the_tables_of_the_entities() {
    on_both(|store| async move {
        let mut found = of_database(&store).await;
        for ours in ["schema_version", "outbox_head"] {
            assert!(found.remove(ours).is_some(), "{ours}");
        }
        let expected = of_entities();
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for (table, columns) in expected {
            assert_eq!(found[&table], columns, "{table}");
        }
    });
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let sqlite = TestStore::sqlite().await;
    let here = of_database(&sqlite.store).await;
    if let Some(postgres) = TestStore::postgres().await {
        assert_eq!(of_database(&postgres.store).await, here);
    }
}

async fn indexes(store: &Store) -> Vec<String> {
    let reader = store.read();
    let backend = reader.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT indexname::text AS n FROM pg_indexes WHERE schemaname = current_schema()"
        }
        _ => "SELECT name AS n FROM sqlite_master WHERE type = 'index'",
    };
    let rows = reader
        .query_all_raw(Statement::from_string(backend, sql))
        .await
        .unwrap();
    let mut names: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("", "n").unwrap())
        .collect();
    names.retain(|name| !name.ends_with("_pkey") && !name.starts_with("sqlite_"));
    // The sequencer's own.
    names.retain(|name| !["outbox_position", "outbox_unnumbered"].contains(&name.as_str()));
    names.sort();
    names
}

#[tokio::test]
async fn both_databases_have_the_same_indexes() {
    let sqlite = TestStore::sqlite().await;
    let here = indexes(&sqlite.store).await;
    assert!(here.contains(&"stamp_key".to_owned()));
    if let Some(postgres) = TestStore::postgres().await {
        assert_eq!(indexes(&postgres.store).await, here);
    }
}

#[test]
fn migrating_again_changes_nothing() {
    on_both(|store| async move {
        let again = store.migrate().await.unwrap();
        assert_eq!(
            again,
            Migrated {
                from: again.to,
                to: again.to
            }
        );
    });
}

#[test]
fn two_nodes_may_migrate_at_once() {
    on_both(|store| async move {
        let (one, two) = tokio::join!(store.migrate(), store.migrate());
        assert!(one.is_ok() && two.is_ok());
    });
}

#[test]
fn a_newer_database_is_refused() {
    on_both(|store| async move {
        run(
            &store,
            "INSERT INTO schema_version (version, name, checksum) VALUES (999, 'x', 'x')",
        )
        .await;
        let refused = store.migrate().await.unwrap_err();
        assert!(refused.to_string().contains("999"), "{refused}");
    });
}

#[test]
fn an_edited_migration_is_noticed() {
    on_both(|store| async move {
        run(
            &store,
            "UPDATE schema_version SET checksum = 'other' WHERE version = 1",
        )
        .await;
        assert!(matches!(store.migrate().await, Err(StoreError::Setup(_))));
    });
}

async fn run(store: &Store, sql: &'static str) {
    let done: Result<(), StoreError> = store
        .write(Lane::Normal, |tx| async move {
            tx.execute_unprepared(sql).await?;
            Ok(())
        })
        .await;
    done.unwrap();
}
