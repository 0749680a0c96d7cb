use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use rand::{Rng as _, SeedableRng as _};

use super::*;

const DEV: DeviceId = DeviceId::new([0, 1, 2, 3, 4, 5, 6, 7]);
const OTHER: DeviceId = DeviceId::new([0x80, 1, 2, 3, 4, 5, 6, 7]);
const LIMIT: u64 = 1 << 20;
const NOW: u64 = 1_795_000_000_000;

fn append(dev: DeviceId, body: &[u8]) -> Op {
    Op::Append {
        dev,
        term: 3,
        body: body.to_vec(),
        reserve: false,
    }
}

fn clock() -> Clock {
    Clock::starting_at(i64::try_from(NOW).unwrap())
}

#[test]
fn what_was_taken_is_there_after_reopening_in_order_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queue.db");
    let mut store = SqliteStore::open(&file, LIMIT).unwrap();
    let done = store
        .apply(
            &[
                append(DEV, b"one"),
                append(OTHER, b"x"),
                append(DEV, b"two"),
            ],
            NOW,
        )
        .unwrap();
    assert_eq!(done, [Done::At(NOW), Done::At(NOW), Done::At(NOW + 1)]);
    drop(store);
    let mut store = SqliteStore::open(&file, LIMIT).unwrap();
    let read = store.read(DEV, 0, 1000).unwrap();
    let bodies: Vec<&[u8]> = read.iter().map(|q| q.body.as_slice()).collect();
    assert_eq!(bodies, [b"one".as_slice(), b"two"]);
    assert_eq!((read[0].pos, read[0].term), (NOW, 3));
    assert_eq!(store.read(DEV, NOW, 1000).unwrap().len(), 1);
    assert_eq!(store.read(DEV, 0, 1).unwrap().len(), 1, "at least one");
    assert_eq!(store.state(NOW + 5_000).messages, 3);
    assert_eq!(store.state(NOW + 5_000).oldest, 5);
}

#[test]
fn numbers_go_on_after_everything_was_dropped_and_the_file_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queue.db");
    let mut store = SqliteStore::open(&file, LIMIT).unwrap();
    let ops = [
        append(DEV, b"one"),
        Op::Term { dev: DEV },
        Op::Term { dev: DEV },
    ];
    assert_eq!(store.apply(&ops, NOW).unwrap()[2], Done::Term(2));
    let stored = Op::Stored {
        dev: DEV,
        upto: NOW,
    };
    assert_eq!(store.apply(&[stored], NOW).unwrap(), [Done::Dropped(1)]);
    assert_eq!(
        store.state(NOW),
        QueueState {
            limit: LIMIT,
            ..QueueState::default()
        }
    );
    drop(store);
    let mut store = SqliteStore::open(&file, LIMIT).unwrap();
    let ops = [append(DEV, b"two"), Op::Term { dev: DEV }];
    assert_eq!(
        store.apply(&ops, NOW).unwrap(),
        [Done::At(NOW + 1), Done::Term(3)]
    );
}

#[test]
fn a_new_queue_goes_behind_what_the_gateway_has_of_a_lost_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = SqliteStore::open(&dir.path().join("queue.db"), LIMIT).unwrap();
    let mut memory = MemoryStore::new(LIMIT);
    for store in [&mut file as &mut dyn Store, &mut memory] {
        store
            .apply(&[append(DEV, b"new"), append(DEV, b"er")], 40)
            .unwrap();
        let stored = Op::Stored {
            dev: DEV,
            upto: 1000,
        };
        assert_eq!(store.apply(&[stored], 40).unwrap(), [Done::Dropped(0)]);
        let read = store.read(DEV, 1000, 1000).unwrap();
        assert_eq!(read.len(), 2, "nothing the gateway never saw is dropped");
        assert_eq!(
            store.apply(&[append(DEV, b"z")], 40).unwrap(),
            [Done::At(1042)]
        );
    }
}

