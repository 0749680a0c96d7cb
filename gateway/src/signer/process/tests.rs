//! Client and process over a real socket.

use std::{sync::Arc, time::Duration};

use sealgate_broker_config::{DAY, keys::KeyDir};
use sealgate_domain::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    clock::TestClock,
    config::SignerConfig,
    signer::{
        Client, Purpose, Refused, Signer,
        core::tests::{NOW, lease, lock, request},
        keys::sign_key_set,
    },
    telemetry::Metrics,
};

struct Running {
    dir: tempfile::TempDir,
    stop: CancellationToken,
    clock: SharedClock,
    metrics: Arc<Metrics>,
}

impl Running {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        KeyDir::new(&dir.path().join("keys"))
            .init(NOW.into(), 100 * DAY, &sign_key_set)
            .unwrap();
        let mut running = Self {
            dir,
            stop: CancellationToken::new(),
            clock: Arc::new(TestClock::at(Millis::from_seconds(NOW))),
            metrics: Arc::default(),
        };
        running.start().await.unwrap();
        running
    }

    async fn start(&mut self) -> Result<tokio::task::JoinHandle<()>, ProcessError> {
        let path = self.dir.path();
        let audit = path.join("audit.log");
        let process = Process::start(
            &path.join("keys"),
            &self.socket(),
            &audit,
            Arc::clone(&self.clock),
        )
        .await?;
        self.stop = CancellationToken::new();
        let stop = self.stop.clone();
        Ok(tasks::spawn(
            "signer",
            async move { process.run(stop).await },
        ))
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("run/signer.sock")
    }

    fn client(&self, config: SignerConfig) -> Client {
        Client::new(
            self.socket(),
            &config,
            Arc::clone(&self.clock),
            Arc::clone(&self.metrics),
        )
    }
}

#[tokio::test]
async fn many_callers_share_one_connection_and_each_gets_its_own_answers() {
    let running = Running::new().await;
    let client = Arc::new(running.client(SignerConfig::default()));
    let mut callers = Vec::new();
    for n in 0..200u32 {
        let client = Arc::clone(&client);
        callers.push(tasks::spawn("caller", async move {
            let mut mine = lease(NOW, 900);
            mine.boot = n;
            let asked = vec![
                request(Purpose::Lease, mine.payload()),
                request(Purpose::Ticket, b"nonsense".to_vec()),
            ];
            let answers = client.sign(asked).await.unwrap();
            let cose = &answers[0].as_ref().unwrap().cose;
            let signed = sealgate_codec::cose::parse(cose).unwrap();
            assert_eq!(signed.payload, mine.payload());
            assert_eq!(answers[1], Err(Refused::Malformed));
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let payloads = &running.metrics.signer_payloads;
    assert_eq!(payloads.with_label_values(&["lease", "signed"]).get(), 200);
    assert_eq!(
        payloads.with_label_values(&["ticket", "refused"]).get(),
        200
    );
    running.stop.cancel();
}

#[tokio::test]
async fn large_batches_are_split_and_a_too_large_payload_costs_only_itself() {
    let running = Running::new().await;
    let client = running.client(SignerConfig::default());
    let mut asked = vec![request(Purpose::Ticket, lock(NOW).payload()); 300];
    asked[150].payload = vec![0; 100_000];
    let answers = client.sign(asked).await.unwrap();
    assert_eq!(answers.len(), 300);
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), at != 150, "{at}");
    }
    assert_eq!(client.sign(Vec::new()).await.unwrap(), vec![]);
    running.stop.cancel();
}

#[tokio::test]
async fn the_client_says_unreachable_and_comes_back_when_the_signer_does() {
    let mut running = Running::new().await;
    let client = running.client(SignerConfig::default());
    let expected = client.key_set().await.unwrap();
    running.stop.cancel();
    while running.socket().exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut refused = 0;
    while client.key_set().await.is_err() {
        refused += 1;
        if refused == 1 {
            running.start().await.unwrap();
        }
        assert!(refused < 100);
    }
    assert!(refused >= 1);
    assert_eq!(client.key_set().await.unwrap(), expected);
    running.stop.cancel();
}

#[tokio::test]
async fn a_signer_that_does_not_answer_costs_the_time_limit_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let _silent = UnixListener::bind(&socket).unwrap();
    let config = SignerConfig {
        timeout_ms: 50,
        in_flight: 2,
        ..SignerConfig::default()
    };
    let clock: SharedClock = Arc::new(TestClock::default());
    let client = Client::new(socket, &config, clock, Arc::default());
    let (a, b, c) = tokio::join!(client.key_set(), client.key_set(), client.key_set());
    for answer in [a, b, c] {
        assert!(
            matches!(
                answer,
                Err(SignerError::Timeout | SignerError::Busy | SignerError::Unreachable(_))
            ),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn perturbed_bytes_end_that_connection_and_harm_no_other() {
    let running = Running::new().await;
    let client = running.client(SignerConfig::default());
    let good = [
        Request::Greeting(VERSION).frame(),
        Request::Sign(1, vec![request(Purpose::Lease, lease(NOW, 900).payload())]).frame(),
    ]
    .concat();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x5a;
        let mut stream = UnixStream::connect(running.socket()).await.unwrap();
        // The signer may close before everything is written.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
    }
    let answers = client
        .sign(vec![request(Purpose::Ticket, lock(NOW).payload())])
        .await
        .unwrap();
    assert!(answers[0].is_ok());
    running.stop.cancel();
}

#[tokio::test]
async fn a_request_before_the_greeting_and_another_version_are_refused() {
    let running = Running::new().await;
    for (frame, expected) in [
        (Request::KeySet(1).frame(), 0),
        (
            Request::Greeting(VERSION + 1).frame(),
            Reply::Greeting(VERSION).frame().len(),
        ),
    ] {
        let mut stream = UnixStream::connect(running.socket()).await.unwrap();
        stream.write_all(&frame).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer.len(), expected);
    }
    running.stop.cancel();
}

#[tokio::test]
async fn the_socket_is_private_and_a_second_signer_does_not_take_it() {
    let mut running = Running::new().await;
    let about = fs::metadata(running.socket()).unwrap();
    assert_eq!(about.mode() & 0o777, 0o600);
    let folder = fs::metadata(running.socket().parent().unwrap()).unwrap();
    assert_eq!(folder.mode() & 0o777, 0o700);
    assert!(matches!(running.start().await, Err(ProcessError::Taken(_))));
    running.stop.cancel();
}

#[tokio::test]
async fn a_folder_others_may_enter_is_refused_and_a_file_is_not_replaced() {
    let mut running = Running::new().await;
    running.stop.cancel();
    while running.socket().exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fs::write(running.socket(), b"precious").unwrap();
    assert!(matches!(
        running.start().await,
        Err(ProcessError::Socket { .. })
    ));
    assert_eq!(fs::read(running.socket()).unwrap(), b"precious");
    let folder = running.dir.path().join("open");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let error = make_folder(&folder.join("s")).unwrap_err();
    assert!(error.to_string().contains("chmod 700"), "{error}");
}
