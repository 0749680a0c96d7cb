//! A real mosquitto with the generated files gives a seal its own topics and nothing else. Skipped, with a reason, where
//! it is not installed.

#![allow(
    clippy::unwrap_used,
    reason = "a test says so when its own machinery fails"
)]

use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use sealgate_broker_config::{
    acl::{Action, allows, mosquitto},
    ca::FleetCa,
    device::{self, Order},
    settings::{Cluster, Limits, ListenerTls},
};
use sealgate_tests::tools;

/// mosquitto compares certificates with the machine's clock, so these tests must too.
#[expect(clippy::disallowed_methods, reason = "the edge of a test")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

struct Broker {
    child: Child,
    dir: tempfile::TempDir,
    cluster: Cluster,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn start(mosquitto: &Path) -> (Broker, FleetCa) {
    let dir = tempfile::tempdir().unwrap();
    // mosquitto gives up its rights when started by root and must still reach the key.
    let pki = dir.path().join("pki");
    let ca = FleetCa::init(
        &pki,
        &["localhost".to_owned(), "127.0.0.1".to_owned()],
        now(),
    )
    .unwrap();
    let cluster = Cluster {
        seal_port: free_port(),
        gateway_port: free_port(),
        tls: ListenerTls {
            ca: pki.join("ca.pem"),
            cert: pki.join("server.pem"),
            key: pki.join("server.key"),
        },
        gateway_user: "sealgate-gateway".to_owned(),
        share_group: "sealgate".to_owned(),
        limits: Limits::default(),
    };
    let folder = dir.path().to_str().unwrap();
    for file in mosquitto::files(&cluster, folder).unwrap() {
        let mut content = file.content;
        if file.name == "mosquitto.conf" {
            let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
            content.push_str(&format!("user {user}\n"));
        }
        fs::write(dir.path().join(file.name), content).unwrap();
    }
    let log = fs::File::create(dir.path().join("log")).unwrap();
    let child = Command::new(mosquitto)
        .args(["-v", "-c"])
        .arg(dir.path().join("mosquitto.conf"))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let broker = Broker {
        child,
        dir,
        cluster,
    };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", broker.cluster.gateway_port)).is_ok() {
            return (broker, ca);
        }
        sleep(Duration::from_millis(25));
    }
    panic!(
        "mosquitto did not start: {}",
        fs::read_to_string(broker.dir.path().join("log")).unwrap()
    );
}

impl Broker {
    fn client(&self, program: &Path, identity: &Path, port: u16) -> Command {
        let mut command = Command::new(program);
        command
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-q",
                "1",
                "-V",
                "5",
            ])
            .arg("--cafile")
            .arg(self.dir.path().join("pki/ca.pem"))
            .arg("--cert")
            .arg(identity.join("cert.pem"))
            .arg("--key")
            .arg(identity.join("key.pem"));
        command
    }

    /// A client certificate of a gateway node, on disk.
    fn gateway(&self, ca: &FleetCa) -> PathBuf {
        let folder = self.dir.path().join("gateway");
        fs::create_dir(&folder).unwrap();
        let client = ca.gateway_client("sealgate-gateway", now()).unwrap();
        fs::write(folder.join("cert.pem"), &client.certificate_pem).unwrap();
        fs::write(folder.join("key.pem"), client.key_pem.as_bytes()).unwrap();
        folder
    }

    /// Subscribes as `identity` to `filters` and gives back the running client once it is subscribed.
    #[expect(
        clippy::zombie_processes,
        reason = "the caller waits; a panic ends the test process"
    )]
    fn subscribe(&self, identity: &Path, port: u16, id: &str, filters: &[&str]) -> Child {
        let mut command = self.client(&tools::find("mosquitto_sub").unwrap(), identity, port);
        command.args(["-i", id, "-v", "-W", "4"]);
        for filter in filters {
            command.args(["-t", filter]);
        }
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sent = format!("Sending SUBACK to {id}");
        for _ in 0..200 {
            if fs::read_to_string(self.dir.path().join("log"))
                .unwrap()
                .contains(&sent)
            {
                return child;
            }
            sleep(Duration::from_millis(25));
        }
        panic!("{id} was not subscribed");
    }

    fn publish(&self, identity: &Path, port: u16, id: &str, topic: &str) {
        self.client(&tools::find("mosquitto_pub").unwrap(), identity, port)
            .args(["-i", id, "-t", topic, "-m", id])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
    }
}

