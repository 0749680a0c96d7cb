//! Where a gateway under test keeps its records: a file in its folder, or a database of its own on a PostgreSQL server.

use std::env;

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database as Orm, DbBackend, DbErr, Statement};

/// Names a PostgreSQL server for tests.
const SERVER: &str = "SEALGATE_TEST_POSTGRES";

/// Which database a gateway under test uses.
#[derive(Debug, Clone, Default)]
pub enum Database {
    /// A file in its data folder.
    #[default]
    Sqlite,
    /// A database of its own on the server with this URL, dropped at the end.
    Postgres(String),
    /// What this part of the settings file says, `[store]` included.
    Settings(String),
}

impl Database {
    /// The server the environment names, or nothing with the reason printed.
    #[must_use]
    pub fn postgres() -> Option<Self> {
        let server = env::var(SERVER).ok();
        if server.is_none() {
            println!("skipped on PostgreSQL: {SERVER} names no server");
        }
        server.map(Self::Postgres)
    }

    /// Makes what has to be there before a gateway starts.
    pub(crate) fn make(&self) -> Home {
        match self {
            Self::Sqlite => Home::default(),
            Self::Settings(settings) => Home {
                settings: settings.clone(),
                url: None,
                server: None,
            },
            Self::Postgres(server) => {
                let name = format!("sealgate_test_{:016x}", rand::random::<u64>());
                execute_now(server, &format!("CREATE DATABASE {name}"));
                let url = within(server, &name);
                Home {
                    settings: format!("[store]\nurl = {url:?}\nconnections = 6\n"),
                    url: Some(url),
                    server: Some((server.clone(), name)),
                }
            }
        }
    }
}

/// One gateway's database; gone with it.
#[derive(Debug, Default)]
pub(crate) struct Home {
    pub(crate) settings: String,
    pub(crate) url: Option<String>,
    server: Option<(String, String)>,
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some((server, name)) = self.server.take() {
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            let dropped = in_a_thread(move || async move { execute(&server, &sql).await });
            if let Err(error) = dropped {
                println!("a database stays behind: {error}");
            }
        }
    }
}

/// The URL of another database on the same server.
#[must_use]
pub fn within(server: &str, database: &str) -> String {
    let (place, query) = match server.split_once('?') {
        Some((place, query)) => (place, format!("?{query}")),
        None => (server, String::new()),
    };
    let authority = place.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    format!("{authority}/{database}{query}")
}

async fn connect(url: &str) -> Result<sea_orm::DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Orm::connect(options).await
}

/// Runs statements on the database at `url`.
///
/// # Errors
/// The database.
pub async fn execute(url: &str, sql: &str) -> Result<(), DbErr> {
    let connection = connect(url).await?;
    let done = connection.execute_unprepared(sql).await;
    connection.close().await?;
    done.map(drop)
}

/// The number a query gives, from its column `value`.
///
/// # Errors
/// The database.
pub async fn number(url: &str, sql: &str) -> Result<i64, DbErr> {
    let connection = connect(url).await?;
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = connection.query_one_raw(statement).await;
    connection.close().await?;
    match row? {
        Some(row) => row.try_get("", "value"),
        None => Ok(0),
    }
}

/// [`execute`] where nothing may wait.
///
/// # Panics
/// The database refuses.
pub(crate) fn execute_now(url: &str, sql: &str) {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let shown = sql.clone();
    in_a_thread(move || async move { execute(&url, &sql).await })
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
}

fn in_a_thread<T, F>(work: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let thread = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(work())
    });
    thread.join().expect("no panic")
}

/// Two tests of one scene: on SQLite, and on PostgreSQL where the environment names a server.
#[macro_export]
macro_rules! on_both_databases {
    ($($scene:ident),+ $(,)?) => {$(
        mod $scene {
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                super::$scene($crate::database::Database::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgresql() {
                if let Some(database) = $crate::database::Database::postgres() {
                    super::$scene(database).await;
                }
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_a_server_keeps_everything_else() {
        for (server, other) in [
            ("postgres://a:b@h:1/postgres", "postgres://a:b@h:1/x"),
            ("postgres://a@h/postgres?k=v/w", "postgres://a@h/x?k=v/w"),
            ("postgres://a@h", "postgres://a@h/x"),
        ] {
            assert_eq!(within(server, "x"), other);
        }
    }
}
