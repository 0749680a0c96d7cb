use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    path::Path,
    time::Duration,
};

use rustix::{
    fs::OFlags,
    termios::{LocalModes, ioctl_tiocexcl, tcgetattr},
};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::{Noise, NoisySource, SerialLine};
use crate::peripheral::Echo;

/// Everything that terminals like to change.
const NASTY: &[u8] = &[
    0x7e, 0x00, 0x11, 0x13, 0x0d, 0x0a, 0x03, 0x04, 0x1a, 0x7f, 0xff,
];

struct Dock {
    line: SerialLine,
    _folder: TempDir,
}

fn dock() -> Dock {
    let folder = tempfile::tempdir().unwrap();
    let line = SerialLine::start(&folder.path().join("seal-1"), Box::new(Echo::default()), 3);
    Dock {
        line: line.unwrap(),
        _folder: folder,
    }
}

fn open(path: &Path) -> File {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(OFlags::NOCTTY.bits()).unwrap())
        .open(path)
        .unwrap()
}

async fn read_exactly(mut port: File, length: usize) -> (File, Vec<u8>) {
    let reading = spawn_blocking(move || {
        let mut bytes = vec![0; length];
        port.read_exact(&mut bytes).unwrap();
        (port, bytes)
    });
    tokio::time::timeout(Duration::from_secs(60), reading)
        .await
        .expect("bytes in time")
        .unwrap()
}

#[tokio::test]
async fn all_bytes_pass_a_raw_line_unchanged() {
    let dock = dock();
    let mut port = open(dock.line.path());
    assert!(
        !tcgetattr(&port)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    );
    port.write_all(NASTY).unwrap();
    let (_, bytes) = read_exactly(port, NASTY.len()).await;
    assert_eq!(bytes, NASTY);
}

#[tokio::test]
async fn pulling_the_plug_ends_the_reading_and_the_path_comes_back() {
    let mut dock = dock();
    let mut port = open(dock.line.path());
    port.write_all(b"hello").unwrap();
    let (mut port, _) = read_exactly(port, 5).await;

    dock.line.unplug();
    assert!(!dock.line.path().exists());
    let ended = spawn_blocking(move || {
        let mut byte = [0];
        matches!(port.read(&mut byte), Ok(0) | Err(_))
    });
    assert!(ended.await.unwrap());

    dock.line.plug().unwrap();
    let mut port = open(dock.line.path());
    port.write_all(b"again").unwrap();
    assert_eq!(read_exactly(port, 5).await.1, b"again");
}

#[tokio::test]
async fn a_lock_left_behind_is_lifted() {
    let dock = dock();
    let port = open(dock.line.path());
    ioctl_tiocexcl(&port).unwrap();
    drop(port);
    // An ordinary user is refused until the lock is lifted; root never is.
    let path = dock.line.path().to_owned();
    let opened = async {
        loop {
            if OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .is_ok()
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened)
        .await
        .expect("the lock is lifted");
}

#[tokio::test]
async fn garbage_and_slow_bytes_arrive_as_they_were_put() {
    let dock = dock();
    let mut port = open(dock.line.path());
    dock.line.inject(vec![0xde, 0xad]).unwrap();
    let (mut again, bytes) = read_exactly(port, 2).await;
    assert_eq!(bytes, [0xde, 0xad]);
    dock.line.set_pace(Duration::from_millis(1));
    again.write_all(b"slowly").unwrap();
    let (back, bytes) = read_exactly(again, 6).await;
    assert_eq!(bytes, b"slowly");
    port = back;
    drop(port);
}

#[test]
fn noise_comes_from_its_seed() {
    let noise = Noise {
        flip: 0.1,
        lose: 0.1,
        insert: 0.1,
    };
    let bytes: Vec<u8> = (0..=255).collect();
    let spoil = |seed| NoisySource::new(noise, seed).spoil(&bytes);
    assert_eq!(spoil(1), spoil(1));
    assert_ne!(spoil(1), spoil(2));
    assert_ne!(spoil(1), bytes);
    assert_eq!(NoisySource::new(Noise::default(), 1).spoil(&bytes), bytes);
}

#[tokio::test]
async fn a_file_in_the_way_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taken");
    std::fs::write(&path, b"mine").unwrap();
    assert!(SerialLine::start(&path, Box::new(Echo::default()), 1).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}
