//! Tools that others wrote, against a whole gateway: what they send is stored, what is not theirs stays hidden. Each test
//! is skipped, with the reason printed, where the tool is not installed.

use std::process::{Command, Stdio};

use sealgate_codec::{Frame, Message};
use sealgate_tests::{tools, wait::until, world::World};

/// Arguments that make mosquitto's clients a device.
fn as_device(world: &World, place: usize, version: &str) -> Vec<String> {
    let device = world.material.device(place);
    let path = |path: std::path::PathBuf| path.display().to_string();
    [
        "-h",
        "localhost",
        "-p",
        &world.gateway.at.front.port().to_string(),
        "-V",
        version,
        "-i",
        world.material.id(place),
        "--cafile",
        &path(world.material.path("devices/ca.pem")),
        "--cert",
        &path(device.join("cert.pem")),
        "--key",
        &path(device.join("key.pem")),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A message the gateway answers: one byte that is no SL/1.
const NONSENSE: [u8; 1] = [0xff];

#[tokio::test(flavor = "multi_thread")]
async fn mosquittos_clients_publish_and_hear_the_answer() {
    let (Some(publish), Some(subscribe)) =
        (tools::find("mosquitto_pub"), tools::find("mosquitto_sub"))
    else {
        return;
    };
    let world = World::start().await;
    for (place, version) in [(12, "mqttv311"), (13, "mqttv5")] {
        let id = world.material.id(place);
        let before = world.api.metric("sealgate_errors_sent_total").await;
        let file = world.gateway.dir().join("nonsense");
        std::fs::write(&file, NONSENSE).expect("written");
        let mut command = Command::new(&publish);
        command
            .args(as_device(&world, place, version))
            .args(["-q", "1", "-t", &format!("s1/{id}/u"), "-f"])
            .arg(&file);
        let said = tokio::task::spawn_blocking(move || tools::run(&mut command))
            .await
            .expect("run");
        assert!(
            said.status.success(),
            "{version}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
        until("the gateway's answer is counted", || async {
            (world.api.metric("sealgate_errors_sent_total").await > before).then_some(())
        })
        .await;
        // Own topic: granted. Another's: refused, or the session ends; never heard.
        for (topic, granted) in [
            (format!("s1/{id}/d"), true),
            (format!("s1/{}/d", world.material.id(0)), false),
        ] {
            let mut command = Command::new(&subscribe);
            command
                .args(as_device(&world, place, version))
                .args(["-q", "1", "-W", "2", "-d", "-t", &topic]);
            let said = tokio::task::spawn_blocking(move || tools::run(&mut command))
                .await
                .expect("run");
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            let subscribed =
                text.contains("Subscribed") && !text.contains("128") && !text.contains("135");
            assert_eq!(subscribed, granted, "{version} {topic}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquittos_client_without_a_certificate_gets_nothing() {
    let Some(publish) = tools::find("mosquitto_pub") else {
        return;
    };
    let world = World::start().await;
    let mut command = Command::new(publish);
    command
        .args([
            "-h",
            "localhost",
            "-p",
            &world.gateway.at.front.port().to_string(),
            "-q",
            "1",
        ])
        .arg("--cafile")
        .arg(world.material.path("devices/ca.pem"))
        .args([
            "-i",
            world.material.id(0),
            "-t",
            &format!("s1/{}/u", world.material.id(0)),
            "-m",
            "x",
        ]);
    let said = tokio::task::spawn_blocking(move || tools::run(&mut command))
        .await
        .expect("run");
    assert!(!said.status.success());
    assert_eq!(
        world.api.metric("sealgate_messages_received_total").await,
        0.0
    );
}

/// Connects in both versions, sends one byte that is no SL/1 and prints the answer in hex.
const PAHO: &str = r#"
import sys, paho.mqtt.client as mqtt
host, port, ca, cert, key, cid, version = sys.argv[1:8]
heard = []
def on_connect(c, u, f, rc, p=None):
    c.publish("s1/%s/u" % cid, bytes([0xff]), qos=1)
def on_message(c, u, m):
    print(m.payload.hex()); heard.append(1); c.disconnect()
c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=cid,
    protocol=mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311)
c.tls_set(ca_certs=ca, certfile=cert, keyfile=key)
c.on_connect, c.on_message = on_connect, on_message
c.connect(host, int(port), 30)
c.loop_forever()
sys.exit(0 if heard else 1)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn paho_speaks_both_versions() {
    let Some(python) = tools::python_with("paho.mqtt.client") else {
        return;
    };
    let world = World::start().await;
    for (place, version) in [(14, "4"), (15, "5")] {
        let device = world.material.device(place);
        let mut command = Command::new(&python);
        command
            .args([
                "-c",
                PAHO,
                "localhost",
                &world.gateway.at.front.port().to_string(),
            ])
            .arg(world.material.path("devices/ca.pem"))
            .arg(device.join("cert.pem"))
            .arg(device.join("key.pem"))
            .args([world.material.id(place), version]);
        let said = tokio::task::spawn_blocking(move || tools::run(&mut command))
            .await
            .expect("run");
        assert!(
            said.status.success(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
        let hex = String::from_utf8_lossy(&said.stdout);
        let bytes: Vec<u8> = (0..hex.trim().len() / 2)
            .filter_map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok())
            .collect();
        let answer = Frame::decode(&bytes).expect("SL/1");
        assert!(matches!(answer.message, Message::Err(_)), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_agrees_to_tls_1_2_and_1_3_with_a_device_certificate_only() {
    let Some(openssl) = tools::find("openssl") else {
        return;
    };
    let world = World::start().await;
    let front = format!("127.0.0.1:{}", world.gateway.at.front.port());
    for (version, certificate, accepted) in [
        ("-tls1_3", true, true),
        ("-tls1_2", true, true),
        ("-tls1_2", false, false),
        ("-tls1_1", true, false),
    ] {
        let device = world.material.device(16);
        let mut command = Command::new(&openssl);
        command
            .args([
                "s_client",
                "-connect",
                &front,
                "-servername",
                "localhost",
                version,
                "-brief",
            ])
            .arg("-verify_return_error")
            .arg("-CAfile")
            .arg(world.material.path("devices/ca.pem"))
            .stdin(Stdio::null());
        if certificate {
            command.arg("-cert").arg(device.join("cert.pem"));
            command.arg("-key").arg(device.join("key.pem"));
        }
        let said = tokio::task::spawn_blocking(move || tools::run(&mut command))
            .await
            .expect("run");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        let established = said.status.success() && text.contains("CONNECTION ESTABLISHED");
        assert_eq!(
            established, accepted,
            "{version} certificate={certificate}: {text}"
        );
    }
}
