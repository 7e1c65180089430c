//! One system call for the messages of many tasks.
//!
//! On an HTTP/2 connection every call is a task of its own, and the connection is one more task.
//! Say that fifty calls are answered together. When the first of them hands its answer to the
//! connection, tokio runs the connection next, before the other forty-nine. So each answer is
//! written by itself, and a small write through TCP costs more than making the answer did.
//! [`Coalesced`] keeps what is flushed until its owner has let every other task run that is ready,
//! and then writes all that has gathered.
//!
//! A task that is alone on its thread waits for nobody: gathering costs it a fraction of a
//! microsecond.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that gather. When there is more, writers wait for the stream.
pub const GATHERED_MAX: usize = 64 * 1024;
/// A write of this many bytes or more gains nothing by gathering, and is passed on without a copy.
const LARGE: usize = 16 * 1024;

/// A stream that gathers what is written and flushed while one round of tasks runs.
///
/// It is for an owner that shares the connection between tasks and that, **whenever it runs, first
/// reads and at last flushes**, as HTTP/2 does. The first flush only asks that the owner run again,
/// and the flush of that run writes. Shutting down writes everything. Reads go straight to the
/// stream. If a gathered write fails, the flush or the write that carries it out gives the error.
#[derive(Debug)]
pub struct Coalesced<S> {
    stream: S,
    gathered: BytesMut,
    round: Round,
    gathers: bool,
}

/// Where a stream stands between a flush and the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Nothing was flushed.
    Idle,
    /// The owner was asked to run again.
    Asked,
    /// The owner runs again, and its flush writes.
    Due,
}

impl<S> Coalesced<S> {
    /// Gathers what is written to `stream`, up to [`GATHERED_MAX`] bytes.
    pub fn new(stream: S) -> Self {
        Self { stream, gathered: BytesMut::new(), round: Round::Idle, gathers: true }
    }

    /// Leaves the stream as it is: for a connection of the same type whose protocol has one task only.
    pub fn passing(stream: S) -> Self {
        Self { gathers: false, ..Self::new(stream) }
    }
}

