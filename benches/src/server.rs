//! An axum server in this process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};

/// A server on a port of its own, with one thread to serve from.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    // Dropping it stops the server.
    _runtime: Runtime,
}

impl Server {
    /// Serves a router until it is dropped.
    ///
    /// # Errors
    ///
    /// If there is no port, or no thread.
    pub fn start(router: Router) -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, service).await });
        Ok(Self {
            address,
            _runtime: runtime,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