#[test]
fn a_full_queue_refuses_and_keeps_its_reserve_for_what_is_small_and_rare() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = SqliteStore::open(&dir.path().join("queue.db"), 16_000).unwrap();
    let mut memory = MemoryStore::new(16_000);
    for store in [&mut file as &mut dyn Store, &mut memory] {
        let batch: Vec<Op> = (0..16).map(|_| append(DEV, &[7; 936])).collect();
        let done = store.apply(&batch, NOW).unwrap();
        assert_eq!(done.iter().filter(|d| **d == Done::Full).count(), 1);
        let rare = Op::Append {
            dev: DEV,
            term: 3,
            body: vec![1; 900],
            reserve: true,
        };
        assert_eq!(store.apply(&[rare], NOW).unwrap(), [Done::At(NOW + 15)]);
        let state = store.state(NOW);
        assert_eq!((state.messages, state.refused), (16, 1));
        assert_eq!(state.bytes, 15 * 1000 + 964);
        store
            .apply(
                &[Op::Stored {
                    dev: DEV,
                    upto: NOW + 1,
                }],
                NOW,
            )
            .unwrap();
        assert_ne!(
            store.apply(&[append(DEV, &[7; 900])], NOW).unwrap(),
            [Done::Full]
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_file_and_the_memory_answer_alike(
        steps in proptest::collection::vec((0_u8..6, 0_u64..40, 0_usize..300), 1..60)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut file = SqliteStore::open(&dir.path().join("queue.db"), 6_000).unwrap();
        let mut memory = MemoryStore::new(6_000);
        for (n, (what, number, length)) in steps.into_iter().enumerate() {
            let dev = if number % 3 == 0 { OTHER } else { DEV };
            let op = match what {
                0..=2 => append(dev, &vec![what; length]),
                3 => Op::Append { dev, term: 9, body: vec![5; length], reserve: true },
                4 => Op::Stored { dev, upto: 7 + number },
                _ => Op::Term { dev },
            };
            let now = 7 + n as u64;
            let batch = [op];
            prop_assert_eq!(file.apply(&batch, now).unwrap(), memory.apply(&batch, now).unwrap());
            while file.tidy() {}
            prop_assert_eq!(file.state(now), memory.state(now));
            prop_assert_eq!(file.read(dev, number, length).unwrap(), memory.read(dev, number, length).unwrap());
        }
        let (mut ours, mut theirs) = (file.backlogs().unwrap(), memory.backlogs().unwrap());
        ours.sort_by_key(|(dev, _)| *dev);
        theirs.sort_by_key(|(dev, _)| *dev);
        prop_assert_eq!(ours, theirs);
    }
}

#[test]
fn space_is_given_back_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queue.db");
    let mut store = SqliteStore::open(&file, 64 << 20).unwrap();
    let batch: Vec<Op> = (0..2000).map(|_| append(DEV, &[9; 1200])).collect();
    store.apply(&batch, NOW).unwrap();
    drop(store);
    let full = std::fs::metadata(&file).unwrap().len();
    let mut store = SqliteStore::open(&file, 64 << 20).unwrap();
    store
        .apply(
            &[Op::Stored {
                dev: DEV,
                upto: NOW + 1999,
            }],
            NOW,
        )
        .unwrap();
    let mut steps = 0;
    while store.tidy() {
        steps += 1;
    }
    drop(store);
    let empty = std::fs::metadata(&file).unwrap().len();
    assert!(steps > 3, "{steps} steps");
    assert!(empty * 10 < full, "{full} bytes, then {empty}");
}

#[tokio::test]
async fn many_who_append_at_once_all_get_numbers_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(&dir.path().join("queue.db"), LIMIT, clock()).unwrap();
    let append = |n: u8| {
        let queue = queue.clone();
        async move { queue.append(DEV, 1, vec![n; 10], false).await.unwrap() }
    };
    let mut given = futures_util::future::join_all((0..200).map(append)).await;
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 200);
    assert_eq!(queue.state().await.unwrap().messages, 200);
    assert_eq!(queue.backlogs().await.unwrap()[0].1.messages, 200);
    queue.put("set", vec![1, 2]).await.unwrap();
    assert_eq!(queue.get("set").await.unwrap(), Some(vec![1, 2]));
    assert_eq!(queue.get("other").await.unwrap(), None);
    queue.close().await;
}