impl<S: AsyncWrite + Unpin> Coalesced<S> {
    /// Writes all that has gathered.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(written);
        }
        self.round = Round::Idle;
        Poll::Ready(Ok(()))
    }

    /// Whether `len` more bytes gather. If not, they go to the stream, which is ready for them.
    fn poll_gathers(&mut self, len: usize, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.gathers && len < LARGE && self.gathered.len() + len <= GATHERED_MAX {
            return Poll::Ready(Ok(true));
        }
        ready!(self.poll_drain(cx))?;
        Poll::Ready(Ok(self.gathers && len < LARGE))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.round == Round::Asked {
            self.round = Round::Due;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if ready!(self.poll_gathers(buf.len(), cx))? {
            self.gathered.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if ready!(self.poll_gathers(len, cx))? {
            for buf in bufs {
                self.gathered.extend_from_slice(buf);
            }
            return Poll::Ready(Ok(len));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.is_empty() {
            return Pin::new(&mut self.stream).poll_flush(cx);
        }
        match self.round {
            Round::Idle => {
                // A task that wakes itself runs again, after the others.
                self.round = Round::Asked;
                cx.waker().wake_by_ref();
                Poll::Ready(Ok(()))
            }
            Round::Asked => Poll::Ready(Ok(())),
            Round::Due => {
                ready!(self.poll_drain(cx))?;
                Pin::new(&mut self.stream).poll_flush(cx)
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tasks of a test's own runtime")]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::mpsc;

    use super::*;

    /// A stream that notes what each write carries, takes `room` bytes, and has nothing to read.
    #[derive(Clone)]
    struct Wire(Arc<Mutex<Written>>);

    struct Written {
        writes: Vec<Vec<u8>>,
        room: usize,
    }

    impl Wire {
        fn with_room(room: usize) -> Self {
            Self(Arc::new(Mutex::new(Written { writes: Vec::new(), room })))
        }

        fn writes(&self) -> Vec<Vec<u8>> {
            self.0.lock().unwrap().writes.clone()
        }
    }

    impl AsyncRead for Wire {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Wire {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let mut wire = self.0.lock().unwrap();
            let taken = buf.len().min(wire.room);
            if taken == 0 {
                return Poll::Pending;
            }
            wire.room -= taken;
            wire.writes.push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A connection: reads, then writes what it is given, each message by itself, and flushes.
    async fn connection<S>(mut stream: S, mut answers: mpsc::Receiver<u8>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        std::future::poll_fn(|cx| {
            let mut byte = [0];
            let read = Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
            assert!(read.is_pending());
            let ended = loop {
                match answers.poll_recv(cx) {
                    Poll::Ready(Some(answer)) => {
                        assert!(Pin::new(&mut stream).poll_write(cx, &[answer]).is_ready());
                    }
                    Poll::Ready(None) => break true,
                    Poll::Pending => break false,
                }
            };
            ready!(Pin::new(&mut stream).poll_flush(cx))?;
            if ended { Poll::Ready(Ok::<_, io::Error>(())) } else { Poll::Pending }
        })
        .await?;
        stream.shutdown().await
    }

    /// What is written on a runtime of one thread, when 32 tasks answer at a time.
    fn writes_of<S>(wrap: impl FnOnce(Wire) -> S) -> usize
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).build().unwrap();
        let wire = Wire::with_room(usize::MAX);
        let (answer, answers) = mpsc::channel(64);
        let done = runtime.spawn(connection(wrap(wire.clone()), answers));
        let callers = runtime.spawn(async move {
            for n in 0..32 {
                let answer = answer.clone();
                drop(tokio::task::spawn(async move { answer.send(n).await.unwrap() }));
            }
        });
        runtime.block_on(async { callers.await.and(done.await) }).unwrap().unwrap();
        let mut answers = wire.writes().concat();
        answers.sort_unstable();
        assert_eq!(answers, (0..32).collect::<Vec<u8>>());
        wire.writes().len()
    }

    #[test]
    fn answers_that_are_ready_together_are_written_together() {
        assert_eq!(writes_of(Coalesced::new), 1);
    }

    #[test]
    fn what_only_passes_is_written_one_by_one() {
        assert_eq!(writes_of(Coalesced::passing), 32);
    }

    /// Whether an operation is done, in a task that nobody wakes.
    fn done<T>(operation: impl Future<Output = T>) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(operation).poll(&mut cx).is_ready()
    }

    #[test]
    fn a_stream_that_takes_no_more_stops_the_writer_and_loses_nothing() {
        let wire = Wire::with_room(10);
        let mut stream = Coalesced::new(wire.clone());
        let message = [7; LARGE - 1];
        let mut accepted = 0;
        while done(stream.write_all(&message)) {
            accepted += message.len();
            assert!(done(stream.flush()) || accepted > message.len(), "the first only asks");
            assert!(!done(stream.read_u8()), "there is nothing to read");
        }
        assert!((GATHERED_MAX - LARGE..=GATHERED_MAX + 10).contains(&accepted), "{accepted}");
        assert_eq!(wire.writes().concat().len(), 10);
        wire.0.lock().unwrap().room = usize::MAX;
        assert!(done(stream.shutdown()));
        assert_eq!(wire.writes().concat(), vec![7; accepted]);
    }

    #[test]
    fn a_large_message_follows_what_has_gathered_without_a_copy() {
        let wire = Wire::with_room(usize::MAX);
        let mut stream = Coalesced::new(wire.clone());
        assert!(done(stream.write_all(b"small")));
        assert!(wire.writes().is_empty());
        assert!(done(stream.write_all(&[1; LARGE])));
        assert_eq!(wire.writes(), [b"small".to_vec(), vec![1; LARGE]]);
    }
}
