//! Connections of clients: a client that does not read is given up after a while, and one that still sends when its
//! connection is closed can read the last answer all the same.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a client may read nothing, while bytes wait for it, before its connection is closed.
pub const WRITE_WAIT: Duration = Duration::from_secs(30);

/// How long the gateway goes on reading from a client after it has closed its own end.
const LINGER: Duration = Duration::from_millis(500);
/// Most bytes that are read and thrown away in that time.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// A stream whose writes fail with `TimedOut` when the other end does not read.
#[derive(Debug)]
pub struct Patient<S> {
    stream: S,
    wait: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Since the gateway's end was closed: bytes thrown away so far, and when reading ends.
    lingering: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> Patient<S> {
    /// A stream whose writes fail after they waited for `wait` without progress.
    pub fn new(stream: S, wait: Duration) -> Self {
        Self { stream, wait, waiting: None, lingering: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let until = Instant::now() + self.wait;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
            std::task::ready!(self.watch(cx, polled))?;
        }
        self.linger(cx).map(Ok)
    }
}

impl<S: AsyncRead + Unpin> Patient<S> {
    /// Reads on for [`LINGER`]. The system resets a connection that is dropped with bytes unread, and then the client
    /// may never see the answer that says why.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (thrown, until) = self.lingering.get_or_insert_with(|| (0, Box::pin(tokio::time::sleep(LINGER))));
        loop {
            let mut space = [0; 8192];
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && *thrown < LINGER_BYTES_MAX => {
                    *thrown += buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return until.as_mut().poll(cx),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_client_that_does_not_read_is_given_up() {
        let (near, mut far) = tokio::io::duplex(8);
        let mut near = Patient::new(near, Duration::from_millis(10));
        near.write_all(&[0; 8]).await.unwrap();
        assert_eq!(near.write_all(&[0; 8]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // Once it reads, the time begins anew.
        far.read_exact(&mut [0; 8]).await.unwrap();
        near.write_all(&[0; 8]).await.unwrap();
        assert_eq!(near.write_all(&[0; 1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