/// Fails every second batch.
struct Flaky(MemoryStore, bool);

impl Store for Flaky {
    fn apply(&mut self, batch: &[Op], now: u64) -> Result<Vec<Done>, QueueError> {
        self.1 = !self.1;
        if self.1 {
            return Err(QueueError::Io("no space left on device".to_owned()));
        }
        self.0.apply(batch, now)
    }
    fn read(&mut self, dev: DeviceId, after: u64, bytes: usize) -> Result<Vec<Queued>, QueueError> {
        self.0.read(dev, after, bytes)
    }
    fn backlogs(&mut self) -> Result<Vec<(DeviceId, Backlog)>, QueueError> {
        self.0.backlogs()
    }
    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, QueueError> {
        self.0.get(name)
    }
    fn state(&self, now: u64) -> QueueState {
        self.0.state(now)
    }
    fn tidy(&mut self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_commit_that_fails_gives_nobody_a_number_and_the_next_one_works() {
    let queue = Queue::start(Flaky(MemoryStore::new(LIMIT), false), clock()).unwrap();
    let error = queue.append(DEV, 1, vec![1], false).await.unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
    assert_eq!(queue.failures(), 1);
    let given = queue.append(DEV, 1, vec![1], false).await.unwrap();
    assert!(given >= Some(NOW));
    assert_eq!(queue.state().await.unwrap().messages, 1);
}

/// Not a test of its own: the process that is killed by the test below.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(file) = std::env::var_os("SEALGATE_EDGE_TEST_QUEUE") else {
        return;
    };
    let mut store = SqliteStore::open(Path::new(&file), LIMIT).unwrap();
    for n in 0_u32.. {
        let batch = [append(DEV, &n.to_be_bytes()), append(DEV, &n.to_be_bytes())];
        let Ok(done) = store.apply(&batch, 1) else {
            return;
        };
        if done[1] == Done::Full {
            return;
        }
        println!("\ncommitted {n}");
    }
}

#[test]
fn whatever_was_committed_survives_kill_minus_nine() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..6 {
        let file = dir.path().join(format!("queue{round}.db"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "queue::tests::child_that_appends_until_it_is_killed",
            ])
            .arg("--nocapture")
            .env("SEALGATE_EDGE_TEST_QUEUE", &file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = None;
        let enough = 5 + round * 37;
        for line in lines.by_ref() {
            if let Some(n) = line.unwrap().strip_prefix("committed ") {
                last = n.parse::<u32>().ok();
            }
            if last.is_some_and(|n| n >= enough) {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            if let Some(n) = line.unwrap().strip_prefix("committed ") {
                last = n.parse().ok();
            }
        }
        let last = last.expect("the child committed");
        let mut store = SqliteStore::open(&file, LIMIT).unwrap();
        let found = all_numbers(&mut store);
        assert!(
            found.len() as u32 > last,
            "{last} was committed, {} found",
            found.len()
        );
        assert_eq!(found, (0..found.len() as u32).collect::<Vec<_>>());
    }
}

/// The numbers in a queue written by pairs; a pair is there whole or not at all.
fn all_numbers(store: &mut SqliteStore) -> Vec<u32> {
    let mut bodies = Vec::new();
    let mut after = 0;
    loop {
        let read = store.read(DEV, after, 10_000).unwrap();
        let Some(last) = read.last() else { break };
        after = last.pos;
        bodies.extend(
            read.iter()
                .map(|q| u32::from_be_bytes(q.body[..].try_into().unwrap())),
        );
    }
    assert_eq!(bodies.len() % 2, 0, "half a transaction");
    assert!(bodies.chunks(2).all(|pair| pair[0] == pair[1]));
    bodies.chunks(2).map(|pair| pair[0]).collect()
}

/// A file and its write-ahead log as they lie on the disk while the queue is open, `pairs` committed.
fn on_disk(pairs: u32) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queue.db");
    let mut store = SqliteStore::open(&file, LIMIT).unwrap();
    for n in 0..pairs {
        let batch = [append(DEV, &n.to_be_bytes()), append(DEV, &n.to_be_bytes())];
        store.apply(&batch, 1).unwrap();
    }
    let log = std::fs::read(dir.path().join("queue.db-wal")).unwrap();
    (std::fs::read(&file).unwrap(), log)
}

