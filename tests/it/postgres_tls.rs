//! PostgreSQL over TLS: who asks for it gets it, verified, or nothing.

use std::{fs, net::SocketAddr, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use sealgate_tests::{
    database::{self, Database},
    gateway::Setup,
    material::try_cli,
    postgres::PostgresServer,
    world::{World, press},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A CA that exists for one test.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Certificate and key as PEM.
    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server that takes TLS only, its CA, and a folder for the client's files.
struct Scene {
    server: PostgresServer,
    authority: Authority,
    files: TempDir,
}

impl Scene {
    /// `rule` is what the server asks of those who come over TLS.
    async fn with(rule: &str) -> Option<Self> {
        let mut server = PostgresServer::make()?;
        let authority = Authority::new("CA of the database");
        let (certificate, key) = authority.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        server.write("server.crt", &certificate);
        server.write("server.key", &key);
        server.write("root.crt", &authority.pem);
        server.write(
            "postgresql.auto.conf",
            "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\nssl_ca_file = 'root.crt'\n",
        );
        server.write(
            "pg_hba.conf",
            &format!("local all all trust\nhostssl all all 127.0.0.1/32 {rule}\nhostnossl all all all reject\n"),
        );
        server.start().await;
        let files = tempfile::tempdir().expect("a folder");
        fs::write(files.path().join("ca.pem"), &authority.pem).expect("written");
        Some(Self {
            server,
            authority,
            files,
        })
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn url(&self, host: &str, query: &str) -> String {
        let port = self.server.port();
        format!("postgres://sealgate@{host}:{port}/postgres{query}")
    }
}

/// A certificate and its key in a folder, the key closed to others.
fn put(folder: &Path, name: &str, (certificate, key): &(String, String)) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(folder.join(format!("{name}.pem")), certificate).expect("written");
    let path = folder.join(format!("{name}.key"));
    fs::write(&path, key).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("closed");
}

/// Connects and creates the schema, as `sealgate migrate` does, or says why not.
async fn migrate(store: &str) -> Result<String, String> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("sealgate.toml");
    let data = dir.path().join("data");
    let text = format!("[node]\ndata_dir = {data:?}\n[store]\nacquire_timeout_ms = 5000\n{store}");
    fs::write(&file, text).expect("written");
    let file = file.display().to_string();
    tokio::task::spawn_blocking(move || {
        let done = try_cli(&["migrate", "--config", &file]);
        drop(dir);
        done
    })
    .await
    .expect("run")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_works_over_tls_with_a_server_it_has_verified() {
    let Some(scene) = Scene::with("trust").await else {
        return;
    };
    let url = scene.url("localhost", "");
    let setup = Setup {
        database: Database::Settings(format!(
            "[store]\nurl = {url:?}\n[store.tls]\nmode = \"verify-full\"\nca = {:?}\n",
            scene.file("ca.pem")
        )),
        ..Setup::default()
    };
    let world = World::of(setup, true).await;
    let fleet = world.fleet(&[0], 1);
    let seal = fleet.seals()[0].clone();
    world.ready(&seal, 0, false).await;
    press(&seal).await;
    world.drained(&seal).await;
    world
        .agrees_with(&seal.truth().await.expect("a seal"))
        .await;
    let count = |encrypted: bool| {
        let sql = format!(
            "SELECT count(*) AS value FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'sealgate' AND ssl = {encrypted}"
        );
        let local = scene.server.local();
        async move { database::number(&local, &sql).await.expect("counted") }
    };
    assert!(count(true).await > 0, "encrypted connections");
    assert_eq!(count(false).await, 0, "connections in clear text");
    drop(world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_not_be_verified_is_refused() {
    let Some(scene) = Scene::with("trust").await else {
        return;
    };
    let ca = scene.file("ca.pem");
    let stranger = Authority::new("another CA");
    fs::write(scene.file("other.pem"), &stranger.pem).expect("written");
    let tls = |mode: &str, ca: &str| format!("[store.tls]\nmode = {mode:?}\nca = {ca:?}\n");
    let by_name = format!("url = {:?}\n", scene.url("localhost", ""));
    let by_address = format!("url = {:?}\n", scene.url("127.0.0.1", ""));
    for (settings, accepted) in [
        (format!("{by_name}{}", tls("verify-full", &ca)), true),
        // The certificate names localhost only.
        (format!("{by_address}{}", tls("verify-full", &ca)), false),
        (format!("{by_address}{}", tls("verify-ca", &ca)), true),
        (
            format!("{by_name}{}", tls("verify-full", &scene.file("other.pem"))),
            false,
        ),
        (
            format!("{by_name}{}", tls("verify-ca", &scene.file("other.pem"))),
            false,
        ),
        (format!("{by_name}{}", tls("verify-full", "")), false),
        (format!("{by_address}{}", tls("require", "")), true),
        // Settings in the URL are as good.
        (
            format!(
                "url = {:?}\n",
                scene.url(
                    "localhost",
                    &format!("?sslmode=verify-full&sslrootcert={ca}")
                )
            ),
            true,
        ),
        (
            format!(
                "url = {:?}\n",
                scene.url("localhost", "?sslmode=verify-full")
            ),
            false,
        ),
        // This server takes no clear text.
        (by_name.clone(), false),
    ] {
        let done = migrate(&settings).await;
        assert_eq!(done.is_ok(), accepted, "{settings}: {done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_gets_ours() {
    let Some(scene) = Scene::with("cert").await else {
        return;
    };
    let usage = ExtendedKeyUsagePurpose::ClientAuth;
    let folder = scene.files.path();
    put(
        folder,
        "own",
        &scene.authority.issue("sealgate", usage.clone()),
    );
    put(
        folder,
        "other",
        &scene.authority.issue("somebody", usage.clone()),
    );
    put(
        folder,
        "false",
        &Authority::new("another CA").issue("sealgate", usage),
    );
    let url = format!("url = {:?}\n", scene.url("localhost", ""));
    let ca = format!(
        "[store.tls]\nmode = \"verify-full\"\nca = {:?}\n",
        scene.file("ca.pem")
    );
    let pair = |name: &str| {
        let (cert, key) = (
            scene.file(&format!("{name}.pem")),
            scene.file(&format!("{name}.key")),
        );
        format!("{url}{ca}cert = {cert:?}\nkey = {key:?}\n")
    };
    for (settings, accepted) in [
        (format!("{url}{ca}"), false),
        (pair("own"), true),
        (pair("other"), false),
        (pair("false"), false),
    ] {
        let done = migrate(&settings).await;
        assert_eq!(done.is_ok(), accepted, "{settings}: {done:?}");
    }
}

/// A server without TLS, or somebody on the way who pretends so: it answers no and listens for what comes then.
async fn says_no() -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let heard = sealgate::tasks::spawn("no", async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let mut request = [0; 8];
        socket.read_exact(&mut request).await.expect("a request");
        assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "SSLRequest");
        socket.write_all(b"N").await.expect("said");
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        rest
    });
    (address, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_tls_sends_nothing_in_clear_text() {
    for (query, section) in [
        ("?sslmode=require", ""),
        ("?sslmode=verify-ca", ""),
        ("?sslmode=verify-full", ""),
        ("", "[store.tls]\nmode = \"require\"\n"),
        ("", "[store.tls]\nmode = \"verify-full\"\n"),
    ] {
        let (address, heard) = says_no().await;
        let url = format!("postgres://sealgate:secret@{address}/postgres{query}");
        let done = migrate(&format!("url = {url:?}\n{section}")).await;
        let told = done.expect_err("there is no TLS");
        assert!(told.contains("TLS"), "{told}");
        assert!(!told.contains("secret"), "{told}");
        assert_eq!(heard.await.expect("listened"), b"", "{query} {section}");
    }
    for query in ["?sslmode=prefer", "?sslmode=allow"] {
        let url = format!("postgres://sealgate@127.0.0.1:9/postgres{query}");
        let told = migrate(&format!("url = {url:?}\n")).await;
        let told = told.expect_err("refused before anything is dialled");
        assert!(told.contains("clear text"), "{told}");
    }
}
