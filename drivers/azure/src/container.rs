//! Containers: made when missing, always private; and which there are.

use azure_core::http::Method;

use crate::account::Account;
use crate::block::unreadable;
use crate::call::Call;
use crate::endpoint::Resource;
use crate::error::{ErrorKind, Operation, StorageError};
use crate::xml::{Node, XmlError, ends_with, walk};

/// What creating a container found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It is new.
    Created,
    /// It was there, with whatever access its owner gave it.
    AlreadyExists,
}

impl Account {
    /// Creates a private container.
    ///
    /// # Errors
    /// What the service answers, except that an existing container is no error. One that was just
    /// deleted gives `ContainerBeingDeleted` when it outlasts the retries.
    pub async fn create_container(&self, container: &str) -> Result<Creation, StorageError> {
        let call = Call::new(Operation::CreateContainer, Method::Put, Resource::Container(container))
            .query("restype", "container");
        match self.exchange(&call).await {
            Ok(_) => Ok(Creation::Created),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Creation::AlreadyExists),
            Err(error) => Err(error),
        }
    }

    /// The names of the containers that begin with `prefix`, in the service's order, however many
    /// answers that takes. An account's names are kept; they are at most 63 bytes each.
    ///
    /// # Errors
    /// What the service answers; a credential for one container may not ask.
    pub async fn containers(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let mut names = Vec::new();
        let mut marker = String::new();
        loop {
            let mut call =
                Call::new(Operation::ListContainers, Method::Get, Resource::Account).query("comp", "list");
            for (key, value) in [("prefix", prefix), ("marker", &marker)] {
                if !value.is_empty() {
                    call = call.query(key, value);
                }
            }
            let reply = self.exchange(&call).await?;
            let next = parse_page(&reply.body, &mut names)
                .map_err(|error| unreadable(&call, &reply.attempts, error))?;
            // A marker that does not move would have us ask for ever.
            if next.is_empty() || next == marker {
                return Ok(names);
            }
            marker = next;
        }
    }
}

/// Adds the names of one answer; gives the marker of the next, empty at the end.
fn parse_page(document: &[u8], names: &mut Vec<String>) -> Result<String, XmlError> {
    let mut marker = String::new();
    walk(document, |node| {
        let Node::End { path, text, .. } = node else { return Ok(()) };
        if ends_with(path, &["Container", "Name"]) {
            names.push(text.to_owned());
        } else if ends_with(path, &["EnumerationResults", "NextMarker"]) {
            text.clone_into(&mut marker);
        }
        Ok(())
    })?;
    Ok(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_the_marker_of_a_page_are_read() {
        let document = b"<EnumerationResults><Containers><Container><Name>$root</Name><Properties>\
            <Etag>1</Etag></Properties></Container><Container><Name>abc</Name></Container></Containers>\
            <NextMarker>abd</NextMarker></EnumerationResults>";
        let mut names = Vec::new();
        assert_eq!(parse_page(document, &mut names).unwrap(), "abd");
        assert_eq!(names, ["$root", "abc"]);
    }
}
