//! One HTTP connection: how long it may be silent, and when its place is needed by others.
//!
//! Three silences differ. Who has not ended the head of a request is slow, and after [`Limits::head`] gone. Who keeps a
//! connection alive between requests is idle, which is allowed for [`Limits::idle`] while there are places for others.
//! Who waits for an answer may wait: that time is the handler's.

use std::{
    convert::Infallible,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError, Router,
    body::{Body, HttpBody},
    http::{Request, Response},
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};

use super::Limits;

/// At a stop nobody waits longer for somebody who is silent.
const LAST: Duration = Duration::from_secs(1);

/// Where a connection is between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was read yet.
    Fresh,
    /// The head of a request is coming.
    Head,
    /// A request is being answered.
    Busy,
    /// The answer is given and no other request has begun.
    Idle,
}

/// Tells the phase to the task of the connection.
type Phases = Arc<watch::Sender<Phase>>;

/// Answers on `socket` until it ends, is silent for too long, or `stop`. `wanted` takes the place of an idle connection.
pub(super) async fn answer(
    socket: TcpStream,
    router: Router,
    limits: Limits,
    wanted: Arc<Notify>,
    stop: CancellationToken,
) {
    let (phases, mut changes) = watch::channel(Phase::Fresh);
    let phases = Arc::new(phases);
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    // Silences are timed here, by their kind.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None);
    let socket = Watched {
        socket,
        phases: Arc::clone(&phases),
    };
    let service = TowerToHyperService::new(Counted { router, phases });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let mut phase = Phase::Fresh;
    let mut silence = pin!(sleep(limits.head));
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an HTTP connection ended");
                }
                return;
            }
            Ok(()) = changes.changed() => {
                let before = phase;
                phase = *changes.borrow_and_update();
                match phase {
                    // The head has its time from the beginning of the connection.
                    Phase::Head if before == Phase::Fresh => {}
                    Phase::Fresh | Phase::Head => silence.set(sleep(limits.head)),
                    Phase::Idle if leaving => silence.set(sleep(limits.head)),
                    Phase::Idle => silence.set(sleep(limits.idle)),
                    Phase::Busy => {}
                }
            }
            () = silence.as_mut(), if phase != Phase::Busy => {
                if phase != Phase::Idle || leaving {
                    return;
                }
                // A last answer may still be on its way to a slow reader: for a while.
                leaving = true;
                connection.as_mut().graceful_shutdown();
                silence.set(sleep(limits.head));
            }
            () = wanted.notified(), if phase == Phase::Idle && !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = stop.cancelled(), if !leaving => {
                if phase == Phase::Fresh {
                    return;
                }
                leaving = true;
                connection.as_mut().graceful_shutdown();
                // A request that has begun to come may still come whole, but nobody waits long for it.
                silence.set(sleep(limits.head.min(LAST)));
            }
        }
    }
}

/// The socket; notices the first bytes of a request.
struct Watched {
    socket: TcpStream,
    phases: Phases,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.phases.send_if_modified(|phase| {
                let begins = matches!(phase, Phase::Fresh | Phase::Idle);
                if begins {
                    *phase = Phase::Head;
                }
                begins
            });
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

/// The router; notices when a request begins to be answered.
#[derive(Clone)]
struct Counted {
    router: Router,
    phases: Phases,
}

impl<B> Service<Request<B>> for Counted
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.phases.send_replace(Phase::Busy);
        let answered = self.router.clone().oneshot(request);
        let given = Given(Arc::clone(&self.phases));
        Box::pin(async move {
            let response = answered.await?;
            Ok(response.map(|body| Answer {
                body,
                _given: given,
            }))
        })
    }
}

/// The body of an answer; it is given when this is dropped.
struct Answer {
    body: Body,
    _given: Given,
}

struct Given(Phases);

impl Drop for Given {
    fn drop(&mut self) {
        self.0.send_replace(Phase::Idle);
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
