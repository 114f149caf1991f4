//! What a Service is to the API server: new connections go to one of the replicas that are in it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};

/// Forwards connections on a free local port.
pub struct Balancer {
    /// `https://127.0.0.1:PORT`
    pub url: String,
    backends: Arc<Mutex<Vec<String>>>,
    /// Connections that were forwarded.
    pub connections: Arc<AtomicUsize>,
}

impl Balancer {
    /// One without replicas.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let backends: Arc<Mutex<Vec<String>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let (known, count) = (backends.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let turn = count.fetch_add(1, Ordering::SeqCst);
                let backend = {
                    let known = known.lock().unwrap();
                    known.get(turn % known.len().max(1)).cloned()
                };
                let Some(backend) = backend else { continue };
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(backend).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { url, backends, connections }
    }

    /// New connections go to this replica too.
    pub fn add(&self, address: &str) {
        self.backends.lock().unwrap().push(address.to_owned());
    }

    /// New connections do not go to this replica any more.
    pub fn remove(&self, address: &str) {
        self.backends.lock().unwrap().retain(|known| known != address);
    }
}
