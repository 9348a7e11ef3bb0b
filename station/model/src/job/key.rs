//! What names a job: subscription, resource group and name.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// The ARM type of a job.
pub const ARM_TYPE: &str = "Microsoft.ImportExport/jobs";

/// A job's name in full. Compared without regard to case, as ARM does, and kept as it was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobKey {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group's name.
    pub resource_group: String,
    /// The job's name.
    pub name: String,
}

impl JobKey {
    /// Joins the three parts; whether the name is well formed is [`super::validate()`]'s to say.
    pub fn new(
        subscription: impl Into<String>,
        resource_group: impl Into<String>,
        name: impl Into<String>,
    ) -> JobKey {
        JobKey { subscription: subscription.into(), resource_group: resource_group.into(), name: name.into() }
    }

    /// Reads an ARM id as [`JobKey::arm_id`] writes it, in any case.
    pub fn parse_arm_id(id: &str) -> Option<JobKey> {
        let parts: Vec<&str> = id.strip_prefix('/')?.split('/').collect();
        let [s, subscription, g, group, p, provider, j, name] = parts.as_slice() else { return None };
        let words = [(s, "subscriptions"), (g, "resourceGroups"), (p, "providers"), (j, "jobs")];
        let fits = words.iter().all(|(found, word)| found.eq_ignore_ascii_case(word))
            && provider.eq_ignore_ascii_case("Microsoft.ImportExport")
            && [subscription, group, name].iter().all(|part| !part.is_empty());
        fits.then(|| JobKey::new(*subscription, *group, *name))
    }

    /// The id that ARM uses, in the case in which the job was created.
    pub fn arm_id(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{ARM_TYPE}/{}",
            self.subscription, self.resource_group, self.name
        )
    }

    /// The same for every spelling of one job: what stores compare and index.
    pub fn folded(&self) -> JobKey {
        let fold = |text: &str| text.to_ascii_lowercase();
        JobKey::new(fold(&self.subscription), fold(&self.resource_group), fold(&self.name))
    }
}

impl PartialEq for JobKey {
    fn eq(&self, other: &JobKey) -> bool {
        self.subscription.eq_ignore_ascii_case(&other.subscription)
            && self.resource_group.eq_ignore_ascii_case(&other.resource_group)
            && self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl Eq for JobKey {}

impl Hash for JobKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let JobKey { subscription, resource_group, name } = self.folded();
        (subscription, resource_group, name).hash(state);
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arm_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_job_in_two_spellings_is_one_job() {
        let written = JobKey::new("S-1", "myGroup", "MyJob");
        let asked = JobKey::new("s-1", "MYGROUP", "myjob");
        assert_eq!(written, asked);
        assert_eq!(std::collections::HashSet::from([written.clone(), asked]).len(), 1);
        let id = written.arm_id();
        assert_eq!(
            id,
            "/subscriptions/S-1/resourceGroups/myGroup/providers/Microsoft.ImportExport/jobs/MyJob"
        );
        assert_eq!(JobKey::parse_arm_id(&id.to_uppercase()), Some(written));
    }

    #[test]
    fn what_is_no_id_of_a_job_is_none() {
        for id in [
            "",
            "/",
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/jobs/J",
            "/subscriptions//resourceGroups/G/providers/Microsoft.ImportExport/jobs/J",
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.ImportExport/jobs/J/x",
        ] {
            assert_eq!(JobKey::parse_arm_id(id), None, "{id}");
        }
    }
}
