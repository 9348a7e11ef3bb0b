//! Operations on the account: what it is, and its containers.

use super::super::codes::{self, Refusal};
use super::super::reply::Reply;
use super::super::state::{UNPOISONED, etag_text};
use super::xml::Xml;
use super::{Call, Outcome};

/// The longest page of a listing (REST reference, List Containers and List Blobs).
const RESULTS_MAX: usize = 5_000;

/// Get Account Information.
pub(crate) fn information(call: &Call<'_>) -> Reply {
    Reply::status(200)
        .with("x-ms-sku-name", "Standard_LRS")
        .with("x-ms-account-kind", "StorageV2")
        .with("x-ms-is-hns-enabled", call.account.hierarchical)
}

/// Get Blob Service Properties: an account on which nothing was switched on.
pub(crate) fn service_properties() -> Reply {
    let mut xml = Xml::new();
    xml.element("StorageServiceProperties", |xml| {
        xml.leaf("DefaultServiceVersion", "2021-12-02");
        xml.element("DeleteRetentionPolicy", |xml| xml.leaf("Enabled", false));
        xml.element("StaticWebsite", |xml| xml.leaf("Enabled", false));
    });
    Reply::status(200).xml(xml.finish())
}

/// List Containers.
pub(crate) fn list_containers(call: &Call<'_>) -> Outcome {
    let prefix = call.head.query("prefix").unwrap_or_default();
    let marker = call.head.query("marker").unwrap_or_default();
    let max = results_max(call)?;
    let with_metadata = call.head.query("include").is_some_and(|include| include.contains("metadata"));
    let containers = call.account.containers.read().expect(UNPOISONED);
    let mut fitting = containers
        .range(marker.max(prefix).to_owned()..)
        .take_while(|(name, _)| name.starts_with(prefix))
        .map(|(_, container)| container);
    let mut xml = Xml::new();
    let endpoint = format!("/{}/", call.account.name);
    xml.with_attributes("EnumerationResults", &[("ServiceEndpoint", &endpoint)], |xml| {
        xml.maybe("Prefix", call.head.query("prefix"));
        xml.maybe("Marker", call.head.query("marker"));
        xml.leaf("MaxResults", max);
        xml.element("Containers", |xml| {
            for container in fitting.by_ref().take(max) {
                let state = container.state.lock().expect(UNPOISONED);
                xml.element("Container", |xml| {
                    xml.leaf("Name", &container.name);
                    xml.element("Properties", |xml| {
                        xml.leaf("Last-Modified", state.modified.http_date());
                        xml.leaf("Etag", etag_text(state.etag).trim_matches('"'));
                        let lease = state.lease.state(call.now);
                        xml.leaf("LeaseStatus", lease.status());
                        xml.leaf("LeaseState", lease.word());
                        xml.maybe("LeaseDuration", state.lease.duration_word(call.now));
                    });
                    if with_metadata {
                        metadata(xml, &state.metadata);
                    }
                });
            }
        });
        xml.leaf("NextMarker", fitting.next().map_or("", |container| container.name.as_str()));
    });
    Ok(Reply::status(200).xml(xml.finish()))
}

/// `maxresults`, between 1 and what one page holds.
pub(crate) fn results_max(call: &Call<'_>) -> Result<usize, Refusal> {
    let Some(text) = call.head.query("maxresults") else { return Ok(RESULTS_MAX) };
    match text.parse::<usize>() {
        Ok(0) => Err(codes::OUT_OF_RANGE_QUERY.of_query("maxresults", text)),
        Ok(number) => Ok(number.min(RESULTS_MAX)),
        Err(_) => Err(codes::INVALID_QUERY.of_query("maxresults", text)),
    }
}

/// The `Metadata` element of a listing.
pub(crate) fn metadata(xml: &mut Xml, pairs: &[(String, String)]) {
    xml.element("Metadata", |xml| pairs.iter().for_each(|(key, value)| xml.leaf(key, value)));
}
