#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    reason = "test code: what goes wrong ends the test"
)]
//! Ports for servers that a test starts and whose number must be known before they do.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

/// Below the ports that the kernel hands out to outgoing connections and to whoever asks for any (from 32768), so
/// that nobody gets one between its choice and its use; beside those of `hack/cluster/up` (from 20000).
const FIRST: u16 = 10_000;
const LAST: u16 = 19_999;

/// Locks of the ports that this process was given; the kernel takes them back when it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// An address on the loopback interface that nobody listens at and that no other test is given while this process
/// lives.
pub fn free_address() -> SocketAddr {
    let folder = std::env::temp_dir().join("kruise-test-ports");
    std::fs::create_dir_all(&folder).unwrap();
    // Processes that run side by side begin far from each other.
    let begin = FIRST + (std::process::id() % u32::from(LAST - FIRST)) as u16;
    (begin..=LAST)
        .chain(FIRST..begin)
        .find_map(|port| {
            let lock = File::create(folder.join(port.to_string())).unwrap();
            lock.try_lock().ok()?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            TcpListener::bind(address).ok()?;
            HELD.lock().unwrap().push(lock);
            Some(address)
        })
        .unwrap()
}
