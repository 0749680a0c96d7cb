//! Tools that others wrote, with a device certificate and without one. Skipped, with a reason, where they are not
//! installed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sealgate::{devices::link::DownlinkLane, tasks};
use sealgate_tests::tools;

use super::support::{Papers, Scene, id};

/// PEM files for programs that want files.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn of(scene: &Scene, papers: &Papers) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        write("ca.pem", &scene.fleet.ca_pem());
        write("cert.pem", &papers.cert_pem);
        write("key.pem", &papers.key_pem);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Runs a program without blocking the front's threads.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || tools::run(&mut command))
        .await
        .expect("it ran")
}

fn mosquitto(program: &Path, scene: &Scene, files: &Files, version: &str) -> Command {
    let mut command = Command::new(program);
    let port = scene.address().port().to_string();
    command.args([
        "-h",
        "localhost",
        "-p",
        &port,
        "-V",
        version,
        "-i",
        &id(1).to_string(),
    ]);
    command.arg("--cafile").arg(files.path("ca.pem"));
    command
}

fn with_papers(mut command: Command, files: &Files) -> Command {
    command.arg("--cert").arg(files.path("cert.pem"));
    command.arg("--key").arg(files.path("key.pem"));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_clients_work_with_a_certificate_and_get_nothing_without() {
    let (Some(publisher), Some(subscriber)) =
        (tools::find("mosquitto_pub"), tools::find("mosquitto_sub"))
    else {
        return;
    };
    let mut scene = Scene::new().await;
    let files = Files::of(&scene, &scene.fleet.issue(id(1)));
    for version in ["mqttv311", "mqttv5"] {
        let payload = format!("from {version}");
        let say = ["-t", &format!("s1/{}/u", id(1)), "-q", "1", "-m", &payload].map(str::to_owned);
        let mut good = with_papers(mosquitto(&publisher, &scene, &files, version), &files);
        good.args(&say);
        let output = run(good).await;
        assert!(output.status.success(), "{version}: {output:?}");
        assert!(scene.host.received(id(1)).iter().any(|got| *got == payload));

        let mut bare = mosquitto(&publisher, &scene, &files, version);
        bare.args(&say);
        assert!(
            !run(bare).await.status.success(),
            "{version}: no certificate"
        );

        let mut listen = with_papers(mosquitto(&subscriber, &scene, &files, version), &files);
        listen.args([
            "-t",
            &format!("s1/{}/d", id(1)),
            "-q",
            "1",
            "-C",
            "1",
            "-W",
            "15",
        ]);
        let heard = tasks::spawn("mosquitto_sub", run(listen));
        scene
            .host
            .push(id(1), DownlinkLane::Reliable, "a command")
            .await;
        let output = heard.await.expect("it ran");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "a command",
            "{output:?}"
        );

        let mut greedy = with_papers(mosquitto(&subscriber, &scene, &files, version), &files);
        greedy.args(["-t", "#", "-W", "2"]);
        let output = run(greedy).await;
        assert!(output.stdout.is_empty(), "{version}: nothing of others");
    }
    scene.others_are_served().await;
}

/// What the seal's paho does: one message up, one down, both QoS 1.
const PAHO: &str = r#"
import sys, threading
import paho.mqtt.client as mqtt
port, device, folder, version = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
got = threading.Event()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=device,
                     protocol=mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311)
client.tls_set(folder + "/ca.pem", folder + "/cert.pem", folder + "/key.pem")
client.on_message = lambda c, u, m: (print(m.topic, m.payload.decode(), m.qos), got.set())
client.connect("localhost", port)
client.loop_start()
client.publish(f"s1/{device}/u", b"down:hello", qos=1).wait_for_publish(10)
ok = got.wait(10)
client.disconnect()
client.loop_stop()
sys.exit(0 if ok else 1)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn paho_works_in_both_versions() {
    let Some(python) = tools::python_with("paho.mqtt.client") else {
        return;
    };
    let scene = Scene::new().await;
    let files = Files::of(&scene, &scene.fleet.issue(id(1)));
    for version in ["4", "5"] {
        let mut command = Command::new(&python);
        let port = scene.address().port().to_string();
        command.args(["-c", PAHO, &port, &id(1).to_string()]);
        command.arg(files.folder.path()).arg(version);
        let output = run(command).await;
        assert!(output.status.success(), "{version}: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.trim(), format!("s1/{}/d hello 1", id(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_shakes_hands_and_resumes() {
    let Some(openssl) = tools::find("openssl") else {
        return;
    };
    let scene = Scene::new().await;
    let files = Files::of(&scene, &scene.fleet.issue(id(1)));
    let dial = |more: &[&str]| {
        let mut command = Command::new(&openssl);
        command.args([
            "s_client",
            "-connect",
            &scene.address().to_string(),
            "-verify_return_error",
        ]);
        command.arg("-CAfile").arg(files.path("ca.pem"));
        command.arg("-cert").arg(files.path("cert.pem"));
        command.arg("-key").arg(files.path("key.pem"));
        command.args(more);
        command
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let output = run(dial(&[version])).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("Verify return code: 0 (ok)"),
            "{version}: {output:?}"
        );
    }
    let kept = files.path("session");
    let kept = kept.to_str().expect("UTF-8");
    run(dial(&["-tls1_2", "-sess_out", kept])).await;
    let output = run(dial(&["-tls1_2", "-sess_in", kept])).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Reused, TLSv1.2"), "{output:?}");
}