#[test]
fn a_torn_or_scrambled_tail_of_the_log_costs_only_what_was_not_committed() {
    let (base, log) = on_disk(40);
    assert!(log.len() > 100_000, "everything is in the log");
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let mut shortest = u32::MAX;
    for round in 0..48 {
        let mut torn = log.clone();
        let at = random.random_range(0..log.len());
        if round % 2 == 0 {
            torn.truncate(at);
        } else {
            // The disk wrote the last pages in another order, or not at all.
            torn[at..].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("queue.db");
        std::fs::write(&file, &base).unwrap();
        std::fs::write(dir.path().join("queue.db-wal"), &torn).unwrap();
        let mut store = SqliteStore::open(&file, LIMIT).unwrap();
        let found = all_numbers(&mut store);
        assert_eq!(
            found,
            (0..found.len() as u32).collect::<Vec<_>>(),
            "cut at {at}"
        );
        shortest = shortest.min(found.len() as u32);
        let done = store.apply(&[append(DEV, &[0; 4])], 1).unwrap();
        assert_eq!(
            done,
            [Done::At(found.len() as u64 * 2 + 1)],
            "it goes on behind them"
        );
    }
    assert!(shortest < 40, "some cut hit something");
}

#[test]
fn a_changed_file_is_refused_with_a_clear_error_or_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queue.db");
    let mut store = SqliteStore::open(&file, LIMIT).unwrap();
    for n in 0..200_u32 {
        let batch = [append(DEV, &n.to_be_bytes()), append(DEV, &n.to_be_bytes())];
        store.apply(&batch, 1).unwrap();
    }
    let expected = all_numbers(&mut store);
    drop(store);
    let whole = std::fs::read(&file).unwrap();
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let mut refused = 0;
    for _ in 0..150 {
        let at = random.random_range(0..whole.len());
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        std::fs::write(&file, &bytes).unwrap();
        let _ = std::fs::remove_file(dir.path().join("queue.db-wal"));
        match SqliteStore::open(&file, LIMIT) {
            Ok(mut store) => assert_eq!(all_numbers(&mut store), expected, "byte {at}"),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("queue.db"), "{error}");
            }
        }
    }
    assert!(refused > 10, "{refused} of 150");
}

#[test]
fn a_file_of_something_else_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queue.db");
    std::fs::write(&file, b"not a database at all, but long enough to look at").unwrap();
    let error = SqliteStore::open(&file, LIMIT).unwrap_err();
    assert!(matches!(error, QueueError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("queue.db: the queue is damaged"));

    let other = dir.path().join("other.db");
    let db = rusqlite::Connection::open(&other).unwrap();
    db.execute_batch("CREATE TABLE t (x)").unwrap();
    let error = SqliteStore::open(&other, LIMIT).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");

    let newer = dir.path().join("newer.db");
    let db = rusqlite::Connection::open(&newer).unwrap();
    db.execute_batch("PRAGMA user_version = 9").unwrap();
    let error = SqliteStore::open(&newer, LIMIT).unwrap_err();
    assert!(
        matches!(error, QueueError::Newer { version: 9, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_queue_is_set_aside_only_when_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queue.db");
    std::fs::write(&file, b"scrambled scrambled scrambled scrambled").unwrap();
    let refused = open_or_set_aside(&file, LIMIT, &clock(), false);
    assert!(matches!(refused, Err(QueueError::Damaged { .. })));
    let (queue, aside) = open_or_set_aside(&file, LIMIT, &clock(), true).unwrap();
    let aside = aside.expect("it was set aside");
    assert!(std::fs::read(aside).unwrap().starts_with(b"scrambled"));
    let given = queue.append(DEV, 1, vec![1], false).await.unwrap();
    assert!(given >= Some(NOW));
}
