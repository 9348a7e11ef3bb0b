//! Operations on a container: it comes, it goes, it has metadata and stored access policies.
//!
//! Containers are private; a request to make one public is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::body::Received;
use super::super::codes::{self, Refusal};
use super::super::conditions::{Conditions, Version};
use super::super::lease::{Holder, Lease};
use super::super::names;
use super::super::reply::Reply;
use super::super::state::{Container, ContainerState, Policy, UNPOISONED, etag_text, failed};
use super::xml::Xml;
use super::{Call, Outcome};

/// A container has at most five stored access policies (REST reference, Set Container ACL).
const POLICIES_MAX: usize = 5;

/// Create Container.
pub(crate) fn create(call: &Call<'_>) -> Outcome {
    let name = &call.head.container;
    names::check_container(name)?;
    refuse_public_access(call)?;
    let (etag, modified) = call.version();
    let state = ContainerState {
        etag,
        modified,
        metadata: call.head.metadata()?,
        lease: Lease::default(),
        policies: Vec::new(),
        deleted: false,
    };
    let reply = versioned(&state, 201);
    let mut containers = call.account.containers.write().expect(UNPOISONED);
    if containers.contains_key(name) {
        return Err(codes::CONTAINER_EXISTS.into());
    }
    call.account.save_container(name, &state)?;
    containers.insert(name.clone(), Arc::new(Container::new(name, state)));
    Ok(reply)
}

/// Delete Container.
pub(crate) fn delete(call: &Call<'_>) -> Outcome {
    let name = &call.head.container;
    let mut containers = call.account.containers.write().expect(UNPOISONED);
    let container = containers.get(name).ok_or(codes::CONTAINER_NOT_FOUND)?;
    {
        let mut state = container.lock()?;
        check_write(call, &state)?;
        state.deleted = true;
        *container.cells.write().expect(UNPOISONED) = BTreeMap::new();
    }
    containers.remove(name);
    call.account.vault.disk().map_or(Ok(()), |disk| disk.remove_container(name)).map_err(failed)?;
    Ok(Reply::status(202))
}

/// Get Container Properties, and its metadata, which come in the same headers.
pub(crate) fn properties(call: &Call<'_>) -> Outcome {
    let container = call.container()?;
    let state = container.lock()?;
    state.lease.check_read(call.lease_id(), Holder::Container, call.now)?;
    let lease = state.lease.state(call.now);
    Ok(versioned(&state, 200)
        .metadata(&state.metadata)
        .with("x-ms-lease-status", lease.status())
        .with("x-ms-lease-state", lease.word())
        .maybe("x-ms-lease-duration", state.lease.duration_word(call.now))
        .with("x-ms-has-immutability-policy", false)
        .with("x-ms-has-legal-hold", false))
}

/// Set Container Metadata.
pub(crate) fn set_metadata(call: &Call<'_>) -> Outcome {
    let container = call.container()?;
    let mut state = container.lock()?;
    check_write(call, &state)?;
    state.metadata = call.head.metadata()?;
    renew(call, &mut state)
}

/// Get Container ACL.
pub(crate) fn acl(call: &Call<'_>) -> Outcome {
    let container = call.container()?;
    let state = container.lock()?;
    let mut xml = Xml::new();
    xml.element("SignedIdentifiers", |xml| {
        for Policy { id, start, expiry, permission } in &state.policies {
            xml.element("SignedIdentifier", |xml| {
                xml.leaf("Id", id);
                xml.element("AccessPolicy", |xml| {
                    xml.leaf("Start", start);
                    xml.leaf("Expiry", expiry);
                    xml.leaf("Permission", permission);
                });
            });
        }
    });
    Ok(versioned(&state, 200).xml(xml.finish()))
}

/// Set Container ACL: the stored access policies.
pub(crate) fn set_acl(call: &Call<'_>, received: &Received) -> Outcome {
    refuse_public_access(call)?;
    let policies = read_policies(&received.bytes).ok_or(codes::INVALID_XML)?;
    if policies.len() > POLICIES_MAX {
        return Err(codes::INVALID_XML.into());
    }
    let container = call.container()?;
    let mut state = container.lock()?;
    check_write(call, &state)?;
    state.policies = policies;
    renew(call, &mut state)
}

/// A reply with the container's version.
pub(crate) fn versioned(state: &ContainerState, status: u16) -> Reply {
    Reply::status(status)
        .with("etag", etag_text(state.etag))
        .with("last-modified", state.modified.http_date())
}

fn renew(call: &Call<'_>, state: &mut ContainerState) -> Outcome {
    (state.etag, state.modified) = call.version();
    call.account.save_container(&call.head.container, state)?;
    Ok(versioned(state, 200))
}

fn check_write(call: &Call<'_>, state: &ContainerState) -> Result<(), Refusal> {
    let version = Version { etag: state.etag, modified: state.modified };
    Conditions::of(call.head)?.check_write(version)?;
    // A container's lease guards only its deletion; a lease id that is given has to be right.
    if call.head.method() == hyper::Method::DELETE {
        state.lease.check_write(call.lease_id(), Holder::Container, call.now)
    } else {
        state.lease.check_read(call.lease_id(), Holder::Container, call.now)
    }
}

fn refuse_public_access(call: &Call<'_>) -> Result<(), Refusal> {
    match call.head.header("x-ms-blob-public-access") {
        Some(_) => Err(codes::PUBLIC_ACCESS.into()),
        None => Ok(()),
    }
}

/// Reads `SignedIdentifiers`; `None` when it is something else.
fn read_policies(document: &[u8]) -> Option<Vec<Policy>> {
    let mut policies: Vec<Policy> = Vec::new();
    if document.is_empty() {
        return Some(policies);
    }
    let mut reader = Reader::from_reader(document);
    let mut path: Vec<String> = Vec::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                path.push(start.local_name().as_ref().to_owned());
                if path == ["SignedIdentifiers", "SignedIdentifier"] {
                    policies.push(Policy::default());
                }
            }
            Event::End(_) => drop(path.pop()),
            Event::Text(text) => {
                let text = text.trim().to_owned();
                let field = policies.last_mut().and_then(|policy| match path.last()?.as_str() {
                    "Id" => Some(&mut policy.id),
                    "Start" => Some(&mut policy.start),
                    "Expiry" => Some(&mut policy.expiry),
                    "Permission" => Some(&mut policy.permission),
                    _ => None,
                });
                match field {
                    Some(field) => *field = text,
                    None if text.is_empty() => {}
                    None => return None,
                }
            }
            Event::Eof => return path.is_empty().then_some(policies),
            _ => {}
        }
    }
}
