//! A whole gateway in this process.

use serde_json::Value;

use super::*;
use crate::app::{Actor, access::Scopes, token::NewToken};

fn config(dir: &Path) -> Config {
    let mut config = Config::loopback(dir);
    config.signer.in_process = true;
    config.sms.provider = SmsProvider::Memory;
    dev::prepare(&config).unwrap();
    config
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    // Other tests of this process may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client
        .get(format!("http://{address}{path}"))
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_says_where_it_is_and_stops_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let running = Server::start(config.clone()).await.unwrap();
    let told: Value =
        serde_json::from_slice(&std::fs::read(config.addresses_file()).unwrap()).unwrap();
    assert_eq!(told["http"], running.http_addr.to_string());
    assert_eq!(told["front"], running.front_addr.to_string());
    let (status, body) = get(running.http_addr, "/readyz").await;
    assert_eq!(status, 200, "{body}");
    while !get(running.http_addr, "/readyz")
        .await
        .1
        .contains("\"signer\":true")
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (status, metrics) = get(running.http_addr, "/metrics").await;
    assert_eq!(status, 200);
    assert!(
        metrics.contains("sealgate_links{listener=\"front\"} 0"),
        "{metrics}"
    );
    assert!(matches!(
        Server::start(config.clone()).await,
        Err(ServerError::Taken(_))
    ));
    assert!(running.shutdown().await, "everything was done in time");
    assert!(!config.addresses_file().exists());
    let again = Server::start(config).await.unwrap();
    assert!(again.shutdown().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_token_is_made_once_and_works() {
    let dir = tempfile::tempdir().unwrap();
    let running = Server::start(config(dir.path())).await.unwrap();
    let file = dir.path().join("admin.token");
    let token = dev::admin_token(running.app(), &file)
        .await
        .unwrap()
        .unwrap();
    assert!(
        dev::admin_token(running.app(), &file)
            .await
            .unwrap()
            .is_none()
    );
    let actor = running.app().authenticate(&token).await.unwrap();
    assert_eq!(actor.scopes, Scopes::all());
    assert!(running.shutdown().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tokens_with_the_right_to_events_may_subscribe() {
    use crate::{
        bus::Family,
        ingress::business::{Sees, TokenCheck},
    };
    let dir = tempfile::tempdir().unwrap();
    let app = open_app(&config(dir.path())).await.unwrap();
    let make = |scopes: &str| NewToken {
        name: "t".to_owned(),
        scopes: Scopes::parse(scopes).unwrap(),
        organization: None,
        expires_at: None,
    };
    let cli = Actor::cli();
    let (_, reader) = app.create_token(&cli, make("events:read")).await.unwrap();
    let (_, other) = app.create_token(&cli, make("org:read")).await.unwrap();
    let stamps = make("events:read stamp:read");
    let (_, stamps) = app.create_token(&cli, stamps).await.unwrap();
    let (_, fleet) = app
        .create_token(&cli, make("events:read fleet:read"))
        .await
        .unwrap();
    let tokens = Tokens(app);
    let reader = tokens.check(&reader).await.unwrap();
    assert_eq!(reader.sees, Sees::All);
    assert!(reader.families.is_empty(), "no family without its scope");
    for (token, families) in [
        (stamps, [Family::Stamp, Family::Alarm]),
        (fleet, [Family::Presence, Family::Command]),
    ] {
        let subscriber = tokens.check(&token).await.unwrap();
        assert_eq!(subscriber.families, families.into_iter().collect());
    }
    assert!(tokens.check(&other).await.is_none());
    assert!(tokens.check("sk_nonsense").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_work_are_not_taken_while_running() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let running = Server::start(config.clone()).await.unwrap();
    running.reload_tls(&config).unwrap();
    let chain = config.under_data(&config.front.tls.cert);
    std::fs::write(&chain, "no certificate").unwrap();
    assert!(running.reload_tls(&config).is_err());
    let (status, body) = get(running.http_addr, "/readyz").await;
    assert_eq!(status, 200, "{body}");
    assert!(running.shutdown().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_start_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::loopback(dir.path());
    config.signer.in_process = true;
    assert!(matches!(
        Server::start(config.clone()).await,
        Err(ServerError::Front(_))
    ));
    dev::prepare(&config).unwrap();
    std::fs::remove_file(config.under_data(Path::new("keys/kid-1.key"))).unwrap();
    assert!(matches!(
        Server::start(config.clone()).await,
        Err(ServerError::Keys(_))
    ));
    config.http.listen = "192.0.2.1:1".to_owned();
    assert!(matches!(
        Server::start(config).await,
        Err(ServerError::Listen { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_outlive_the_one_that_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let app = open_app(&config(dir.path())).await.unwrap();
    let later = |ms: i64| Some(sealgate_domain::Millis(app.clock.now().0 + ms));
    let make = |expires_at| NewToken {
        name: "t".to_owned(),
        scopes: Scopes::all(),
        organization: None,
        expires_at,
    };
    let end = later(3_600_000);
    let (_, secret) = app.create_token(&Actor::cli(), make(end)).await.unwrap();
    let maker = app.authenticate(&secret).await.unwrap();
    let refused = app.create_token(&maker, make(later(7_200_000))).await;
    assert!(
        matches!(&refused, Err(AppError::Invalid { field, .. }) if field == "expires_at"),
        "{refused:?}"
    );
    let (unsaid, _) = app.create_token(&maker, make(None)).await.unwrap();
    assert_eq!(unsaid.expires_at, end.map(|at| at.0));
    let sooner = later(60_000);
    let (short, _) = app.create_token(&maker, make(sooner)).await.unwrap();
    assert_eq!(short.expires_at, sooner.map(|at| at.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_others_may_read_are_refused() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let widen = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let key = config.under_data(&config.front.tls.key);
    widen(&key, 0o640);
    let refused = Server::start(config.clone()).await;
    assert!(matches!(refused, Err(ServerError::Front(_))), "{refused:?}");
    widen(&key, 0o600);
    let app = open_app(&config).await.unwrap();
    let token = dir.path().join("admin.token");
    dev::admin_token(&app, &token).await.unwrap();
    widen(&token, 0o604);
    let refused = dev::admin_token(&app, &token).await;
    assert!(matches!(refused, Err(ServerError::Files(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_on_the_same_database_file_does_not_start_and_other_commands_work() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = config(one.path());
    let running = Server::start(first.clone()).await.unwrap();
    let mut second = config(two.path());
    second.store.url = first.resolved_store().url;
    let refused = Server::start(second.clone()).await;
    assert!(matches!(refused, Err(ServerError::Taken(_))), "{refused:?}");
    open_app(&second).await.unwrap();
    assert!(running.shutdown().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_taken_for_over_shows_again_with_its_next_contact() {
    use crate::app::{device::NewDevice, session::PresenceNote};
    use sealgate_domain::{DeviceId, Millis};
    let dir = tempfile::tempdir().unwrap();
    let app = open_app(&config(dir.path())).await.unwrap();
    let device = DeviceId([7; 8]);
    let new = NewDevice {
        id: device,
        model: "GL".to_owned(),
        serial: "GL-1".to_owned(),
        log_key: [1; 32],
        cert_fingerprint: [2; 32],
        key_set_version: None,
    };
    app.import_devices(&Actor::cli(), vec![new]).await.unwrap();
    let note = |term, connected, at| PresenceNote {
        device,
        organization: None,
        term,
        connected,
        at: Millis(at),
        status: None,
    };
    let connected = async || {
        let row = crate::store::report::find(&app.store().read(), device).await;
        row.unwrap().unwrap().connected
    };
    let write = async |note| app.write_presence("node-1", &[note]).await.unwrap();
    write(note(5, Some((true, "mqtt")), 1)).await;
    app.forget_presence("node-1").await.unwrap();
    assert!(!connected().await);
    write(note(4, None, 2)).await;
    assert!(!connected().await, "an older session says nothing");
    write(note(5, None, 3)).await;
    assert!(connected().await);
    write(note(5, Some((false, "mqtt")), 4)).await;
    assert!(!connected().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_write_that_failed_for_the_disk_readiness_waits_for_one_that_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.store.max_size_mb = 1;
    let app = open_app(&config).await.unwrap();
    assert!(app.probe().await.store);
    let scopes = Scopes::all();
    for at in 0..10_000 {
        let new = NewToken {
            name: format!("{at}{}", "x".repeat(70)),
            scopes,
            organization: None,
            expires_at: None,
        };
        match app.create_token(&Actor::cli(), new).await {
            Ok(_) => {}
            Err(AppError::Store(crate::store::StoreError::Io(_))) => break,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(!app.report().store);
    assert!(!app.probe().await.store, "asking again does not make room");
}
