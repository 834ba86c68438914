//! The client's end of a connection to a proxy target.

use std::io;

use tokio::net::TcpStream;

use crate::forward::reach::End;

/// Reads what a client sends; 0 bytes are its end.
pub(super) async fn read(local: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    loop {
        local.readable().await?;
        match local.try_read(space) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Sends bytes to a client.
pub(super) async fn write(local: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        local.writable().await?;
        match local.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends a last answer. A client that has gone needs none.
pub(super) async fn answer(local: &TcpStream, bytes: &[u8]) -> Result<(), End> {
    if write(local, bytes).await.is_ok() {
        kube_tunnel::end_in_order(local).await;
    }
    Ok(())
}
