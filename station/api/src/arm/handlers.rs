//! The operations: each names what it needs, reads what it takes, asks the service, shows what came of it.
//!
//! What a caller may not see is answered as what is not there: a 403 would say that it exists.

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::{ChangeError, Changes, Created, Stored};
use model::job::{Job, JobKey, Problem, ProblemCode, StorageAccountId};
use serde::Serialize;

use super::answer::{JobBody, Shown};
use super::error::{ArmError, Detail};
use super::headers::Ids;
use super::lists::Asked;
use super::locations::LocationBody;
use super::path::{Group, Target};
use super::query::Query;
use super::version::ApiVersion;
use super::{Arm, body, order, provider, refused};
use crate::people::{Caller, Denied, Operation, Reach, authorise};
use crate::server::Origin;

/// A request that is known to be one of ours, and to be allowed.
struct Call<'a> {
    arm: &'a Arm,
    ids: &'a Ids,
    caller: Caller,
    reach: Reach,
    version: ApiVersion,
    query: Query,
    parts: Parts,
    body: Body,
}

#[derive(Serialize)]
struct Values<T: Serialize> {
    value: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyBody<'a> {
    drive_id: &'a str,
    bit_locker_key: &'a str,
}

/// Serves one request.
pub(super) async fn serve(arm: &Arm, request: Request, ids: &Ids) -> Result<Response, ArmError> {
    let (parts, body) = request.into_parts();
    let target = Target::parse(parts.uri.path())?;
    if !target.methods().contains(&parts.method) {
        return Err(ArmError::method_not_allowed(target.methods()));
    }
    let query = Query::of(&parts.uri)?;
    let version = query.version()?;
    let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(ArmError::unauthenticated)?;
    let reach = allowed(&caller, needed(&target, &parts.method))?;
    Call { arm, ids, caller, reach, version, query, parts, body }.serve(target).await
}

/// What each operation needs, by the RBAC action that ARM gives it.
fn needed(target: &Target, method: &Method) -> Operation {
    match (target, method) {
        (Target::Operations, _) => Operation::OperationsRead,
        (Target::Locations | Target::Location(_), _) => Operation::LocationsRead,
        (Target::SubscriptionJobs(_) | Target::GroupJobs(_), _) => Operation::JobsRead,
        (Target::Job(..), &Method::GET) => Operation::JobsRead,
        (Target::Job(..), &Method::DELETE) => Operation::JobsDelete,
        (Target::Job(..) | Target::MoveResources(_), _) => Operation::JobsWrite,
        (Target::BitLockerKeys(..), _) => Operation::JobsListBitLockerKeys,
    }
}

fn allowed(caller: &Caller, operation: Operation) -> Result<Reach, ArmError> {
    authorise(caller, operation).map_err(|denied| match denied {
        Denied::Unauthenticated => ArmError::unauthenticated(),
        Denied::Forbidden(operation) | Denied::Narrowed(operation) => {
            ArmError::forbidden(provider::action(operation))
        }
    })
}

