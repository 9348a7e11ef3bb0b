//! Containers: made when missing, always private.

use azure_core::http::Method;

use crate::account::Account;
use crate::call::Call;
use crate::endpoint::Resource;
use crate::error::{ErrorKind, Operation, StorageError};

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
}
