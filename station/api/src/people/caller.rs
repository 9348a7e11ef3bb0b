//! The caller of a request, and the one function that decides.
//!
//! The server's outer layer finds out who calls and puts a [`Caller`] into the request; a handler takes it as an
//! argument and asks [`authorise`] with its [`Operation`], or its route wears the layer [`needs`], which asks and
//! leaves the [`Reach`] for the handler to take. Both mark that somebody asked: the outer layer lets no answer out
//! that nobody asked for ([`Caller::was_asked`]), so a route that forgot its operation is a fault, not a hole.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use thiserror::Error;
use tower::{Layer, Service};

use super::{Cell, Operation, Reach, Role, Scope, cell};
use crate::problem;

/// Who sent a request: found out by the server, never by a handler.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who, as custody entries and the log name them: `token:ID`, `oidc:SUBJECT`, `local:UID`.
    pub id: String,
    /// What they are to the station.
    pub roles: BTreeSet<Role>,
    /// What they were given.
    pub scope: Scope,
    asked: Arc<AtomicBool>,
}

/// Why a request is not served.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Denied {
    /// Nobody is known to have sent it.
    #[error("the request carries no valid credentials")]
    Unauthenticated,
    /// The caller is known, and none of their roles allows this.
    #[error("none of the caller's roles allows {0:?}")]
    Forbidden(Operation),
    /// The caller is limited to a scope, and this is about the whole station.
    #[error("{0:?} is about the whole station, and the caller is limited to a scope")]
    Narrowed(Operation),
}

impl Caller {
    /// A caller as an authenticator found them.
    pub fn new(id: impl Into<String>, roles: impl IntoIterator<Item = Role>, scope: Scope) -> Self {
        Self { id: id.into(), roles: roles.into_iter().collect(), scope, asked: Arc::default() }
    }

    /// Whether [`authorise`] was asked about this caller since the request came in.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The roles' names, as custody entries keep them.
    pub fn role_names(&self) -> Vec<String> {
        self.roles.iter().map(|role| role.as_str().to_owned()).collect()
    }
}

/// Decides whether a caller may do something, and how far: the only place that reads the table.
///
/// The widest cell among the caller's roles counts. A customer reaches what their scope names, which is nothing
/// where it names nothing; everybody else what the scope leaves, which is everything unless it was narrowed. What is
/// about the whole station is denied to who was.
pub fn authorise(caller: &Caller, operation: Operation) -> Result<Reach, Denied> {
    caller.asked.store(true, Ordering::Relaxed);
    let cells: Vec<Cell> = caller.roles.iter().map(|role| cell(*role, operation)).collect();
    let scope = match (cells.contains(&Cell::All), cells.contains(&Cell::Own), &caller.scope) {
        (true, _, scope) => scope.clone(),
        (false, true, Scope::Only(grants)) => Scope::Only(grants.clone()),
        (false, true, Scope::Everything) => Scope::Only(Vec::new()),
        (false, false, _) => return Err(Denied::Forbidden(operation)),
    };
    if operation.is_station_wide() && scope != Scope::Everything {
        return Err(Denied::Narrowed(operation));
    }
    Ok(Reach::of(scope))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| {
            problem::denied(&Denied::Unauthenticated, problem::path(&parts.extensions, &parts.uri))
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Reach {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let reach = parts.extensions.get::<Self>().cloned();
        reach.ok_or_else(|| {
            problem::denied(&Denied::Unauthenticated, problem::path(&parts.extensions, &parts.uri))
        })
    }
}

/// The layer for a route of one operation: `get(list).layer(needs(Operation::ReadDrives))`.
///
/// It covers every method of the route that it wears, so methods of different operations wear it apart.
pub const fn needs(operation: Operation) -> Needs {
    Needs(operation)
}

/// See [`needs`].
#[derive(Clone, Copy, Debug)]
pub struct Needs(Operation);

impl<S> Layer<S> for Needs {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { operation: self.0, inner }
    }
}

/// A route behind [`needs`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    operation: Operation,
    inner: S,
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request>,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let caller = request.extensions().get::<Caller>();
        match caller.ok_or(Denied::Unauthenticated).and_then(|caller| authorise(caller, self.operation)) {
            Ok(reach) => {
                request.extensions_mut().insert(reach);
                let answer = self.inner.call(request);
                Box::pin(async move { answer.await.map(IntoResponse::into_response) })
            }
            Err(denied) => {
                let answer = problem::denied(&denied, problem::path(request.extensions(), request.uri()));
                Box::pin(async move { Ok(answer) })
            }
        }
    }
}
