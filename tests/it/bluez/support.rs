//! The world of these tests: a fake BlueZ in this process, its client in another.

use std::{collections::BTreeMap, env, process::Stdio};

use sealgate_simulators::{
    bluez::{
        Address, Advertisement, Air, Change, FakeBluez, Fault, Options, PrivateBus, Station, uuids,
    },
    peripheral::{Echo, Peripheral},
};
use sealgate_tests::{seed, wait};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::client::{MARK, ROLE};

/// What `bluer` says of a descriptor for writing when the MTU is 247: it takes off five, for safety.
pub(super) const WRITER_247: &str = "mtu 242";

/// The fake, its client and the first station.
pub(super) struct Scene {
    pub bluez: FakeBluez,
    pub client: Bluer,
    pub seal: Address,
}

/// Commands to the client.
pub(super) struct Bluer {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Bluer {
    async fn start(bus: &str) -> Self {
        let mut child = Command::new(env::current_exe().expect("this test's own path"))
            .args([
                "bluez::client::obeys_as_a_child_of_the_other_tests",
                "--exact",
                "--nocapture",
            ])
            .env(ROLE, "1")
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the client starts");
        Self {
            stdin: child.stdin.take().expect("a pipe"),
            lines: BufReader::new(child.stdout.take().expect("a pipe")).lines(),
            _child: child,
        }
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn ask(&mut self, command: &str) -> String {
        self.stdin
            .write_all(format!("{command}\n").as_bytes())
            .await
            .expect("the client listens");
        let answer = async {
            loop {
                let line = self.lines.next_line().await.expect("readable answers");
                let line = line.unwrap_or_else(|| panic!("the client ended at {command:?}"));
                // The test runner's own words may stand before the first answer on the same line.
                if let Some((_, answer)) = line.split_once(MARK) {
                    return answer.to_owned();
                }
            }
        };
        wait::patiently(command, answer).await
    }

    /// Sends a command that must be answered so.
    pub(super) async fn expect(&mut self, command: &str, wanted: &str) {
        assert_eq!(self.ask(command).await, wanted, "{command}");
    }

    /// Sends commands again and again until the last one is answered as wanted.
    pub(super) async fn repeat(&mut self, commands: &[&str], wanted: impl Fn(&str) -> bool) {
        let mut answer = String::new();
        for _ in 0..200 {
            for command in commands {
                answer = self.ask(command).await;
            }
            if wanted(&answer) {
                return;
            }
        }
        panic!("{commands:?} is still answered {answer:?}");
    }

    /// Sends a command that must be refused so.
    pub(super) async fn refused(&mut self, command: &str, kind: &str) {
        let answer = self.ask(command).await;
        let wanted = format!("error {kind}");
        assert!(
            answer.starts_with(&wanted),
            "{command}: {answer:?}, not {wanted:?}"
        );
    }
}

pub(super) fn advertisement(bytes: &[u8]) -> Advertisement {
    Advertisement {
        name: Some("seal".to_owned()),
        manufacturer_data: BTreeMap::from([(0xffff, bytes.to_vec())]),
        services: vec![uuids::SERVICE],
        ..Advertisement::default()
    }
}

pub(super) fn station(peripheral: impl Peripheral + 'static) -> Station {
    Station::new(advertisement(&[1]), Box::new(peripheral))
}

impl Scene {
    /// So many echoing stations; `None`, with the reason printed, where there is no `dbus-daemon`.
    pub(super) async fn with_echoes(test: &str, count: u32) -> Option<Self> {
        let air = Air::new();
        for number in 1..=count {
            air.add(
                Address::numbered(number),
                station(Echo::with_information([1, 2, 3].as_slice())),
            );
        }
        Self::of(test, air).await
    }

    pub(super) async fn of(test: &str, air: Air) -> Option<Self> {
        if PrivateBus::program().is_none() {
            println!("skipped: dbus-daemon is not installed");
            return None;
        }
        let options = Options {
            seed: seed::seed(test),
            advertising: std::time::Duration::from_millis(160),
            attempt: std::time::Duration::from_secs(1),
            att: std::time::Duration::from_secs(2),
            ..Options::default()
        };
        let bluez = FakeBluez::start(air, options).await.expect("a fake BlueZ");
        let mut client = Bluer::start(bluez.address()).await;
        client.expect("session", "hci0").await;
        Some(Self {
            bluez,
            client,
            seal: Address::numbered(1),
        })
    }

    /// Until the first station has been found.
    pub(super) async fn found(&mut self) {
        let seal = self.seal;
        self.client.expect("scan", "ok").await;
        self.client.expect(&format!("heard {seal}"), "ok").await;
        self.client.expect("stop-scan", "ok").await;
    }

    /// Until values pass both ways by descriptors.
    pub(super) async fn talking(&mut self) {
        let seal = self.seal;
        self.client.expect(&format!("connect {seal}"), "ok").await;
        self.client
            .expect(&format!("notify-io {seal}"), "mtu 247")
            .await;
        self.client
            .expect(&format!("write-io {seal}"), WRITER_247)
            .await;
        self.echoes("c0ffee").await;
    }

    pub(super) async fn echoes(&mut self, value: &str) {
        self.client.expect(&format!("send-io {value}"), "ok").await;
        self.client.expect("next-io", value).await;
    }

    pub(super) async fn inflict(&mut self, fault: Fault) {
        self.bluez
            .inflict(&fault)
            .await
            .expect("a daemon that returns");
    }

    /// Changes the first station.
    pub(super) async fn change(&mut self, change: Change) {
        let device = self.seal;
        self.inflict(Fault::Station { device, change }).await;
    }

    /// Ends client, daemon and bus.
    pub(super) async fn end(self) {
        drop(self.client);
        self.bluez.stop().await;
    }
}
