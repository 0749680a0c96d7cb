//! TLS to PostgreSQL.
//!
//! Invariants:
//! - Who asks for TLS, in the settings, in the URL or by `PGSSLMODE`, gets TLS or no connection: the modes that fall back
//!   to clear text are refused.
//! - Who asks for nothing gets clear text to this machine only, and a verified server anywhere else.

use std::net::IpAddr;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::StoreError;
use crate::config::{StoreConfig, StoreTlsMode as Mode};

/// The options with their TLS settled.
pub(super) fn secure(
    options: PgConnectOptions,
    config: &StoreConfig,
) -> Result<PgConnectOptions, StoreError> {
    let tls = &config.tls;
    let mode = match (tls.mode, asked(&options, &config.url)?) {
        (Mode::Auto, Some(asked)) => asked,
        (Mode::Auto, None) if tls.ca.as_os_str().is_empty() && is_local(&options) => Mode::Disable,
        (Mode::Auto, None) => Mode::VerifyFull,
        (set, asked) if asked.is_none_or(|asked| asked == set) => set,
        (set, asked) => {
            return Err(StoreError::Setup(format!(
                "store.tls.mode is {}, but store.url or PGSSLMODE asks for {}",
                set.name(),
                asked.unwrap_or_default().name()
            )));
        }
    };
    let mut options = options.ssl_mode(match mode {
        Mode::Disable => PgSslMode::Disable,
        Mode::Require => PgSslMode::Require,
        Mode::VerifyCa => PgSslMode::VerifyCa,
        Mode::Auto | Mode::VerifyFull => PgSslMode::VerifyFull,
    });
    for (key, path) in [
        ("store.tls.ca", &tls.ca),
        ("store.tls.cert", &tls.cert),
        ("store.tls.key", &tls.key),
    ] {
        if !path.as_os_str().is_empty() && !path.is_file() {
            let shown = path.display();
            return Err(StoreError::Setup(format!("{key}: {shown} is not a file")));
        }
    }
    if !tls.ca.as_os_str().is_empty() {
        options = options.ssl_root_cert(&tls.ca);
    }
    if !tls.cert.as_os_str().is_empty() {
        options = options.ssl_client_cert(&tls.cert).ssl_client_key(&tls.key);
    }
    if mode == Mode::Require {
        tracing::warn!("the database's certificate is not verified: use verify-full");
    }
    Ok(options)
}

/// What the URL or the environment asks for. `prefer` is also what the driver says when nobody asked.
fn asked(options: &PgConnectOptions, url: &str) -> Result<Option<Mode>, StoreError> {
    let falls_back = |name: &str| {
        Err(StoreError::Setup(format!(
            "sslmode={name} falls back to clear text: use verify-full, or disable where the network is trusted"
        )))
    };
    match options.get_ssl_mode() {
        PgSslMode::Disable => Ok(Some(Mode::Disable)),
        PgSslMode::Require => Ok(Some(Mode::Require)),
        PgSslMode::VerifyCa => Ok(Some(Mode::VerifyCa)),
        PgSslMode::VerifyFull => Ok(Some(Mode::VerifyFull)),
        PgSslMode::Allow => falls_back("allow"),
        PgSslMode::Prefer if names_a_mode(url) => falls_back("prefer"),
        PgSslMode::Prefer => Ok(None),
    }
}

fn names_a_mode(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .any(|key| matches!(key, "sslmode" | "ssl-mode"))
}

fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;
    use crate::config::StoreTls;

    fn mode(url: &str, tls: StoreTls) -> Result<&'static str, String> {
        let config = StoreConfig {
            url: url.to_owned(),
            tls,
            ..StoreConfig::default()
        };
        let options = PgConnectOptions::from_str(url).unwrap();
        let options = secure(options, &config).map_err(|error| error.to_string())?;
        Ok(match options.get_ssl_mode() {
            PgSslMode::Disable => "disable",
            PgSslMode::Require => "require",
            PgSslMode::VerifyCa => "verify-ca",
            PgSslMode::VerifyFull => "verify-full",
            PgSslMode::Allow | PgSslMode::Prefer => "may be clear text",
        })
    }

    fn set(mode: Mode) -> StoreTls {
        StoreTls {
            mode,
            ..StoreTls::default()
        }
    }

    #[test]
    fn clear_text_stays_on_this_machine_unless_somebody_says_so() {
        for url in [
            "postgres://a@localhost/x",
            "postgres://a@127.0.0.1:5433/x",
            "postgres://a@[::1]/x",
            "postgres:///x?host=/run/postgresql",
        ] {
            assert_eq!(mode(url, StoreTls::default()), Ok("disable"), "{url}");
        }
        for url in ["postgres://a@db.example/x", "postgres://a@192.0.2.7/x"] {
            assert_eq!(mode(url, StoreTls::default()), Ok("verify-full"), "{url}");
            let trusted = format!("{url}?sslmode=disable");
            assert_eq!(mode(&trusted, StoreTls::default()), Ok("disable"));
            assert_eq!(mode(url, set(Mode::Disable)), Ok("disable"));
        }
    }

    #[test]
    fn a_mode_that_falls_back_to_clear_text_is_refused() {
        for name in ["prefer", "allow", "PREFER"] {
            for key in ["sslmode", "ssl-mode"] {
                let url = format!("postgres://a@db/x?application_name=y&{key}={name}");
                let told = mode(&url, StoreTls::default()).unwrap_err();
                assert!(told.contains("clear text"), "{told}");
            }
        }
    }

    #[test]
    fn url_and_settings_may_agree_and_must_not_contradict() {
        let url = "postgres://a@localhost/x?sslmode=verify-full";
        assert_eq!(mode(url, StoreTls::default()), Ok("verify-full"));
        assert_eq!(mode(url, set(Mode::VerifyFull)), Ok("verify-full"));
        for other in [Mode::Disable, Mode::Require, Mode::VerifyCa] {
            let told = mode(url, set(other)).unwrap_err();
            assert!(
                told.contains(other.name()) && told.contains("verify-full"),
                "{told}"
            );
        }
        let local = "postgres://a@localhost/x";
        assert_eq!(mode(local, set(Mode::VerifyCa)), Ok("verify-ca"));
        assert_eq!(mode(local, set(Mode::Require)), Ok("require"));
    }

    #[test]
    fn files_that_are_named_must_be_there() {
        let tls = StoreTls {
            ca: "/nowhere/ca.pem".into(),
            ..StoreTls::default()
        };
        let told = mode("postgres://a@localhost/x", tls).unwrap_err();
        assert!(
            told.contains("store.tls.ca") && told.contains("/nowhere/ca.pem"),
            "{told}"
        );
    }
}