fn received(mut child: Child) -> Vec<String> {
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let _ = child.wait();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_seal_reaches_only_its_own_topics_on_a_mosquitto_with_our_files() {
    let (Some(mosquitto), Some(_), Some(_)) = (
        tools::find("mosquitto"),
        tools::find("mosquitto_sub"),
        tools::find("mosquitto_pub"),
    ) else {
        return;
    };
    let (broker, ca) = start(&mosquitto);
    let fleet = broker.dir.path().join("fleet");
    let order = Order {
        count: 2,
        model: "GL-1",
        days: 3_650,
        keys_dir: None,
    };
    let issued = device::issue(&ca, &order, &fleet, now(), &mut |_| {}).unwrap();
    let (a, b) = (issued[0].id.as_str(), issued[1].id.as_str());
    let [seal_a, seal_b] = [a, b].map(|id| fleet.join(id));
    let gateway = broker.gateway(&ca);
    let (seals, gateways) = (broker.cluster.seal_port, broker.cluster.gateway_port);

    // The gateway sees what seals publish to their own topics; B's attempts on A's topics never arrive.
    let watching = broker.subscribe(
        &gateway,
        gateways,
        "node-1",
        &["s1/+/u", "s1/+/t", "s1/+/w", "s1/+/d", "#"],
    );
    let foreign = broker.subscribe(
        &seal_b,
        seals,
        b,
        &[
            "#",
            "s1/+/d",
            &format!("s1/{a}/d"),
            &format!("s1/{a}/u"),
            &format!("$share/g/s1/{a}/d"),
            &format!("s1/{b}/d"),
        ],
    );
    for kind in ["u", "t", "w", "d", "b"] {
        let topic = format!("s1/{a}/{kind}");
        broker.publish(&seal_a, seals, a, &topic);
        broker.publish(&gateway, gateways, "node-2", &topic);
        assert_eq!(
            allows(a, Action::Publish, &topic),
            ["u", "t", "w"].contains(&kind)
        );
    }
    broker.publish(&gateway, gateways, "node-2", &format!("s1/{b}/d"));
    let mut seen = received(watching);
    seen.dedup();
    let expected: Vec<String> = ["t", "u", "w"]
        .iter()
        .map(|kind| format!("s1/{a}/{kind} {a}"))
        .collect();
    assert_eq!(seen, expected);
    only_its_own(&received(foreign), b);
}

/// B heard what was meant for B and nothing else.
fn only_its_own(theirs: &[String], b: &str) {
    let own = format!("s1/{b}/d node-2");
    assert!(
        theirs.contains(&own) && theirs.iter().all(|line| *line == own),
        "B got {theirs:?}"
    );
}

#[test]
fn without_a_certificate_of_the_fleet_nobody_gets_in() {
    let (Some(mosquitto), Some(publisher)) =
        (tools::find("mosquitto"), tools::find("mosquitto_pub"))
    else {
        return;
    };
    let (broker, _) = start(&mosquitto);
    let foreign = tempfile::tempdir().unwrap();
    let foreign_ca = FleetCa::init(foreign.path(), &["localhost".to_owned()], now()).unwrap();
    let client = foreign_ca
        .gateway_client("sealgate-gateway", now())
        .unwrap();
    fs::write(foreign.path().join("cert.pem"), &client.certificate_pem).unwrap();
    fs::write(foreign.path().join("key.pem"), client.key_pem.as_bytes()).unwrap();
    let refused = broker
        .client(&publisher, foreign.path(), broker.cluster.gateway_port)
        .args(["-t", "s1/x/d", "-m", "x"])
        .status()
        .unwrap();
    assert!(!refused.success());
}
