//! ClickHouse's disk is full for a while: a small file system of its own, and a file that fills it.
//!
//! Invariant: the file system goes with its handle; what a killed run left is unmounted by the next.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::world::World;

const SIZE: &str = "384m";
/// What the file system is called in the table of mounts, before the process id of its owner.
const SOURCE: &str = "barograph-small-disk-";
const PIECE: usize = 64 << 10;

pub(crate) struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Needs the right to mount.
    pub(crate) fn at(directory: &Path) -> anyhow::Result<Self> {
        unmount_leftovers()?;
        std::fs::create_dir_all(directory)?;
        let source = format!("{SOURCE}{}", std::process::id());
        let options = format!("size={SIZE},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, &source])
            .arg(directory)
            .status()
            .context("mount")?;
        ensure!(
            mounted.success(),
            "a small disk cannot be mounted at {}: this fault needs root; CHAOS_WITHOUT=full-disk \
             leaves it out",
            directory.display()
        );
        Ok(Self {
            at: directory.to_owned(),
        })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.at);
    }
}

/// Lazily: what still has a file open there keeps it until it ends.
fn unmount(at: &Path) {
    // If it does not go, the next run tries again.
    let _status = Command::new("umount").arg("-l").arg(at).status();
}

fn unmount_leftovers() -> anyhow::Result<()> {
    for line in std::fs::read_to_string("/proc/mounts")?.lines() {
        let mut columns = line.split(' ');
        let (source, at) = (columns.next(), columns.next());
        let owner = source.and_then(|source| source.strip_prefix(SOURCE));
        if let (Some(owner), Some(at)) = (owner, at)
            && !Path::new("/proc").join(owner).exists()
        {
            unmount(Path::new(at));
        }
    }
    Ok(())
}

/// A file that takes all the room there is, until it is dropped.
struct Ballast(PathBuf);

impl Ballast {
    fn fill(directory: &Path) -> anyhow::Result<Self> {
        let ballast = Self(directory.join("ballast"));
        let mut file = File::create(&ballast.0)?;
        let piece = vec![0; PIECE];
        let full = loop {
            if let Err(error) = file.write_all(&piece) {
                break error;
            }
        };
        ensure!(
            full.kind() == std::io::ErrorKind::StorageFull,
            "the disk cannot be filled: {full}"
        );
        Ok(ballast)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        // The whole file system goes in the end.
        let _gone = std::fs::remove_file(&self.0);
    }
}

impl World {
    pub(crate) async fn disk_fills(&mut self) -> anyhow::Result<()> {
        let directory = self.space.stack.local().data_dir().join("clickhouse");
        let ballast = Ballast::fill(&directory)?;
        let said = self.processors_say("partitions").await;
        drop(ballast);
        for reason in said? {
            println!("  said: {reason}");
        }
        Ok(())
    }
}
