//! The disk is full under a live fleet: nothing is acknowledged, readiness says so, and with room it goes on by itself.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use sealgate_tests::{gateway::Setup, seed, storm::Storm, tools, world::World};
use tempfile::TempDir;

const SEALS: [usize; 4] = [0, 1, 2, 3];

/// Seals go on pressing and connecting while there is no room.
async fn without_room(world: &World, storm: &Storm, rng: &mut rand::rngs::StdRng) {
    world.is_ready(false).await;
    storm.shake(rng).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(world.api.metric("sealgate_task_panics_total").await, 0.0);
}

/// The soft limit of a process's file sizes.
fn limit_files(limiter: &Path, pid: u32, bytes: Option<u64>) {
    let soft = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let mut command = Command::new(limiter);
    command.args([
        "--pid",
        &pid.to_string(),
        &format!("--fsize={soft}:unlimited"),
    ]);
    let done = tools::run(&mut command);
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_can_not_grow_lose_and_double_nothing() {
    let Some(limiter) = tools::find("prlimit") else {
        return;
    };
    let seed = seed::seed("files_that_can_not_grow_lose_and_double_nothing");
    let mut rng = seed::rng(seed);
    let world = World::start().await;
    let storm = Storm::begin(&world, &SEALS, seed).await;
    for _ in 0..2 {
        storm.passes(&world).await;
        let pid = world.gateway.pid();
        // Also what is there already can not be written beyond the limit, the gateway's log neither.
        limit_files(&limiter, pid, Some(4_096));
        world.is_ready(false).await;
        let stored = || world.api.metric("sealgate_stamps_stored_total");
        let before = stored().await;
        without_room(&world, &storm, &mut rng).await;
        assert_eq!(
            stored().await,
            before,
            "stored where nothing can be written"
        );
        limit_files(&limiter, pid, None);
        world.is_ready(true).await;
        storm.shake(&mut rng).await;
    }
    let presses = storm.ends_well(&world).await;
    println!("{presses} presses: none lost, none doubled");
}

/// A file system of its own in memory.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Or nothing, with the reason printed.
    fn mount(megabytes: u32) -> Option<Self> {
        let mount = tools::find("mount")?;
        let folder = tempfile::tempdir().expect("a folder");
        let size = format!("size={megabytes}m,mode=700");
        let mut command = Command::new(mount);
        command
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path());
        let done = tools::run(&mut command);
        if !done.status.success() {
            let told = String::from_utf8_lossy(&done.stderr);
            println!("skipped: a small disk can not be mounted: {}", told.trim());
            return None;
        }
        Some(Self { folder })
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.folder.path().join("ballast");
        let mut ballast = File::create(&path).expect("a file");
        while ballast.write_all(&[7; 4_096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = self.folder.path().display().to_string();
        let done = tools::run(Command::new("umount").arg(&path));
        if !done.status.success() {
            println!(
                "{path} stays mounted: {}",
                String::from_utf8_lossy(&done.stderr)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_and_doubles_nothing() {
    let Some(disk) = SmallDisk::mount(64) else {
        return;
    };
    let seed = seed::seed("a_full_disk_loses_and_doubles_nothing");
    let mut rng = seed::rng(seed);
    let setup = Setup {
        disk: Some(disk.folder.path().to_owned()),
        ..Setup::default()
    };
    let world = World::of(setup, true).await;
    let storm = Storm::begin(&world, &SEALS, seed).await;
    for _ in 0..2 {
        storm.passes(&world).await;
        let ballast = disk.fill();
        // What is left inside files that are there already may still be used, so only the end counts.
        without_room(&world, &storm, &mut rng).await;
        fs::remove_file(ballast).expect("room");
        world.is_ready(true).await;
        storm.shake(&mut rng).await;
    }
    let presses = storm.ends_well(&world).await;
    println!("{presses} presses: none lost, none doubled");
    drop(world);
}
