//! What makes a drive's file system: a builder for a new one, or additions to one that is there.
//!
//! Both are asked the same questions and give the same answers; the rest of `pack` does not need to
//! know which it is.

use block::WriteAt;
use ntfs::build::amend::{AmendPlan, Amendment};
use ntfs::build::{
    BuildError, Builder, DirectoryId, DirectorySpec, Extent, FileId, FileSpec, LengthError, Plan,
    WriteProgress,
};

use super::layout::{LayoutError, MANIFEST_NAME};

/// Collects what shall be on a volume.
pub enum Maker {
    /// A new file system.
    New(Box<Builder>),
    /// Additions to one that is there.
    Added(Box<Amendment>),
}

impl Maker {
    /// Adds a directory.
    ///
    /// # Errors
    /// When it cannot be made there.
    pub fn directory(
        &mut self,
        parent: DirectoryId,
        name: &str,
        spec: &DirectorySpec,
    ) -> Result<DirectoryId, BuildError> {
        match self {
            Maker::New(builder) => builder.directory(parent, name, spec),
            Maker::Added(amendment) => amendment.directory(parent, name, spec),
        }
    }

    /// Adds a file, whose data lies behind that of the one before.
    ///
    /// # Errors
    /// When it cannot be made there.
    pub fn file(&mut self, parent: DirectoryId, name: &str, spec: &FileSpec) -> Result<FileId, BuildError> {
        match self {
            Maker::New(builder) => builder.file(parent, name, spec),
            Maker::Added(amendment) => amendment.file(parent, name, spec),
        }
    }

    /// Adds the manifest, in the place of an earlier one.
    ///
    /// # Errors
    /// When it cannot be made there.
    pub fn manifest(&mut self, spec: &FileSpec) -> Result<FileId, LayoutError> {
        Ok(match self {
            Maker::New(builder) => builder.file(DirectoryId::ROOT, MANIFEST_NAME, spec)?,
            Maker::Added(amendment) => amendment.replace(MANIFEST_NAME, spec)?,
        })
    }

    /// Gives everything its place.
    ///
    /// # Errors
    /// When names clash, or it does not fit.
    pub fn plan(self) -> Result<VolumePlan, LayoutError> {
        Ok(match self {
            Maker::New(builder) => VolumePlan::New(Box::new(builder.plan()?)),
            Maker::Added(amendment) => {
                let free_bytes = amendment.free_bytes();
                VolumePlan::Added(Box::new(amendment.plan()?), free_bytes)
            }
        })
    }
}

/// Everything in its place.
pub enum VolumePlan {
    /// A new file system.
    New(Box<Plan>),
    /// Additions, and what was free before them.
    Added(Box<AmendPlan>, u64),
}

impl VolumePlan {
    /// Bytes in a cluster.
    pub fn cluster_bytes(&self) -> u32 {
        match self {
            VolumePlan::New(plan) => plan.cluster_bytes(),
            VolumePlan::Added(plan, _) => plan.cluster_bytes(),
        }
    }

    /// Tells whether anybody wrote to the volume that is added to; the same for every new one.
    pub fn base(&self) -> [&[u8]; 3] {
        match self {
            VolumePlan::New(_) => [&[]; 3],
            VolumePlan::Added(plan, _) => plan.base(),
        }
    }

    /// Where a file's data goes, ascending.
    pub fn extents(&self, file: FileId) -> Box<dyn Iterator<Item = Extent> + '_> {
        match self {
            VolumePlan::New(plan) => Box::new(plan.extents(file)),
            VolumePlan::Added(plan, _) => Box::new(plan.extents(file)),
        }
    }

    /// Makes a file shorter than it was planned.
    ///
    /// # Errors
    /// When it would become longer.
    pub fn set_length(&mut self, file: FileId, length_bytes: u64) -> Result<(), LengthError> {
        match self {
            VolumePlan::New(plan) => plan.set_length(file, length_bytes),
            VolumePlan::Added(plan, _) => plan.set_length(file, length_bytes),
        }
    }

    /// Leaves a file out.
    pub fn omit(&mut self, file: FileId) {
        match self {
            VolumePlan::New(plan) => plan.omit(file),
            VolumePlan::Added(plan, _) => plan.omit(file),
        }
    }

    /// How many bytes are free: on the new volume, or before the additions.
    pub fn free_bytes(&self) -> u64 {
        match self {
            VolumePlan::New(plan) => plan.free_bytes(),
            VolumePlan::Added(_, free_bytes) => *free_bytes,
        }
    }

    /// Writes the file system around the data.
    ///
    /// # Errors
    /// When the drive refuses, or was changed meanwhile.
    pub fn write(&self, target: &dyn WriteAt, progress: &mut dyn FnMut(WriteProgress)) -> anyhow::Result<()> {
        match self {
            VolumePlan::New(plan) => drop(plan.write(target, progress)?),
            VolumePlan::Added(plan, _) => drop(plan.write(target, progress)?),
        }
        Ok(())
    }
}
