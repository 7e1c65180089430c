//! One system call for the messages of many tasks.
//!
//! On an HTTP/2 connection every call is a task of its own, and the connection another. When one of
//! fifty calls that were answered together hands its answer to the connection, tokio runs the connection
//! next, before the other forty-nine: each answer is then written by itself, and a small write through
//! TCP costs more than making the answer did. [`Coalesced`] lets the connection step back once before
//! it writes, behind everything that is ready to run, and then writes all that has gathered.
//!
//! A task alone on its thread steps behind nobody: that costs it a fraction of a microsecond.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose owner steps back once between two flushes, before the first write.
///
/// For protocols that share a connection between many tasks and flush when they have nothing more to
/// write. Reading, and all errors, are those of the stream.
#[derive(Debug)]
pub struct Coalesced<S> {
    stream: S,
    /// The owner has stepped back and may write until it flushes.
    may_write: bool,
    /// Flushing ends that.
    gathers: bool,
}

impl<S> Coalesced<S> {
    /// Gathers what is written to `stream`.
    pub const fn new(stream: S) -> Self {
        Self { stream, may_write: false, gathers: true }
    }

    /// Leaves the stream as it is: for a connection of the same type whose protocol has one task only.
    pub const fn passing(stream: S) -> Self {
        Self { stream, may_write: true, gathers: false }
    }

    /// Pending once after each flush: a task that wakes itself runs again after the others.
    fn poll_step_back(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.may_write {
            return Poll::Ready(());
        }
        self.may_write = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_step_back(cx));
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_step_back(cx));
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.may_write = !self.gathers;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tasks of a test's own runtime")]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Notes what each write system call would have carried.
    #[derive(Clone, Default)]
    struct Wire(Arc<Mutex<Vec<Vec<u8>>>>);

    impl AsyncWrite for Wire {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.lock().unwrap().push(buf.to_vec());
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A connection: writes what is there whenever it is told that there is something, then flushes.
    async fn connection<S: AsyncWrite + Unpin>(
        mut stream: S,
        mut answers: tokio::sync::mpsc::Receiver<u8>,
    ) {
        let mut gathered = Vec::new();
        let written = std::future::poll_fn(|cx| {
            loop {
                while let Poll::Ready(answer) = answers.poll_recv(cx) {
                    match answer {
                        Some(answer) => gathered.push(answer),
                        None if gathered.is_empty() => return Poll::Ready(Ok::<_, io::Error>(())),
                        None => break,
                    }
                }
                if gathered.is_empty() {
                    return Poll::Pending;
                }
                let count = ready!(Pin::new(&mut stream).poll_write(cx, &gathered))?;
                gathered.drain(..count);
                ready!(Pin::new(&mut stream).poll_flush(cx))?;
            }
        });
        written.await.unwrap();
        stream.shutdown().await.unwrap();
    }

    /// What is written on a runtime of one thread, when 32 tasks answer at a time.
    fn writes_of<S>(wrap: impl FnOnce(Wire) -> S) -> Vec<Vec<u8>>
    where
        S: AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).build().unwrap();
        let wire = Wire::default();
        let (answer, answers) = tokio::sync::mpsc::channel(64);
        let done = runtime.spawn(connection(wrap(wire.clone()), answers));
        let callers = runtime.spawn(async move {
            for n in 0..32 {
                let answer = answer.clone();
                drop(tokio::task::spawn(async move { answer.send(n).await.unwrap() }));
            }
        });
        runtime.block_on(async { callers.await.and(done.await) }).unwrap();
        let mut writes = wire.0.lock().unwrap().clone();
        let mut answers = writes.concat();
        answers.sort_unstable();
        assert_eq!(answers, (0..32).collect::<Vec<u8>>());
        writes.retain(|write| !write.is_empty());
        writes
    }

    #[test]
    fn answers_that_are_ready_together_are_written_together() {
        assert_eq!(writes_of(Coalesced::new).len(), 1);
    }

    #[test]
    fn what_only_passes_is_written_at_once() {
        assert!(writes_of(Coalesced::passing).len() > 1);
    }

    #[tokio::test]
    async fn every_flush_begins_anew() {
        let wire = Wire::default();
        let mut stream = Coalesced::new(wire.clone());
        for message in [b"one", b"two"] {
            assert!(!stream.may_write);
            stream.write_all(message).await.unwrap();
            assert!(stream.may_write);
            stream.flush().await.unwrap();
        }
        assert_eq!(wire.0.lock().unwrap().concat(), b"onetwo");
    }
}
