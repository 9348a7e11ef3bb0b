//! What metadata and properties files become at the storage service.
//!
//! The files themselves are read and proven by [`proof::side`].

use azure::BlobHeaders;
use manifest::Properties;
use proof::side::SideContent;

/// What a blob with these side files is to get.
pub fn headers_of(side: &SideContent) -> BlobHeaders {
    let mut headers = BlobHeaders::default();
    if let Some(pairs) = &side.metadata {
        headers.metadata = pairs.to_vec();
    }
    if let Some(properties) = &side.properties {
        apply(&mut headers, properties);
    }
    headers
}

/// Export-only properties (ETag, Last-Modified, Content-Length) were left out by the parser.
fn apply(headers: &mut BlobHeaders, properties: &Properties) {
    headers.content_type = properties.content_type.clone();
    headers.content_encoding = properties.content_encoding.clone();
    headers.content_language = properties.content_language.clone();
    headers.cache_control = properties.cache_control.clone();
    headers.content_md5 = properties.content_md5;
}