impl Call<'_> {
    async fn serve(self, target: Target) -> Result<Response, ArmError> {
        match target {
            Target::Operations => Ok(Json(Values { value: provider::OPERATIONS.to_vec() }).into_response()),
            Target::Locations => Ok(self.locations()),
            Target::Location(name) => self.location(&name),
            Target::SubscriptionJobs(subscription) => self.list(&subscription, None).await,
            Target::GroupJobs(group) => self.list(&group.subscription, Some(&group)).await,
            Target::Job(group, name) => self.job(group, name).await,
            Target::BitLockerKeys(group, name) => self.keys(group, name).await,
            Target::MoveResources(group) => self.moved(&group).await,
        }
    }

    async fn job(self, group: Group, name: String) -> Result<Response, ArmError> {
        let key = self.key(group, name)?;
        match self.parts.method {
            Method::PUT => self.put(key).await,
            Method::PATCH => self.patch(key).await,
            Method::DELETE => self.delete(key).await,
            _ => self.get(key).await,
        }
    }

    fn locations(&self) -> Response {
        let all = self.arm.locations.iter();
        let value = all.map(|location| LocationBody::of(location, self.version)).collect();
        Json(Values { value }).into_response()
    }

    fn location(&self, name: &str) -> Result<Response, ArmError> {
        let location = self.arm.locations.find(name).ok_or_else(ArmError::location_not_found)?;
        Ok(Json(LocationBody::of(location, self.version)).into_response())
    }

    async fn list(self, subscription: &str, group: Option<&Group>) -> Result<Response, ArmError> {
        let page = self.query.page()?;
        let Parts { uri, headers, extensions, .. } = &self.parts;
        let is_tls = extensions.get::<Origin>().is_some_and(|origin| origin.is_tls);
        let (version, reach) = (self.version, self.reach);
        let asked = Asked { subscription, group, page, version, reach, uri, headers, is_tls };
        asked.answer(self.arm, self.ids).await
    }

    async fn get(self, key: JobKey) -> Result<Response, ArmError> {
        let job = found(self.arm, &key, self.ids).await?;
        Ok(shown(self.arm, StatusCode::OK, &job, None, self.version, Shown::Read))
    }

    async fn put(self, key: JobKey) -> Result<Response, ArmError> {
        let body = body::json(&self.parts.headers, self.body).await?;
        let order::Put { job, keys, mut problems } = order::put(key, body)?;
        problems.extend(foreign_account(&self.reach, &job.storage_account_id));
        if !problems.is_empty() {
            let others = self.arm.jobs.judge_new(job, &keys).await;
            return Err(also_wrong(problems, others, self.ids));
        }
        let location = job.location.clone();
        let made = self.arm.jobs.create(&as_service(&self.caller), job, keys).await;
        let Created { stored, is_new } = made.map_err(|error| refused::change(error, self.ids))?;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        // The answer to PUT has the location as it was sent, all others have it as it is read (§5.4, item 4).
        Ok(shown(self.arm, status, &stored.job, Some(&location), self.version, Shown::Changed))
    }

    async fn patch(self, key: JobKey) -> Result<Response, ArmError> {
        let body = body::json(&self.parts.headers, self.body).await?;
        let order::Patch { update, keys, ship, cancel, problems } = order::patch(body)?;
        if !problems.is_empty() {
            let others = self.arm.jobs.judge_update(&key, update, &keys).await;
            return Err(also_wrong(problems, others, self.ids));
        }
        let changes = Changes { update, keys, ship, cancel };
        let changed = self.arm.jobs.update(&as_service(&self.caller), &key, changes).await;
        let Stored { job, .. } = changed.map_err(|error| refused::change(error, self.ids))?;
        Ok(shown(self.arm, StatusCode::OK, &job, None, self.version, Shown::Changed))
    }

    async fn delete(self, key: JobKey) -> Result<Response, ArmError> {
        body::ignored(self.body).await?;
        match self.arm.jobs.delete(&as_service(&self.caller), &key).await {
            Ok(()) => Ok(StatusCode::OK.into_response()),
            // Deleting what is not there is what ARM calls done (§9, row 26).
            Err(ChangeError::NotFound(_)) => Ok(StatusCode::NO_CONTENT.into_response()),
            Err(error) => Err(refused::change(error, self.ids)),
        }
    }

    async fn keys(self, group: Group, name: String) -> Result<Response, ArmError> {
        let key = self.key(group, name)?;
        body::ignored(self.body).await?;
        let keys = self.arm.jobs.bitlocker_keys(&as_service(&self.caller), &key).await;
        let keys = keys.map_err(|error| refused::key(error, self.ids))?;
        let value = keys.iter().map(|key| shown_key(key, self.ids)).collect::<Result<_, ArmError>>()?;
        // What ARM says of every answer, `no-cache`, lets a proxy or a client keep it on disk.
        let unkept = [(header::CACHE_CONTROL, "no-cache, no-store")];
        Ok((unkept, Json(Values { value })).into_response())
    }

    /// The operation of the first description that later ones dropped: known, and refused for what is so.
    async fn moved(self, group: &Group) -> Result<Response, ArmError> {
        if !self.version.has_move() {
            return Err(ArmError::unknown_type(&[]));
        }
        body::json(&self.parts.headers, self.body).await?;
        let covered = self.reach.covers(&group.subscription, &group.name);
        Err(if covered { ArmError::move_not_supported() } else { ArmError::unknown_path() })
    }

    /// The job's key, if the caller may touch that group.
    fn key(&self, group: Group, name: String) -> Result<JobKey, ArmError> {
        let covered = self.reach.covers(&group.subscription, &group.name);
        if covered {
            Ok(JobKey::new(group.subscription, group.name, name))
        } else {
            Err(ArmError::job_not_found())
        }
    }
}

/// As ARM asks of linked resources: whoever makes a job for an account must reach the account.
///
/// Told like an account that is not there, which is all that the caller may know.
fn foreign_account(reach: &Reach, id: &str) -> Option<Detail> {
    let account = StorageAccountId::parse(id)?;
    let is_covered = reach.covers(account.subscription, account.resource_group);
    (!is_covered).then(|| Detail {
        code: ProblemCode::Unknown.as_str().to_owned(),
        target: "properties.storageAccountId".to_owned(),
        message: "there is no such storage account, or it cannot be reached".to_owned(),
    })
}

/// The caller, as the service writes them into custody.
fn as_service(caller: &Caller) -> jobs::Caller {
    jobs::Caller::new(caller.id.clone(), caller.role_names())
}

fn shown_key<'a>((drive_id, key): &'a order::Key, ids: &Ids) -> Result<KeyBody<'a>, ArmError> {
    let key = key.expose_text().map_err(|_| refused::unreadable_key(drive_id, ids))?;
    Ok(KeyBody { drive_id: drive_id.as_str(), bit_locker_key: key })
}

async fn found(arm: &Arm, key: &JobKey, ids: &Ids) -> Result<Job, ArmError> {
    let stored = arm.jobs.get(key).await.map_err(|error| refused::look(&error, ids))?;
    stored.map(|stored| stored.job).ok_or_else(ArmError::job_not_found)
}

/// What only the text shows to be wrong, together with what the service finds, so that all is told at once.
fn also_wrong(mut problems: Vec<Detail>, others: Result<Vec<Problem>, ChangeError>, ids: &Ids) -> ArmError {
    match others {
        Ok(others) => {
            problems.extend(others.into_iter().map(refused::detail));
            ArmError::invalid_parameters(problems)
        }
        Err(error) => refused::change(error, ids),
    }
}

fn shown(
    arm: &Arm,
    status: StatusCode,
    job: &Job,
    location: Option<&str>,
    version: ApiVersion,
    how: Shown,
) -> Response {
    let known = arm.locations.find(&job.location).map(|location| &*location.name);
    let location = location.or(known).unwrap_or(&job.location);
    (status, Json(JobBody::of(job, location, version, how))).into_response()
}
